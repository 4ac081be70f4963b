"""The pieces of the net: plain conv pairs, stacked dilated convolutions, and the convex-combination skip.

Shape suffixes: N images, C channels, H and W rows and columns of the feature map at that level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def conv_norm_act(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """A same-size convolution with reflected borders, batch normalisation and ELU.

    Reflection continues a texture past its border, where zeros would look like a defect to the next layer.
    """
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(
            inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False,
            padding_mode="reflect" if padding else "zeros",
        ),
        nn.BatchNorm2d(outputs),
        nn.ELU(inplace=True),
    )  # fmt: skip


class StackedDilatedConv(nn.Module):
    """Parallel convolutions of different dilations on one input, concatenated (Schuster et al., CVPR 2019).

    It widens the view without losing resolution: (N, C, H, W) float → (N, branches × per_branch, H, W) float.
    """

    def __init__(self, inputs: int, per_branch: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Conv2d(
                inputs, per_branch, kernel, padding=d * (kernel // 2), dilation=d, bias=False, padding_mode="reflect"
            )
            for d in dilations
        )
        self.norm = nn.BatchNorm2d(per_branch * len(dilations))
        self.act = nn.ELU(inplace=True)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Apply the branches."""
        out: Tensor = self.act(self.norm(torch.cat([branch(x_NCHW) for branch in self.branches], dim=1)))
        return out


class ConvexCombination(nn.Module):
    """A skip connection that is a learned convex mix of the skipped and the decoded features.

    ``β·skip + (1 − β)·decoded`` with β in (0, 1) for every value, computed from both and their squared difference.
    Where the two agree the net may copy detail; where they differ it can take the repaired one, so that the skip is
    no shortcut for defects. All tensors are (N, C, H, W) float.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        gate = nn.Conv2d(channels, channels, 3, padding=1, padding_mode="reflect", bias=False)
        self.mix = nn.Sequential(conv_norm_act(3 * channels, channels, kernel=1), gate)
        # The skip starts half closed (β ≈ 0.27): an open one would copy the corruption before the decoder has learned.
        self.bias = nn.Parameter(torch.full((1, channels, 1, 1), -1.0))

    def forward(self, skip_NCHW: Tensor, decoded_NCHW: Tensor) -> Tensor:
        """Mix skipped and decoded features."""
        difference = skip_NCHW - decoded_NCHW
        both = torch.cat([skip_NCHW, decoded_NCHW, difference * difference], dim=1)
        beta: Tensor = torch.sigmoid(self.mix(both) + self.bias)
        return decoded_NCHW + beta * difference
