"""Settings of the net's size and parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raysuite.config.validation import require, require_word

# Wider layers than this hold a gigabyte of weights each.
MOST_CHANNELS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The net's size and parts (`raysuite.models.autoencoder`). `width` and `depth` set what is not set by itself.

    Attributes:
        width: Channels of the finest level; each coarser level has twice as many.
        depth: Number of levels, each half the resolution of the one before.
        widths: Channels of each level, from fine to coarse; empty follows `width` and `depth`, which it overrules.
        stem: Pixels a side folded into channels before the first level: 1 or 2.
        blocks: Number of stacked-dilated-convolution blocks at the lowest resolution.
        branch_width: Channels of each dilated branch; 0 means the finest level's.
        dilations: Dilation of each branch.
        kernel: Kernel of the dilated convolutions, odd.
        separable: Dilated convolutions are depthwise with a pointwise one after them.
        bottleneck: Channels between encoder and decoder; 0 means the coarsest width.
        template: ``on``, and the net sees beside each image what training images look like on average, place by place;
            ``off``; or ``auto``, where they are square and lie alike (`raysuite.training.template`).
        skip: ``convex`` skips with a learned convex combination, ``concat`` as in a U-Net, or ``none``.
        output: ``direct``, the repaired image; or ``convex``, of it and the input a learned convex combination.
        norm: ``batch`` or ``group`` (of up to 8 channels) normalisation, or ``none``.
        padding: How borders are continued: ``reflect``, ``replicate`` or ``zeros``.
    """

    width: int = 32
    depth: int = 2
    widths: tuple[int, ...] = ()
    stem: int = 2
    blocks: int = 3
    branch_width: int = 0
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    kernel: int = 3
    separable: bool = False
    bottleneck: int = 0
    template: Literal["auto", "on", "off"] = "auto"
    skip: Literal["convex", "concat", "none"] = "convex"
    output: Literal["direct", "convex"] = "direct"
    norm: Literal["batch", "group", "none"] = "batch"
    padding: Literal["reflect", "replicate", "zeros"] = "reflect"

    def __post_init__(self) -> None:
        require(1 <= self.width <= 1024, "model.width", self.width, "from 1 to 1024")
        require(1 <= self.depth <= 8, "model.depth", self.depth, "from 1 to 8")
        require(
            len(self.widths) <= 8 and all(1 <= width <= MOST_CHANNELS for width in self.widths),
            "model.widths", self.widths,
            f"up to 8 widths from 1 to {MOST_CHANNELS}; empty follows model.width and model.depth",
        )  # fmt: skip
        require(
            self.level_widths[-1] <= MOST_CHANNELS,
            "model.width, model.depth", (self.width, self.depth),
            f"at most {MOST_CHANNELS} channels at the coarsest level: width × 2 to the number of levels less one",
        )  # fmt: skip
        require(self.stem in {1, 2}, "model.stem", self.stem, "1 or 2")
        require(0 <= self.blocks <= 16, "model.blocks", self.blocks, "from 0 to 16")
        for name in ("branch_width", "bottleneck"):
            value = getattr(self, name)
            require(0 <= value <= MOST_CHANNELS, f"model.{name}", value, f"from 0 to {MOST_CHANNELS}")
        require(
            1 <= len(self.dilations) <= 16 and min(self.dilations) >= 1,
            "model.dilations", self.dilations, "1 to 16 dilations of 1 or more",
        )  # fmt: skip
        require(self.kernel in {3, 5, 7}, "model.kernel", self.kernel, "3, 5 or 7")
        require_word(self.template, "model.template", "auto", "on", "off")
        require_word(self.skip, "model.skip", "convex", "concat", "none")
        require_word(self.output, "model.output", "direct", "convex")
        require_word(self.norm, "model.norm", "batch", "group", "none")
        require_word(self.padding, "model.padding", "reflect", "replicate", "zeros")

    @property
    def level_widths(self) -> tuple[int, ...]:
        """Channels of each level, from fine to coarse."""
        return self.widths or tuple(self.width * 2**level for level in range(self.depth))

    @property
    def branches(self) -> tuple[int, int]:
        """Number of dilated branches of a block, and the channels of each."""
        return len(self.dilations), self.branch_width or self.level_widths[0]

    @property
    def bottleneck_width(self) -> int:
        """Channels between encoder and decoder."""
        return self.bottleneck or self.level_widths[-1]

    @property
    def stride(self) -> int:
        """Pixels of the input to one cell of the coarsest map; input sides are multiples of it."""
        return int(self.stem * 2 ** len(self.level_widths))

    @property
    def reach(self) -> int:
        """The coarsest map must have more cells a side than this.

        A reflected border is as wide as the kernel reaches, and a map can only be reflected over less than its side.
        Other borders can be any width, but a dilation as wide as the map would only ever see the border.
        """
        return max(self.dilations) * self._reach_of_one if self.blocks else 1

    def widest_dilation(self, cells: int) -> int:
        """The widest dilation that a coarsest map of so many cells a side can hold; 0 if not even the smallest."""
        return (cells - 1) // self._reach_of_one

    @property
    def _reach_of_one(self) -> int:
        """How far a dilation of 1 reaches."""
        return self.kernel // 2 if self.padding == "reflect" else 1
