"""When a device runs out of memory: how that is told from other errors, and what can be done about it."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from raysuite.errors import RaysuiteError

# Those that are no torch.OutOfMemoryError: of the CPU, of CUDA's own calls, and of the libraries beneath torch.
_WORDS = (
    "can't allocate memory", "not enough memory", "out of memory", "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)  # fmt: skip


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether an error, or what it was raised from, says that an allocation failed.

    A compiler that is at work when memory runs out raises an error of its own, from the one that it met.
    """
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError | MemoryError):
            return True
        if isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS):
            return True
        error = error.__cause__
    return False


def release() -> None:
    """Give back what a failed pass left: its tensors, some of which only the garbage collector finds, and the cache.

    To be called after the ``except`` block: within it the error still holds the frames of the pass.
    """
    gc.collect()
    torch.cuda.empty_cache()


def in_parts(compute: Callable[[Tensor], Tensor], batch_N: Tensor) -> Tensor:
    """``compute(batch_N)``, in halves, quarters and so on if the whole does not fit into memory.

    Args:
        compute: From (N, …) to (N, …), each row by itself.
        batch_N: One row or more.

    Raises:
        torch.OutOfMemoryError, RuntimeError: Not even one row fits.
    """
    try:
        return compute(batch_N)
    except (RuntimeError, MemoryError) as error:
        if len(batch_N) == 1 or not is_out_of_memory(error):
            raise
    release()
    return torch.cat([in_parts(compute, half) for half in batch_N.chunk(2)])


@contextmanager
def told_as(kind: type[RaysuiteError], sentence: str) -> Iterator[None]:
    """Turn running out of memory into an error with a sentence, to which torch's own first line is added.

    Raises:
        RaysuiteError: Of ``kind``; memory ran out within.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise kind(f"{sentence} ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """The first line of an error's words, or its name if it has none; torch's go on for many."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__
