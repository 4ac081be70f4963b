"""The autoencoder: three kinds of pieces in one U-shaped net, its size set by a `ModelConfig`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from raysuite.config import ModelConfig
from raysuite.models.blocks import Concatenation, ConvexCombination, ConvNormAct, StackedDilatedConv, Style


class Autoencoder(nn.Module):
    """Repairs an image: (N, 3, H, W) float in [0, 1] → the same shape, float32, unbounded.

    Encoder levels of two convolutions and a 2 × 2 pooling each, stacked dilated convolutions at the lowest resolution,
    and a mirrored decoder whose skips are convex combinations (`ModelConfig.skip` ``"convex"``), concatenations
    (``"concat"``, a U-Net) or absent (``"none"``, which makes it a plain bottleneck autoencoder). The stem folds
    ``stem × stem`` pixels into channels, so that no layer works at full resolution when ``stem`` is 2. With `output`
    ``"convex"`` each pixel of the result is a convex combination of the input's and the repaired one. H and W must be
    multiples of `stride`, and larger than ``stride × reach`` of the config.

    Attributes:
        template_CHW: What every image is seen beside, as further channels of the input: (3, H, W) float32, about
            [0, 1]; of no size for a net that sees images alone. Convolutions do not know where they are; with it they
            know what belongs there.
    """

    template_CHW: Tensor

    def __init__(self, config: ModelConfig, template_CHW: Tensor | None = None) -> None:
        super().__init__()
        self.config = config
        absent = template_CHW is None
        self.register_buffer("template_CHW", torch.empty(0) if absent else template_CHW, persistent=not absent)
        style = Style(config.norm, config.padding)
        widths = config.level_widths
        folded = 3 * config.stem**2
        self.fold = nn.PixelUnshuffle(config.stem)
        self.unfold = nn.PixelShuffle(config.stem)
        self.down = nn.ModuleList()
        seen = 2 * folded if self.has_template else folded
        for inputs, width in zip((seen, *widths[:-1]), widths, strict=True):
            self.down.append(nn.Sequential(ConvNormAct(inputs, width, 3, style), ConvNormAct(width, width, 3, style)))
        self.pool = nn.MaxPool2d(2)
        branches, branch_width = config.branches
        middle: list[nn.Module] = []
        inputs = widths[-1]
        for _ in range(config.blocks):
            middle.append(
                StackedDilatedConv(
                    inputs, branch_width, config.kernel, config.dilations, separable=config.separable, style=style
                )
            )
            inputs = branches * branch_width
        middle.append(ConvNormAct(inputs, config.bottleneck_width, 1, style))
        self.middle = nn.Sequential(*middle)
        self.up = nn.ModuleList()
        self.skips = nn.ModuleList()
        self.refine = nn.ModuleList()
        inputs = config.bottleneck_width
        for width in reversed(widths):
            self.up.append(nn.ConvTranspose2d(inputs, width, 2, stride=2))
            inputs = width
            if config.skip == "convex":
                self.skips.append(ConvexCombination(width, style))
            elif config.skip == "concat":
                self.skips.append(Concatenation())
                inputs = 2 * width
            self.refine.append(nn.Sequential(ConvNormAct(inputs, width, 3, style), ConvNormAct(width, width, 3, style)))
            inputs = width
        # With a convex combination, a gate for each pixel behind the colours.
        self.head = nn.Conv2d(inputs, folded + (config.stem**2 if config.output == "convex" else 0), 1)

    @property
    def has_template(self) -> bool:
        """Whether it sees a template beside each image, and so takes images of that size alone."""
        return self.template_CHW.numel() > 0

    @property
    def stride(self) -> int:
        """Height and width of the input must be multiples of this."""
        return self.config.stride

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Repair a batch."""
        seen_NCHW = images_NCHW
        if self.has_template:
            template_NCHW = self.template_CHW.to(images_NCHW.dtype).expand(images_NCHW.shape[0], -1, -1, -1)
            seen_NCHW = torch.cat([images_NCHW, template_NCHW], dim=1)
        features = self.fold(seen_NCHW - 0.5)
        kept: list[Tensor] = []
        for level in self.down:
            features = level(features)
            if self.config.skip != "none":
                kept.append(features)
            features = self.pool(features)
        features = self.middle(features)
        for place, (up, refine) in enumerate(zip(self.up, self.refine, strict=True)):
            features = up(features)
            if self.config.skip != "none":
                features = self.skips[place](kept.pop(), features)
            features = refine(features)
        # The last step stays in float32 under autocast: bfloat16 would round the picture itself to 1/256.
        with torch.autocast(features.device.type, enabled=False):
            out_NCHW: Tensor = self.unfold(self.head(features.float()))
            if self.config.output == "direct":
                return out_NCHW + 0.5
            return images_NCHW.float().lerp(out_NCHW[:, :3] + 0.5, torch.sigmoid(out_NCHW[:, 3:]))

    def parameter_count(self) -> int:
        """Number of trainable parameters."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)


def build(config: ModelConfig, seed: int, template_CHW: Tensor | None = None) -> Autoencoder:
    """A freshly initialised net; the same seed gives the same weights, whatever the global generator's state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Autoencoder(config, template_CHW)
