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
CLOSE = 0.05
"""A replay that differs by more than this share from the pass that was recorded is not to be trusted; rounding in
bfloat16 stays far below."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Whether passes are replayed, and why or why not."""

    used: bool
    reason: str


def recorded_if_it_works(
    gradients: Gradients, net: nn.Module, draw: Callable[[], Corrupted], whole: Callable[[], bool], device: torch.device
) -> tuple[Gradients, Recording]:
    """The same gradients, replayed on a GPU; or as they were, with the reason why.

    Args:
        gradients: To be recorded.
        net: Whose gradients they are. Its parameters and buffers are left as they were, and must stay where they are.
        draw: Draws a batch like all others. What it gives is thrown away.
        whole: Whether a batch fits into memory as a whole, asked once the gradients of one have been computed.
        device: Where they are computed.
    """
    if device.type != "cuda":
        return gradients, Recording(False, "only GPUs replay")
    if workers() > 1:
        return gradients, Recording(False, "several workers train together, whose sums are not recorded")
    before = [buffer.clone() for buffer in net.buffers()]
    sample = draw()
    try:
        wanted, norm = gradients(sample), _norm(net)
        if not whole():
            return gradients, Recording(False, "a batch does not fit into memory as a whole")
        replayed = _Replayed(gradients, net, sample)
        found = replayed(sample)
        pairs = ((found, wanted), (_norm(net), norm))
        if not all(torch.allclose(one, other, rtol=CLOSE, atol=1e-6) for one, other in pairs):
            net.zero_grad(set_to_none=True)
            return gradients, Recording(False, "a replay gave other gradients than the pass that was recorded")
    except RuntimeError as error:  # Whatever a driver, a kernel or a lack of memory has against it.
        words = first_line(error)
    else:
        return replayed, Recording(True, "on a GPU, by one worker")
    finally:
        for buffer, value in zip(net.buffers(), before, strict=True):
            buffer.copy_(value)
    net.zero_grad(set_to_none=True)
    release()
    return gradients, Recording(False, f"recording failed: {words}")


class _Replayed:
    def __init__(self, gradients: Gradients, net: nn.Module, sample: Corrupted) -> None:
        self._batch = Corrupted(*(getattr(sample, field.name).clone() for field in fields(sample)))
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
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._losses = gradients(self._batch)

    def __call__(self, batch: Corrupted) -> Tensor:
        for field in fields(batch):
            getattr(self._batch, field.name).copy_(getattr(batch, field.name))
        self._graph.replay()
        return self._losses


def _norm(net: nn.Module) -> Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in net.parameters() if p.grad is not None])
