"""Forward and backward pass recorded once as a CUDA graph, and replayed in every step.

The kernels of a small net are done sooner than Python has started the next ones. A replay starts them all at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from raysuite.corruption.corruptor import Corrupted
from raysuite.memory import first_line, release
from raysuite.training.distributed import workers

Gradients = Callable[[Corrupted], Tensor]
"""Puts the gradients of a batch into a net's parameters, and returns its losses, (4,) float32."""

WARM_UPS = 2
"""Passes on a stream of their own before one is recorded: libraries allocate what they need when first called."""

CLOSE = 0.05
"""A replay whose losses or gradients are further from those of a pass than this share of them is not to be trusted;
rounding in bfloat16 stays far below."""

SPARE = 2 * 2**30
"""Bytes that must be left beside a recording, which keeps its activations for good, for all else in a training."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Whether passes are replayed, and why or why not."""

    used: bool
    reason: str


def recorded_if_it_works(
    gradients: Gradients, net: nn.Module, draw: Callable[[], Corrupted], whole: Callable[[], bool], device: torch.device
) -> tuple[Gradients, Recording]:
    """The same gradients, replayed on a GPU; or as they were, with the reason why.

    If they are replayed, the parameters' gradients are the same tensors from then on, and must be left in their place.

    Args:
        gradients: To be recorded.
        net: Whose gradients they are. Its parameters and buffers are left as they were, and must stay where they are.
        draw: Draws a batch like all others. What it gives is thrown away.
        whole: Whether a batch fits into memory as a whole, asked once the gradients of one have been computed.
        device: Where they are computed.

    Raises:
        RaysuiteError: Not even a pass as it is can be computed. Other errors of it are raised as they are.
    """
    if device.type != "cuda":
        return gradients, Recording(False, "only GPUs replay")
    if workers() > 1:
        return gradients, Recording(False, "several workers train together, whose sums are not recorded")
    before = [buffer.clone() for buffer in net.buffers()]
    sample = draw()
    gradients(sample)
    try:
        if not whole():
            return gradients, Recording(False, "a batch does not fit into memory as a whole")
        if not _has_room(device):
            return gradients, Recording(False, "too little memory is left to keep what a recording needs")
        replayed = _verified(gradients, net, sample, device)
        if not whole():
            raise RuntimeError("memory ran out")
    except Exception as error:  # Whatever a driver, a kernel or a lack of memory has against it: it also goes without.
        reason = f"recording failed: {first_line(error)}"
    else:
        return replayed, Recording(True, "on a GPU, by one worker")
    finally:
        for buffer, value in zip(net.buffers(), before, strict=True):
            buffer.copy_(value)
    net.zero_grad(set_to_none=True)
    release()
    return gradients, Recording(False, reason)


def _has_room(device: torch.device) -> bool:
    """Whether a second set of all that was ever allocated at once here would fit, with something to spare."""
    release()
    free, _ = torch.cuda.mem_get_info(device)
    return bool(free >= torch.cuda.max_memory_allocated(device) + SPARE)


def _verified(gradients: Gradients, net: nn.Module, sample: Corrupted, device: torch.device) -> Gradients:
    """A recording that gives for another batch what a pass gives.

    Raises:
        RuntimeError: It does not.
    """
    other = Corrupted(*(getattr(sample, field.name).flip(0, -1) for field in fields(sample)))
    wanted = [gradients(other).clone(), *(gradient.clone() for gradient in _gradients(net))]
    replayed = _Replayed(gradients, net, sample, device)
    for gradient in _gradients(net):
        gradient.zero_()
    found = [replayed(other), *_gradients(net)]
    losses, slopes = ((found[:1], wanted[:1]), (found[1:], wanted[1:]))
    if not (_close(*losses) and _close(*slopes)):
        raise RuntimeError("a replay gave other gradients than a pass")
    return replayed


def _close(found: list[Tensor], wanted: list[Tensor]) -> bool:
    apart = torch.stack([(one - other).norm() for one, other in zip(found, wanted, strict=True)]).norm()
    return bool(apart <= CLOSE * torch.stack([other.norm() for other in wanted]).norm())


def _gradients(net: nn.Module) -> list[Tensor]:
    return [parameter.grad for parameter in net.parameters() if parameter.grad is not None]


class _Replayed:
    """Gradients of batches of one size, from a recording of those of a sample."""

    def __init__(self, gradients: Gradients, net: nn.Module, sample: Corrupted, device: torch.device) -> None:
        self._batch = Corrupted(*(getattr(sample, field.name).clone() for field in fields(sample)))
        self._device = device
        with torch.cuda.device(device):
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UPS):
                    gradients(self._batch)
            torch.cuda.current_stream().wait_stream(stream)
            # Recorded without gradients, so that they are written anew, not added to, into memory of the graph's own.
            net.zero_grad(set_to_none=True)
            release()
            self._graph = torch.cuda.CUDAGraph()
            # Ray's workers have other threads, which may go on calling CUDA.
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._losses = gradients(self._batch)

    def __call__(self, batch: Corrupted) -> Tensor:
        with torch.cuda.device(self._device):
            for field in fields(batch):
                getattr(self._batch, field.name).copy_(getattr(batch, field.name))
            self._graph.replay()
        return self._losses
