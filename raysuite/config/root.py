"""All settings together, and what they ask of one another."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from raysuite.config.corruption import CorruptionConfig
from raysuite.config.detection import DetectionConfig
from raysuite.config.model import ModelConfig
from raysuite.config.training import AugmentationConfig, ObjectiveConfig, TrainingConfig
from raysuite.config.validation import require

# With skips, or an output that takes of the input, these objectives are solved by copying the image, defects and all.
NEED_A_BOTTLENECK = ("plain", "sparse", "contractive")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataConfig:
    """How images reach the net.

    Attributes:
        image_size: Shorter side in pixels, a multiple of the net's stride. The longer side follows the category's
            usual shape.
        crop_size: Side of the square crops that training sees, in pixels, a multiple of the stride; 0 means
            `image_size`.
        held_out_share: Share of the good training images kept out of training, for the threshold alone.
        validation_share: Share of the good training images kept out of training, to choose and to judge on.
        resident_gb: The good training images of a category are kept in memory, those that are trained on on the
            training's device, if they need at most so many GB (10⁹ bytes), as 8-bit images of the net's size; else
            they are streamed.
    """

    image_size: int = 256
    crop_size: int = 0
    held_out_share: float = 0.1
    validation_share: float = 0.08
    resident_gb: float = 4.0

    def __post_init__(self) -> None:
        require(32 <= self.image_size <= 4096, "data.image_size", self.image_size, "from 32 to 4096")
        require(
            self.crop_size == 0 or 32 <= self.crop_size <= self.image_size,
            "data.crop_size", self.crop_size, "0, or from 32 to data.image_size",
        )  # fmt: skip
        for name in ("held_out_share", "validation_share"):
            value = getattr(self, name)
            require(0 < value <= 0.4, f"data.{name}", value, "above 0 and at most 0.4")
        require(0 < self.resident_gb < math.inf, "data.resident_gb", self.resident_gb, "above 0 and finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of a run."""

    preset: str = "small"
    data: DataConfig = field(default_factory=DataConfig)
    corruption: CorruptionConfig = field(default_factory=CorruptionConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    detection: DetectionConfig = field(default_factory=DetectionConfig)

    def __post_init__(self) -> None:
        stride = self.model.stride
        for name in ("image_size", "crop_size"):
            side = getattr(self.data, name)
            near = max(1, round(side / stride)) * stride
            require(
                side % stride == 0, f"data.{name}", side,
                f"a multiple of {stride}, the net's stride, such as {near} (model.stem × 2 to the number of levels)",
            )  # fmt: skip
        # Training crops and whole images alike must hold the widest dilation, or its border has no source.
        key = "crop_size" if self.data.crop_size else "image_size"
        side, cells = getattr(self.data, key), self.model.reach + 1
        widest = self.model.widest_dilation(side // stride)
        fitting = f"; at {side} the widest that fits is {widest}" if self.model.blocks and widest else ""
        require(
            side >= cells * stride, f"data.{key}", side,
            f"{cells * stride} or more: the coarsest map must have {cells} cells a side, of {stride} pixels, to hold "
            f"the widest dilation (model.dilations, model.kernel, model.padding){fitting}",
        )  # fmt: skip
        require(
            self.model.template != "on" or self.data.crop_size in {0, self.data.image_size},
            "model.template", self.model.template, "off or auto with data.crop_size: crops have no place",
        )  # fmt: skip
        if self.objective.kind in NEED_A_BOTTLENECK:
            require(
                self.model.skip == "none", "model.skip", self.model.skip,
                f"none for objective.kind={self.objective.kind}: with skips the net would copy the image "
                f"(--objective {self.objective.kind} sets what it needs)",
            )  # fmt: skip
            require(
                self.model.output == "direct", "model.output", self.model.output,
                f"direct for objective.kind={self.objective.kind}: else the net would copy the image "
                f"(--objective {self.objective.kind} sets what it needs)",
            )  # fmt: skip
        require(
            self.objective.kind != "contractive" or self.training.precision != "bfloat16",
            "training.precision", self.training.precision,
            "auto or float32 for objective.kind=contractive: bfloat16 loses the difference of two passes",
        )  # fmt: skip
