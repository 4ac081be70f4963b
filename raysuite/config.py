"""Every setting, typed, frozen and validated; what each means stands beside it.

A `Config` is what makes two runs the same run: data sets, categories and seeds are arguments of a run, not settings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from raysuite.errors import ConfigError

SHAPES = ("disc", "perlin", "stain", "scratch", "rectangle")
FILLS = ("elastic", "other", "texture", "colour", "tone", "shuffle")


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise a `ConfigError` that names the key and what it may be, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{key} is {value!r}, but it must be {allowed}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """How images reach the net.

    Attributes:
        image_size: Shorter side in pixels. The longer side follows the category's usual shape.
        crop_size: Side of the square crops that training sees, in pixels; 0 means `image_size`.
        held_out_share: Share of the good training images kept out of training, for calibration.
    """

    image_size: int = 256
    crop_size: int = 0
    held_out_share: float = 0.1

    def __post_init__(self) -> None:
        require(32 <= self.image_size <= 4096, "data.image_size", self.image_size, "from 32 to 4096")
        require(
            self.crop_size == 0 or 32 <= self.crop_size <= self.image_size,
            "data.crop_size", self.crop_size, "0, or from 32 to data.image_size",
        )  # fmt: skip
        require(0 < self.held_out_share <= 0.5, "data.held_out_share", self.held_out_share, "above 0 and at most 0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionConfig:
    """What training pastes over good images: shape × fill × opacity, and noise on top (`docs/method.md`).

    Attributes:
        clean_share: Share of images left without any corruption.
        max_count: Most corrupted spots in an image; fewer are likelier.
        min_area: Smallest spot, as a share of the image's area.
        max_area: Largest spot, as a share of the image's area; areas are drawn log-uniformly.
        opaque_share: Share of spots that hide what is below them wholly.
        min_opacity: Lowest opacity of the others.
        noise: Largest standard deviation of the Gaussian noise on input and target alike, in grey levels of [0, 1].
        shapes: Weight of each shape, in the order of `SHAPES`.
        fills: Weight of each fill, in the order of `FILLS`.
    """

    clean_share: float = 0.1
    max_count: int = 4
    min_area: float = 0.001
    max_area: float = 0.15
    opaque_share: float = 0.5
    min_opacity: float = 0.3
    noise: float = 0.06
    shapes: tuple[float, ...] = (0.35, 0.25, 0.15, 0.15, 0.10)
    fills: tuple[float, ...] = (0.25, 0.20, 0.20, 0.15, 0.10, 0.10)

    def __post_init__(self) -> None:
        for name in ("clean_share", "opaque_share", "min_opacity", "noise"):
            value = getattr(self, name)
            require(0 <= value <= 1, f"corruption.{name}", value, "from 0 to 1")
        require(1 <= self.max_count <= 16, "corruption.max_count", self.max_count, "from 1 to 16")
        require(
            0 < self.min_area <= self.max_area <= 0.5,
            "corruption.min_area, max_area", (self.min_area, self.max_area), "0 < min_area ≤ max_area ≤ 0.5",
        )  # fmt: skip
        for name, kinds in (("shapes", SHAPES), ("fills", FILLS)):
            weights = getattr(self, name)
            require(
                len(weights) == len(kinds) and min(weights) >= 0 and 0 < sum(weights) < math.inf,
                f"corruption.{name}", weights, f"{len(kinds)} weights of 0 or more, not all 0, for {', '.join(kinds)}",
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """The net's size and parts (`raysuite.models.autoencoder`).

    Attributes:
        widths: Channels of each level, from fine to coarse.
        stem: Pixels a side folded into channels before the first level: 1 or 2.
        blocks: Number of stacked-dilated-convolution blocks at the lowest resolution.
        branch_width: Channels of each dilated branch.
        dilations: Dilation of each branch.
        kernel: Kernel of the dilated convolutions, odd.
        bottleneck: Channels between encoder and decoder; 0 means the coarsest width.
        skip: ``convex`` skips with a learned convex combination, or ``none``.
    """

    widths: tuple[int, ...] = (32, 64)
    stem: int = 2
    blocks: int = 3
    branch_width: int = 32
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    kernel: int = 3
    bottleneck: int = 0
    skip: Literal["convex", "none"] = "convex"

    def __post_init__(self) -> None:
        require(len(self.widths) >= 1 and min(self.widths) >= 1, "model.widths", self.widths, "one or more widths ≥ 1")
        require(self.stem in {1, 2}, "model.stem", self.stem, "1 or 2")
        require(0 <= self.blocks <= 16, "model.blocks", self.blocks, "from 0 to 16")
        require(self.branch_width >= 1, "model.branch_width", self.branch_width, "1 or more")
        require(
            len(self.dilations) >= 1 and min(self.dilations) >= 1, "model.dilations", self.dilations, "one or more, ≥ 1"
        )
        require(self.kernel in {3, 5, 7}, "model.kernel", self.kernel, "3, 5 or 7")
        require(self.bottleneck >= 0, "model.bottleneck", self.bottleneck, "0 or more")
        require(self.skip in {"convex", "none"}, "model.skip", self.skip, "convex or none")

    @property
    def stride(self) -> int:
        """Pixels of the input to one cell of the coarsest map; input sides are multiples of it."""
        return int(self.stem * 2 ** len(self.widths))

    @property
    def reach(self) -> int:
        """Widest padding at the coarsest level, in its cells; its map must be larger than this."""
        return max(self.dilations) * (self.kernel // 2) if self.blocks else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The loop.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images a step, over all workers together.
        learning_rate: Peak of the cosine schedule.
        warmup_share: Share of the steps in which the rate rises to its peak.
        weight_decay: AdamW's.
        repair_weight: λ: weight of the corrupted pixels' mean error; the kept pixels' has 1 − λ.
        gradient_clip: Largest norm of the gradient.
        ema: Decay of the averaged weights, which are the ones kept.
        precision: ``auto`` takes bfloat16 where the hardware multiplies it natively, else ``float32``.
        flips: Mirror and turn training images: ``auto`` asks the images themselves whether that leaves them in kind.
        log_every: Steps between two lines of the history.
    """

    steps: int = 1600
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_share: float = 0.05
    weight_decay: float = 1e-5
    repair_weight: float = 0.5
    gradient_clip: float = 1.0
    ema: float = 0.995
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    flips: Literal["auto", "on", "off"] = "auto"
    log_every: int = 20

    def __post_init__(self) -> None:
        require(self.steps >= 1, "training.steps", self.steps, "1 or more")
        require(self.batch_size >= 1, "training.batch_size", self.batch_size, "1 or more")
        require(0 < self.learning_rate <= 1, "training.learning_rate", self.learning_rate, "above 0 and at most 1")
        require(0 <= self.warmup_share < 1, "training.warmup_share", self.warmup_share, "from 0 to below 1")
        require(0 <= self.weight_decay < math.inf, "training.weight_decay", self.weight_decay, "0 or more")
        require(0 <= self.repair_weight <= 1, "training.repair_weight", self.repair_weight, "from 0 to 1")
        require(self.gradient_clip > 0, "training.gradient_clip", self.gradient_clip, "above 0")
        require(0 <= self.ema < 1, "training.ema", self.ema, "from 0 to below 1")
        require(
            self.precision in {"auto", "float32", "bfloat16"}, "training.precision", self.precision,
            "auto, float32 or bfloat16",
        )  # fmt: skip
        require(self.flips in {"auto", "on", "off"}, "training.flips", self.flips, "auto, on or off")
        require(self.log_every >= 1, "training.log_every", self.log_every, "1 or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionConfig:
    """From reconstruction to map and score (`raysuite.detection.maps`).

    Attributes:
        map_kernel: Side of the box filter that smooths the anomaly map, in pixels at 256; odd.
        map_passes: How often it is applied.
        score_kernel: The same for the map that the image score is pooled from.
        score_passes: How often; 0 pools the unsmoothed error.
        score_share: Share of the highest pixels whose mean is the image score.
        normalise: Divide errors by what good images show at the same place.
        floor: Floor under that divisor, as a share of its mean over the image.
        false_alarm_rate: Share of good images allowed above the threshold.
    """

    map_kernel: int = 11
    map_passes: int = 3
    score_kernel: int = 5
    score_passes: int = 2
    score_share: float = 0.005
    normalise: bool = True
    floor: float = 0.5
    false_alarm_rate: float = 0.05

    def __post_init__(self) -> None:
        for name in ("map_kernel", "score_kernel"):
            value = getattr(self, name)
            require(1 <= value <= 101 and value % 2 == 1, f"detection.{name}", value, "odd, from 1 to 101")
        for name in ("map_passes", "score_passes"):
            value = getattr(self, name)
            require(0 <= value <= 10, f"detection.{name}", value, "from 0 to 10")
        require(0 < self.score_share <= 1, "detection.score_share", self.score_share, "above 0 and at most 1")
        require(0 <= self.floor < math.inf, "detection.floor", self.floor, "0 or more")
        require(0 < self.false_alarm_rate < 1, "detection.false_alarm_rate", self.false_alarm_rate, "between 0 and 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of a run."""

    preset: str = "small"
    data: DataConfig = field(default_factory=DataConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)

    def __post_init__(self) -> None:
        # Training crops and whole images alike must hold the widest dilation, or its reflected border has no source.
        side = (self.data.crop_size or self.data.image_size) // self.model.stride
        require(
            side > self.model.reach,
            "data.image_size", self.data.image_size,
            f"larger: the coarsest map has {side} cells a side, the widest dilation reaches over {self.model.reach} "
            f"(model.dilations, model.kernel)",
        )  # fmt: skip
