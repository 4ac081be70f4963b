"""Settings from reconstruction to map, score and threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from raysuite.config.validation import require, require_word

Error = Literal["squared", "ssim", "geometric"]
ERRORS: tuple[Error, ...] = get_args(Error)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionConfig:
    """From reconstruction to map and score (`raysuite.detection.maps`).

    Attributes:
        choice: ``auto`` chooses smoothing, normalisation and pooling on synthetic defects in held-out good images
            (`raysuite.detection.selection`) and writes the choice into the detector; ``fixed`` takes what stands here.
        error: How far the image is from its reconstruction, pixel by pixel (`raysuite.detection.difference`):
            ``squared`` difference, structural dissimilarity (``ssim``), or the ``geometric`` mean of both.
        map_kernel: Side of the box filter that smooths the anomaly map, in pixels at 256; odd.
        map_passes: How often it is applied.
        map_normalise: Divide the map by what good images show: at the same ``place``, over the whole ``image``, or
            not at all (``none``).
        score_kernel: The same for the map that the image score is pooled from.
        score_passes: How often; 0 pools the unsmoothed error.
        score_normalise: As `map_normalise`, for the score.
        pooling: Image score: ``top`` is the mean of the highest `score_share` of the pixels, ``max`` the highest, and
            ``mean`` that of all.
        score_share: Share of the highest pixels whose mean is the image score.
        floor: Floor under the divisor, as a share of its mean over the image.
        flips: Average the map over the flips that the category allows; costs a pass each.
        false_alarm_rate: Share of good images allowed above the threshold.
    """

    choice: Literal["auto", "fixed"] = "auto"
    error: Error = "geometric"
    map_kernel: int = 11
    map_passes: int = 3
    map_normalise: Literal["place", "image", "none"] = "place"
    score_kernel: int = 5
    score_passes: int = 2
    score_normalise: Literal["place", "image", "none"] = "place"
    pooling: Literal["top", "max", "mean"] = "top"
    score_share: float = 0.005
    floor: float = 0.5
    flips: bool = False
    false_alarm_rate: float = 0.05

    def __post_init__(self) -> None:
        require_word(self.choice, "detection.choice", "auto", "fixed")
        require_word(self.error, "detection.error", *ERRORS)
        for name in ("map_kernel", "score_kernel"):
            value = getattr(self, name)
            require(1 <= value <= 101 and value % 2 == 1, f"detection.{name}", value, "odd, from 1 to 101")
        for name in ("map_passes", "score_passes"):
            value = getattr(self, name)
            require(0 <= value <= 10, f"detection.{name}", value, "from 0 to 10")
        for name in ("map_normalise", "score_normalise"):
            require_word(getattr(self, name), f"detection.{name}", "place", "image", "none")
        require_word(self.pooling, "detection.pooling", "top", "max", "mean")
        require(0 < self.score_share <= 1, "detection.score_share", self.score_share, "above 0 and at most 1")
        require(0 <= self.floor < math.inf, "detection.floor", self.floor, "0 or more")
        require(0 < self.false_alarm_rate < 1, "detection.false_alarm_rate", self.false_alarm_rate, "between 0 and 1")
