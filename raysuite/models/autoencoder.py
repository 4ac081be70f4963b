"""The autoencoder: three kinds of pieces in one U-shaped net, its size set by a `ModelConfig`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raysuite.config import ModelConfig
from raysuite.models.blocks import ConvexCombination, StackedDilatedConv, conv_norm_act


class Autoencoder(nn.Module):
    """Repairs an image: (N, 3, H, W) float in [0, 1] → the same shape, unbounded.

    Encoder levels of two convolutions and a 2 × 2 pooling each, stacked dilated convolutions at the lowest resolution,
    and a mirrored decoder whose skips are convex combinations (`ModelConfig.skip` ``"convex"``) or absent
    (``"none"``, which makes it a plain bottleneck autoencoder). The stem folds ``stem × stem`` pixels into channels, so
    that no layer works at full resolution when ``stem`` is 2. H and W must be multiples of `stride`.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        widths = config.widths
        folded = 3 * config.stem**2
        self.fold = nn.PixelUnshuffle(config.stem)
        self.unfold = nn.PixelShuffle(config.stem)
        self.down = nn.ModuleList()
        for inputs, width in zip((folded, *widths[:-1]), widths, strict=True):
            self.down.append(nn.Sequential(conv_norm_act(inputs, width, 3), conv_norm_act(width, width, 3)))
        self.pool = nn.MaxPool2d(2)
        inner = config.branch_width * len(config.dilations)
        middle: list[nn.Module] = []
        inputs = widths[-1]
        for _ in range(config.blocks):
            middle.append(StackedDilatedConv(inputs, config.branch_width, config.kernel, config.dilations))
            inputs = inner
        middle.append(conv_norm_act(inputs, config.bottleneck or widths[-1], 1))
        self.middle = nn.Sequential(*middle)
        self.up = nn.ModuleList()
        self.skips = nn.ModuleList()
        self.refine = nn.ModuleList()
        inputs = config.bottleneck or widths[-1]
        for width in reversed(widths):
            self.up.append(nn.ConvTranspose2d(inputs, width, 2, stride=2))
            self.skips.append(ConvexCombination(width) if config.skip == "convex" else nn.Identity())
            self.refine.append(nn.Sequential(conv_norm_act(width, width, 3), conv_norm_act(width, width, 3)))
            inputs = width
        self.head = nn.Conv2d(inputs, folded, 1)

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return self.config.stride

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Repair a batch."""
        features = self.fold(images_NCHW - 0.5)
        kept: list[Tensor] = []
        for level in self.down:
            features = level(features)
            kept.append(features)
            features = self.pool(features)
        features = self.middle(features)
        for up, skip, refine in zip(self.up, self.skips, self.refine, strict=True):
            features = up(features)
            here = kept.pop()
            if self.config.skip == "convex":
                features = skip(here, features)
            features = refine(features)
        # The last step stays in float32 under autocast: bfloat16 would round the picture itself to 1/256.
        with torch.autocast(features.device.type, enabled=False):
            repaired: Tensor = self.unfold(self.head(features.float())) + 0.5
        return repaired

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def build(config: ModelConfig, seed: int) -> Autoencoder:
    """A freshly initialised net; the same seed gives the same weights, whatever the global generator's state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(config)
