"""What a net is made of and what it costs, counted without computing or allocating anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from raysuite.config import Config, ModelConfig
from raysuite.models.autoencoder import Autoencoder, build
from raysuite.models.blocks import Concatenation, ConvexCombination, ConvNormAct, StackedDilatedConv
from raysuite.models.memory import PeakMemory
from raysuite.models.receptive_field import receptive_field

ROWS = (
    ConvNormAct, StackedDilatedConv, ConvexCombination, Concatenation, nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d,
    nn.PixelUnshuffle, nn.PixelShuffle,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, in the order in which an image passes.

    Attributes:
        name: As in the names of the weights.
        kind: What it is, in words.
        channels: Of its output.
        height: Rows of its output.
        width: Columns of its output.
        parameters: Trainable numbers in it.
        macs: Multiply-adds of its convolutions for one image.
    """

    name: str
    kind: str
    channels: int
    height: int
    width: int
    parameters: int
    macs: int


@dataclass(frozen=True, slots=True)
class Description:
    """A net, and what it costs at the configured sizes. Memory is in bytes.

    Attributes:
        image_size: Pixels a side of the image that is scored; a category whose images are not square costs more.
        crop_size: Pixels a side of the images that training sees.
        batch_size: Images a training step.
        precision: Of a training step's passes.
        stride: Pixels a side of a cell of the coarsest map.
        layers: All layers.
        parameters: Trainable numbers.
        macs: Multiply-adds of all convolutions for one image; everything else (normalisation, activations, mixing of
            skips, padding) is left out, as is usual.
        receptive_field: Side in pixels of what a pixel of the output can depend on.
        weight_bytes: Weights and running statistics, as they are stored.
        scoring_bytes: Most that is alive at once while one image passes, in float32, without the weights.
        step_bytes: The same for a training step's passes forward and back: what is kept for the latter, and gradients.
        state_bytes: What a training holds all the time: the weights, their moving average, and AdamW's two moments.
    """

    image_size: int
    crop_size: int
    batch_size: int
    precision: str
    stride: int
    layers: tuple[Layer, ...]
    parameters: int
    macs: int
    receptive_field: int
    weight_bytes: int
    scoring_bytes: int
    step_bytes: int
    state_bytes: int

    @property
    def gflop(self) -> float:
        """Billions of floating-point operations for one image; a multiply-add is two."""
        return 2 * self.macs / 1e9


def describe(config: Config) -> Description:
    """Describe the net of a config.

    The net is built and run on fake tensors, which have shapes and no data. With ``training.precision=auto`` a training
    step is counted in float32.
    """
    side, crop = config.data.image_size, config.data.crop_size or config.data.image_size
    precision = "bfloat16" if config.training.precision == "bfloat16" else "float32"
    with FakeTensorMode():
        template_CHW = torch.zeros(3, side, side) if config.model.template == "on" else None
        net = build(config.model, 0, template_CHW)
        layers = _layers(net.eval(), side)
        weights = sum(tensor.nbytes for tensor in net.state_dict().values())
        trained = sum(tensor.nbytes for tensor in net.parameters())
        scoring = scoring_memory(net, side)
        # Both passes of an image are kept for the way back: as those of twice the images would be.
        step = step_memory(net.train(), config.training.batch_size * config.objective.passes, crop, precision)
    return Description(
        image_size=side,
        crop_size=crop,
        batch_size=config.training.batch_size,
        precision=precision,
        stride=net.stride,
        layers=layers,
        parameters=net.parameter_count(),
        macs=sum(layer.macs for layer in layers),
        receptive_field=receptive_field(config.model),
        weight_bytes=weights,
        scoring_bytes=scoring,
        step_bytes=step,
        state_bytes=2 * weights + 2 * trained,
    )


def multiply_adds(model: ModelConfig, side: int) -> int:
    """Multiply-adds of all convolutions for one square image, as in `Description.macs`, without a template."""
    with FakeTensorMode():
        return sum(layer.macs for layer in _layers(build(model, 0).eval(), side))


def scoring_memory(net: Autoencoder, side: int) -> int:
    """Most bytes alive at once while one square image passes, that image included and the weights not."""
    memory = PeakMemory(_existing(net))
    with torch.no_grad(), memory:
        net(torch.zeros(1, 3, side, side))
    return memory.peak


def step_memory(net: Autoencoder, batch_size: int, side: int, precision: str) -> int:
    """Most bytes alive at once while a batch passes forward and back under a squared error, the weights not included.

    Corruption, the optimiser's step and what stays on the device between steps are not in it.
    """
    memory = PeakMemory(_existing(net))
    with memory:
        images_NCHW, targets_NCHW = torch.zeros(2, batch_size, 3, side, side).unbind()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            outputs_NCHW = net(images_NCHW)
        (outputs_NCHW - targets_NCHW).square().mean().backward()
    net.zero_grad(set_to_none=True)
    return memory.peak


def _existing(net: nn.Module) -> list[Tensor]:
    return [*net.parameters(), *net.buffers()]


def _layers(net: Autoencoder, side: int) -> tuple[Layer, ...]:
    called: list[tuple[str, nn.Module, Tensor]] = []
    macs: dict[str, int] = {}

    def note_row(name: str) -> Any:
        return lambda module, _inputs, output: called.append((name, module, output))

    def note_macs(name: str) -> Any:
        def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            # A transposed convolution multiplies all its weights with each value it reads, others with each they write.
            positions = (inputs[0] if isinstance(module, nn.ConvTranspose2d) else output)[0, 0].numel()
            macs[name] = positions * sum(p.numel() for n, p in module.named_parameters() if n == "weight")

        return note

    handles = [module.register_forward_hook(note_row(name)) for name, module in _rows(net, "")]
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            handles.append(module.register_forward_hook(note_macs(name)))
    with torch.no_grad():
        net(torch.zeros(1, 3, side, side))
    for handle in handles:
        handle.remove()
    return tuple(
        Layer(
            name=name,
            kind=_kind(module),
            channels=output.shape[1],
            height=output.shape[2],
            width=output.shape[3],
            parameters=sum(p.numel() for p in module.parameters()),
            macs=sum(count for conv, count in macs.items() if f"{conv}.".startswith(f"{name}.")),
        )
        for name, module, output in called
    )


def _rows(module: nn.Module, prefix: str) -> list[tuple[str, nn.Module]]:
    """Modules that are a line of the description each, with their names; what is inside them is not."""
    rows: list[tuple[str, nn.Module]] = []
    for name, child in module.named_children():
        if isinstance(child, ROWS):
            rows.append((f"{prefix}{name}", child))
        else:
            rows += _rows(child, f"{prefix}{name}.")
    return rows


def _kind(module: nn.Module) -> str:
    match module:
        case ConvNormAct():
            return _kind(module[0])
        case StackedDilatedConv():
            first, *_ = convs = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size != (1, 1)]
            dilations = ", ".join(str(conv.dilation[0]) for conv in convs)
            return f"{'separable ' if first.groups > 1 else ''}dilated {_kind(first)}, by {dilations}"
        case ConvexCombination():
            return "skip, convex combination"
        case Concatenation():
            return "skip, concatenation"
        case nn.ConvTranspose2d():
            return "up-conv 2 × 2"
        case nn.Conv2d():
            return f"conv {module.kernel_size[0]} × {module.kernel_size[1]}"
        case nn.MaxPool2d():
            return "max pooling 2 × 2"
        case nn.PixelUnshuffle():
            return f"fold {module.downscale_factor} × {module.downscale_factor}"
        case _:
            return "unfold"
