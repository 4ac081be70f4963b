"""How sure an image AUROC is, given how few test images a category has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysuite.errors import MetricsError
from raysuite.metrics.image import ranked

_CELLS = 1 << 20
"""Resamples are drawn in blocks of at most so many numbers (8 MB an array)."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Ends of a confidence interval, both in 0 to 1."""

    low: float
    high: float


def auroc_interval(
    scores: ArrayLike, labels: ArrayLike, *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> Interval | None:
    """Percentile bootstrap interval of the image AUROC; good and defective images are resampled apart.

    It covers the choice of test images, not that of the training seed. When the scores separate the test images
    completely it is [1, 1], which says that these images cannot tell, not that nothing is left to doubt.
    Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Args:
        scores: As for `raysuite.metrics.image.image_metrics`, with the same errors.
        labels: As there.
        seed: Equal seeds give equal intervals.
        resamples: How many resamples, at least 1.
        level: Share of resamples inside, between 0 and 1.

    Returns:
        The interval, or ``None`` unless there are images of both kinds.

    Raises:
        MetricsError: The level, the number of resamples, a score or a label is out of range.
    """
    if not 0 < level < 1 or resamples < 1:
        raise MetricsError(f"a bootstrap needs a level in 0 to 1 and at least 1 resample, not {level} and {resamples}")
    ranking = ranked(scores, labels)
    if not ranking.is_defined:
        return None
    good_B = np.diff(ranking.false_positives, prepend=0)
    defective_B = np.diff(ranking.true_positives, prepend=0)
    rng = np.random.default_rng(seed)
    block = max(1, _CELLS // (ranking.good + ranking.defective))
    aurocs_R = np.concatenate(
        [
            _resampled_aurocs(rng, good_B, defective_B, min(block, resamples - start))
            for start in range(0, resamples, block)
        ]
    )
    low, high = np.quantile(aurocs_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))


def _resampled_aurocs(
    rng: np.random.Generator, good_B: NDArray[np.int64], defective_B: NDArray[np.int64], count: int
) -> NDArray[np.float64]:
    good_RB = _resampled(rng, good_B, count)
    defective_RB = _resampled(rng, defective_B, count)
    # Scores fall along B, so a good image counts the defective ones at lower indices, and half of its ties.
    above_RB = np.cumsum(defective_RB, axis=1) - defective_RB / 2
    areas_R: NDArray[np.float64] = np.einsum("rb,rb->r", good_RB, above_RB) / (good_B.sum() * defective_B.sum())
    return areas_R


def _resampled(rng: np.random.Generator, counts_B: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """How often each distinct score is drawn, when as many images as there are are drawn with replacement."""
    bins, images = len(counts_B), int(counts_B.sum())
    scores_N = np.repeat(np.arange(bins), counts_B)
    drawn_RN = scores_N[rng.integers(images, size=(count, images))]
    drawn_RN += bins * np.arange(count)[:, None]
    return np.bincount(drawn_RN.ravel(), minlength=count * bins).reshape(count, bins)
