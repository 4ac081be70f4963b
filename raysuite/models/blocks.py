"""The pieces of the net: convolutions with what follows them, stacked dilated convolutions, and the skips.

Shape suffixes: N images, C channels, H and W rows and columns of the feature map at that level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

# Most channels that group normalisation takes together.
GROUP_SIZE = 8
# Keeps the mean square of what passes layers of random weights: E[ELU(z)²] = 0.645 = 1 / 1.245² for z ~ N(0, 1).
ELU_GAIN = 1.245


# torch 2.14's own convolutions for bfloat16 on x86 take so many input channels at once.
CPU_CHANNELS = 16


class DilatedConv(nn.Conv2d):
    """A dilated convolution whose gradients can be trusted.

    Under autocast to bfloat16 on the CPU, torch 2.14 (oneDNN, AVX-512) gives wrong gradients of the weights, no numbers
    at all, or a crash, on maps wider than 28 cells, unless all channels go into each output and their number is a
    multiple of `CPU_CHANNELS`. All others compute in float32 there.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- torch's name
        """(N, C, H, W) float → (N, outputs, H, W) float."""
        doubtful = self.groups > 1 or self.in_channels % CPU_CHANNELS > 0
        if doubtful and input.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(input.float())
        return super().forward(input)


@dataclass(frozen=True, slots=True)
class Style:
    """What all layers of a net share (`raysuite.config.ModelConfig` has the meanings).

    Attributes:
        norm: Normalisation after a convolution.
        padding: How borders are continued. The default, reflection, continues a texture past its border, where zeros
            would look like a defect to the next layer.
    """

    norm: Literal["batch", "group", "none"] = "batch"
    padding: Literal["reflect", "replicate", "zeros"] = "reflect"

    def normalised(self, channels: int) -> nn.Module:
        """The normalisation of so many channels; groups have one size, the largest up to `GROUP_SIZE` that divides."""
        if self.norm == "batch":
            return nn.BatchNorm2d(channels)
        if self.norm == "group":
            size = max(size for size in range(1, GROUP_SIZE + 1) if channels % size == 0)
            return nn.GroupNorm(channels // size, channels)
        return nn.Identity()

    def conv(
        self, inputs: int, outputs: int, kernel: int, *, dilation: int = 1, groups: int = 1, gain: float = ELU_GAIN
    ) -> nn.Conv2d:
        """A same-size convolution in front of a normalisation.

        With a normalisation it needs no bias, and its scale does not matter. Without one it has a bias, and its weights
        are drawn with the ``gain`` that keeps the scale of the features, which torch's own would shrink layer by layer.
        """
        bare = self.norm == "none"
        reach = dilation * (kernel // 2)
        conv = (DilatedConv if dilation > 1 else nn.Conv2d)(
            inputs, outputs, kernel, padding=reach, dilation=dilation, groups=groups, bias=bare,
            padding_mode=self.padding if reach else "zeros",
        )  # fmt: skip
        if bare:
            nn.init.normal_(conv.weight, std=gain / conv.weight[0].numel() ** 0.5)
        return conv


class ConvNormAct(nn.Sequential):
    """A same-size convolution, normalisation and ELU: (N, inputs, H, W) float → (N, outputs, H, W) float."""

    def __init__(self, inputs: int, outputs: int, kernel: int, style: Style) -> None:
        super().__init__(style.conv(inputs, outputs, kernel), style.normalised(outputs), nn.ELU(inplace=True))


class StackedDilatedConv(nn.Module):
    """Parallel convolutions of different dilations on one input, concatenated (Schuster et al., CVPR 2019).

    It widens the view without losing resolution: (N, C, H, W) float → (N, branches × per_branch, H, W) float. A
    ``separable`` branch is a dilated convolution within each channel and a pointwise one after it, with nothing in
    between (Chollet, CVPR 2017, arXiv 1610.02357, found that better than an activation there).
    """

    def __init__(
        self, inputs: int, per_branch: int, kernel: int, dilations: Sequence[int], *, separable: bool, style: Style
    ) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                style.conv(inputs, inputs, kernel, dilation=dilation, groups=inputs),
                style.conv(inputs, per_branch, 1, gain=1.0),
            )
            if separable
            else style.conv(inputs, per_branch, kernel, dilation=dilation)
            for dilation in dilations
        )
        self.norm = style.normalised(per_branch * len(dilations))
        self.act = nn.ELU(inplace=True)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Apply the branches."""
        out: Tensor = self.act(self.norm(torch.cat([branch(x_NCHW) for branch in self.branches], dim=1)))
        return out


class ConvexCombination(nn.Module):
    """A skip connection that is a learned convex mix of the skipped and the decoded features.

    ``β·skip + (1 − β)·decoded`` with β in (0, 1) for every value, computed from both and their squared difference.
    Where the two agree the net may copy detail; where they differ it can take the repaired one, so that the skip is
    no shortcut for defects. The hidden layer is normalised, because the squared difference has another scale than the
    features. What the sigmoid is taken of is not: β may be low all over, or high. All tensors are (N, C, H, W) float.
    """

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        gate = nn.Conv2d(channels, channels, 3, padding=1, padding_mode=style.padding, bias=False)
        self.mix = nn.Sequential(ConvNormAct(3 * channels, channels, 1, style), gate)
        # The skip starts half closed (β ≈ 0.27): an open one would copy the corruption before the decoder has learned.
        self.bias = nn.Parameter(torch.full((1, channels, 1, 1), -1.0))

    def forward(self, skip_NCHW: Tensor, decoded_NCHW: Tensor) -> Tensor:
        """Mix skipped and decoded features."""
        difference = skip_NCHW - decoded_NCHW
        logits = self.mix(torch.cat([skip_NCHW, decoded_NCHW, difference * difference], dim=1))
        # A float32 bias would lift everything that follows to float32 under autocast, at twice the memory.
        beta: Tensor = torch.sigmoid(logits + self.bias.to(logits.dtype))
        return decoded_NCHW + beta * difference


class Concatenation(nn.Module):
    """A skip connection as in a U-Net: skipped and decoded features side by side, (N, C, H, W) each → (N, 2C, H, W)."""

    def forward(self, skip_NCHW: Tensor, decoded_NCHW: Tensor) -> Tensor:
        """Join skipped and decoded features."""
        return torch.cat([skip_NCHW, decoded_NCHW], dim=1)
