"""Draws of test images with replacement, and the image AUROC of each draw."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from raysuite.errors import MetricsError

Floats = NDArray[np.float64]

_CELLS = 1 << 22
"""Pairs of images are compared in blocks of at most so many (32 MB an array)."""

ROUNDING = 1e-12
"""Fractions nearer to one another than this differ by rounding alone."""


def check(resamples: int, level: float) -> None:
    """Refuse what is no number of draws, or no level.

    Raises:
        MetricsError: As it says.
    """
    if not 0 < level < 1 or resamples < 1:
        raise MetricsError(f"a bootstrap needs a level in 0 to 1 and at least 1 resample, not {level} and {resamples}")


def auroc_draws(
    scores_SN: ArrayLike, labels_N: ArrayLike, *, less_TN: ArrayLike | None = None, seed: int, resamples: int
) -> tuple[float, Floats] | None:
    """Image AUROC, mean over seeds, of the test images and of draws of as many, good and defective ones drawn apart.

    An AUROC is a mean over the pairs of a good and a defective image, so that of a draw is the mean with each pair
    weighted by the product of how often its images were drawn.

    Args:
        scores_SN: A row of scores a seed, over the N test images; finite, higher is more anomalous.
        labels_N: 0 for good, 1 for defect.
        less_TN: Scores of another detector on the same images, whose AUROC is taken off, draw by draw.
        seed: Equal seeds give equal draws of as many images.
        resamples: How many draws R, at least 1.

    Returns:
        The value, and (R,) float64 those of the draws; ``None`` unless there are images of both kinds.

    Raises:
        MetricsError: Shapes do not match, a score is not finite, or a label is neither 0 nor 1.
    """
    labels = np.asarray(labels_N)
    ours_SN = _rows(scores_SN, labels)
    theirs_TN = None if less_TN is None else _rows(less_TN, labels)
    good, defective = np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)
    if len(good) + len(defective) != len(labels):
        raise MetricsError("image labels must be 0 (good) or 1 (defect); leave out images whose label is unknown")
    if not len(good) or not len(defective):
        return None
    rng = np.random.default_rng(seed)
    # A first row of ones measures what is there.
    good_RG, defective_RD = _counts(rng, len(good), resamples), _counts(rng, len(defective), resamples)
    sums_R = np.zeros(resamples + 1)
    block = max(1, _CELLS // len(defective))
    for start in range(0, len(good), block):
        some = good[start : start + block]
        wins_GD = _wins(ours_SN, some, defective)
        if theirs_TN is not None:
            wins_GD -= _wins(theirs_TN, some, defective)
        sums_R += np.einsum("rd,rd->r", good_RG[:, start : start + block] @ wins_GD, defective_RD)
    aurocs_R: Floats = sums_R / (len(good) * len(defective))
    return float(aurocs_R[0]), aurocs_R[1:]


def _rows(scores_SN: ArrayLike, labels_N: NDArray[np.generic]) -> Floats:
    rows_SN = np.asarray(scores_SN, dtype=np.float64)
    if rows_SN.ndim != 2 or not len(rows_SN) or labels_N.shape != rows_SN.shape[1:]:
        raise MetricsError(
            f"resampling needs rows of one score for each label, not scores of shape {rows_SN.shape} with labels of "
            f"shape {labels_N.shape}"
        )
    if not np.isfinite(rows_SN).all():
        raise MetricsError(f"{int((~np.isfinite(rows_SN)).sum())} image scores are not finite")
    return rows_SN


def _counts(rng: np.random.Generator, images: int, resamples: int) -> Floats:
    """How often each image is drawn."""
    drawn_RN = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    return np.concatenate([np.ones((1, images)), drawn_RN])


def _wins(scores_SN: Floats, good: NDArray[np.intp], defective: NDArray[np.intp]) -> Floats:
    """How often the defective image scores above the good one, mean over seeds, ties counting one half: (G, D)."""
    wins_GD = np.zeros((len(good), len(defective)))
    for scores_N in scores_SN:
        good_G1, defective_D = scores_N[good][:, None], scores_N[defective]
        wins_GD += (defective_D > good_G1) + 0.5 * (defective_D == good_G1)
    return wins_GD / len(scores_SN)
