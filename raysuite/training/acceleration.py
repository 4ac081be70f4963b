"""How a net's passes are computed: in which precision, and compiled or as written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raysuite.config import Config
from raysuite.errors import RaysuiteError
from raysuite.memory import is_out_of_memory
from raysuite.models.description import multiply_adds
from raysuite.training.distributed import workers
from raysuite.training.objectives import Net

COMPILE_FROM_OPERATIONS = 2e15
"""A training on a GPU is compiled if it has so many floating-point operations.

On an H200 compiling took 25 to 48 seconds, and saved 1.4e-14 seconds an operation with `small`, 1.8e-14 with `base`, of
passes that were not replayed.
"""


@dataclass(frozen=True, slots=True)
class Compilation:
    """Whether the net is compiled, and why or why not."""

    used: bool
    reason: str


def choose_precision(config: Config, device: torch.device) -> str:
    """``float32`` or ``bfloat16``: the latter by itself only where the hardware multiplies it natively.

    The contractive objective's difference of two passes is lost in bfloat16, so that it is always float32.
    """
    if config.training.precision != "auto":
        return config.training.precision
    if config.objective.kind == "contractive":
        return "float32"
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if native else "float32"


def in_precision(net: Net, precision: str) -> Net:
    """The net with float32 inputs in its preferred memory layout, computing in ``float32`` or ``bfloat16``."""

    def forward(inputs_NCHW: Tensor) -> Tensor:
        with torch.autocast(inputs_NCHW.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            return net(inputs_NCHW.contiguous(memory_format=torch.channels_last))

    return forward


def choose_compilation(config: Config, device: torch.device) -> Compilation:
    """Whether to try to compile, as ``training.compile`` says."""
    settings = config.training
    if settings.compile == "off":
        return Compilation(False, "training.compile is off")
    if workers() > 1:
        return Compilation(False, "several workers train together, whose sums are not compiled")
    if settings.compile == "on":
        return Compilation(True, "training.compile is on")
    if device.type != "cuda":
        return Compilation(False, f"it does not pay on {device.type}")
    # Two for each multiply-add forward, and twice as many back.
    side = config.data.crop_size or config.data.image_size
    operations = 6 * multiply_adds(config.model, side) * settings.batch_size * settings.steps
    words = f"{operations:.1e} operations, limit {COMPILE_FROM_OPERATIONS:.0e}"
    if operations < COMPILE_FROM_OPERATIONS:
        return Compilation(False, f"it does not pay in so short a training of so small a net: {words}")
    return Compilation(True, f"it pays in a training of this net and length on a GPU: {words}")


def compiled_if_it_works(net: nn.Module, wanted: Compilation, trial: Callable[[Net], None]) -> tuple[Net, Compilation]:
    """The compiled net, or the net as it is with the reason why, if compiling fails.

    Args:
        net: The net; its parameters and buffers are left as they were. State names are those of the net itself.
        wanted: What `choose_compilation` said.
        trial: One forward and backward pass with what it is given: a compiler is only called when it is needed, and
            has failed or not once this returns.

    Raises:
        RaysuiteError: The trial raised it on purpose.
        torch.OutOfMemoryError, RuntimeError: Memory ran out in the trial, which is no fault of the compiler's.
    """
    if not wanted.used:
        return net, wanted
    buffers = [buffer.clone() for buffer in net.buffers()]
    compiled: Net = torch.compile(net, dynamic=False)
    try:
        trial(compiled)
    except Exception as error:  # No compiler, an old one, a full disk: whatever it is, the net also runs without.
        if isinstance(error, RaysuiteError) or is_out_of_memory(error):
            raise
        torch._dynamo.reset()
        cause = getattr(error, "inner_exception", error)
        words = f"{type(cause).__name__}: {cause}".splitlines()[0]
        return net, Compilation(False, f"compiling failed: {words}")
    finally:
        net.zero_grad(set_to_none=True)
        for buffer, before in zip(net.buffers(), buffers, strict=True):
            buffer.copy_(before)
    return compiled, wanted
