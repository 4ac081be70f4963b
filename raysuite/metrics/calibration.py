"""A threshold from held-out good images: no defect and no test label is needed."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import ArrayLike

from raysuite.errors import MetricsError


@dataclass(frozen=True, slots=True)
class Calibration:
    """A threshold and what it promises.

    Attributes:
        threshold: An image is anomalous if ``score > threshold``.
        false_alarm_rate: The rate that was asked for.
        smallest_rate: The smallest rate that so many images can promise, 1 / (images + 1).
        images: Number of held-out good images.
    """

    threshold: float
    false_alarm_rate: float
    smallest_rate: float
    images: int


def calibrate(good_scores: ArrayLike, false_alarm_rate: float) -> Calibration:
    """Choose the lowest threshold that keeps false alarms at the asked rate.

    Split conformal prediction: if a new good image is exchangeable with the n held-out ones, it scores above their
    k-th smallest score with a chance of at most 1 - k / (n + 1), whatever the distribution (Lei et al.,
    "Distribution-Free Predictive Inference for Regression", JASA 113 (2018), section 2). The chance is over the
    held-out images too; one calibration may be off by what so few images leave to luck.

    Args:
        good_scores: (N,) finite scores of good images that the training did not see.
        false_alarm_rate: Share of good images that may be called anomalous, between 0 and 1.

    Raises:
        MetricsError: No scores, scores that are not finite, or a rate out of range.
    """
    scores_N = np.asarray(good_scores, dtype=np.float64)
    if scores_N.ndim != 1 or len(scores_N) == 0 or not np.isfinite(scores_N).all():
        raise MetricsError(
            f"a threshold needs finite scores of at least one held-out good image, not an array of shape "
            f"{scores_N.shape} with {int(np.isfinite(scores_N).sum())} finite numbers"
        )
    if not 0 < false_alarm_rate < 1:
        raise MetricsError(f"a false alarm rate lies between 0 and 1, not at {false_alarm_rate}")
    images = len(scores_N)
    # As a fraction of what was typed: 0.29 * 100 is 28.999999999999996 in floats.
    above = floor((images + 1) * Fraction(str(float(false_alarm_rate))))
    threshold = np.sort(scores_N)[min(images - above, images - 1)]
    return Calibration(float(threshold), float(false_alarm_rate), 1 / (images + 1), images)
