"""How sure an image AUROC is, given how few test images a category has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysuite.metrics.image import ranked
from raysuite.metrics.resampling import auroc_draws, check

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
    check(resamples, level)
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


def mean_auroc_interval(
    categories: Sequence[tuple[ArrayLike, ArrayLike]], *, seed: int = 0, resamples: int = 2000, level: float = 0.95
) -> Interval | None:
    """The same interval for the mean of the image AUROCs of several categories, each itself a mean over seeds.

    Test images are drawn within each category, the same for all its seeds. It covers the choice of test images, not
    that of the training seeds nor that of the categories.

    Args:
        categories: Of each (S, N) scores, a row a seed, and (N,) labels, as in `raysuite.metrics.resampling`.
        seed: Equal seeds give equal intervals.
        resamples: How many resamples, at least 1.
        level: Share of resamples inside, between 0 and 1.

    Returns:
        The interval; ``None`` of nothing, or if a category lacks images of either kind.

    Raises:
        MetricsError: Scores or labels are not as asked for, or a number is out of range.
    """
    check(resamples, level)
    drawn = [
        auroc_draws(scores, labels, seed=seed + at, resamples=resamples)
        for at, (scores, labels) in enumerate(categories)
    ]
    draws = [one[1] for one in drawn if one is not None]
    if not draws or len(draws) < len(drawn):
        return None
    low, high = np.quantile(np.mean(draws, axis=0), [(1 - level) / 2, (1 + level) / 2])
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
