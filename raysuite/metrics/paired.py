"""Whether two detectors differ by more than chance, when both were measured on the same images or categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from raysuite.errors import MetricsError
from raysuite.metrics.resampling import ROUNDING, Floats, auroc_draws, check

FEWEST = 4
"""Differences that an interval is made of, at least."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much more one has than the other.

    Attributes:
        value: The difference that was measured, in -1 to 1.
        low: Lower end of its 95 % confidence interval; None where so few pairs bound nothing.
        high: Upper end.
        p_value: Chance of a difference at least as large if there is none, two-sided; above 0, at most 1.
    """

    value: float
    low: float | None
    high: float | None
    p_value: float


def auroc_difference(
    scores_SN: ArrayLike,
    baseline_TN: ArrayLike,
    labels_N: ArrayLike,
    *,
    seed: int = 0,
    resamples: int = 5000,
    level: float = 0.95,
) -> Difference | None:
    """Difference of image AUROC of two detectors on the same test images, by the paired percentile bootstrap.

    Test images are drawn with replacement, good and defective ones apart, and both detectors are measured on each draw,
    so that an image which is hard for both does not count as doubt about their difference. With several seeds each, the
    difference is that of the means over seeds, all on the same draw. It covers the choice of test images, not that of
    the training seed. The p-value is twice the smaller share of draws on either side of 0, the measured value counting
    as one more draw. Source: Efron & Tibshirani, "An Introduction to the Bootstrap" (1993), chapters 13 and 15.4.

    Args:
        scores_SN: A row of scores a seed, over the N test images; finite, higher is more anomalous.
        baseline_TN: The same of what it is compared with, the images in the same order; as many seeds or other ones.
        labels_N: 0 for good, 1 for defect.
        seed: Equal seeds give equal results.
        resamples: How many draws, at least 1.
        level: Share of draws inside the interval, between 0 and 1.

    Returns:
        Scores' AUROC less the baseline's, or ``None`` unless there are images of both kinds.

    Raises:
        MetricsError: Shapes do not match, a score is not finite, or a label, the level or a number is out of range.
    """
    check(resamples, level)
    found = auroc_draws(scores_SN, labels_N, less_TN=baseline_TN, seed=seed, resamples=resamples)
    if found is None:
        return None
    value, drawn_R = found
    drawn_R[np.abs(drawn_R) < ROUNDING] = 0.0
    low, high = np.quantile(drawn_R, [(1 - level) / 2, (1 + level) / 2])
    beyond = 1 + min(int((drawn_R <= 0).sum()), int((drawn_R >= 0).sum()))
    return Difference(value, float(low), float(high), min(1.0, 2 * beyond / (resamples + 1)))


def mean_difference(
    differences_N: ArrayLike, *, seed: int = 0, resamples: int = 10_000, level: float = 0.95
) -> Difference | None:
    """Mean of paired differences, such as one a category, by the symmetric bootstrap-t.

    The differences are centred and drawn with replacement; the p-value is the share of draws whose Student's t is as
    far from 0 as the measured one, and the interval is the mean ± the quantile of ``|t|`` that belongs to the level
    times the standard error, so that it leaves out 0 exactly where the p-value is below 1 - level (but for draws that
    are equal). Student's t, not the mean, is what is compared, because the plain percentile interval of so few values
    as a benchmark has categories is too narrow. Of fewer than four values no interval is bounded: three draws of the
    same value are too likely. Source: Efron & Tibshirani (1993), sections 12.5 and 16.4; symmetric intervals: Hall, "On
    symmetric bootstrap confidence intervals", J. R. Stat. Soc. B 50 (1988).

    Args:
        differences_N: Independent differences, each that of one pair; finite.
        seed: Equal seeds give equal results.
        resamples: How many draws, at least 1.
        level: Coverage of the interval, between 0 and 1.

    Returns:
        The mean difference, or ``None`` of nothing. It has no interval, and p = 1, of fewer than `FEWEST`, or if all
        are the same and not 0.

    Raises:
        MetricsError: A difference is not finite, or a number is out of range.
    """
    check(resamples, level)
    values_N = np.asarray(differences_N, dtype=np.float64)
    if values_N.ndim != 1 or not np.isfinite(values_N).all():
        raise MetricsError("paired differences must be a row of finite numbers")
    if not len(values_N):
        return None
    mean = float(values_N.mean())
    if len(values_N) < FEWEST or (values_N.std() < ROUNDING < abs(mean)):
        # Figures of few images come in large steps and are easily the same: that says nothing of how others differ.
        return Difference(mean, None, None, 1.0)
    error = _standard_errors(values_N[None])[0]
    drawn_RN = np.random.default_rng(seed).choice(values_N - mean, size=(resamples, len(values_N)))
    measured_R = np.abs(_students(drawn_RN.mean(axis=1), _standard_errors(drawn_RN)))
    measured = float(np.abs(_students(np.array([mean]), np.array([error])))[0])
    p_value = float(1 + (measured_R >= measured - ROUNDING).sum()) / (resamples + 1)
    reach = float(np.quantile(measured_R, level, method="higher")) * error if error else 0.0
    if not np.isfinite(reach):
        return Difference(mean, None, None, p_value)
    return Difference(mean, mean - reach, mean + reach, p_value)


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """P-values that may each be held against one level though there are many, in the order given.

    The chance that any of those without a difference falls below the level is at most the level, whatever depends on
    what. Source: Holm, "A simple sequentially rejective multiple test procedure", Scand. J. Stat. 6 (1979).
    """
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, at in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[at]))
        adjusted[at] = highest
    return tuple(adjusted)


def _standard_errors(values_RN: Floats) -> Floats:
    errors_R: Floats = values_RN.std(axis=1, ddof=1) / np.sqrt(values_RN.shape[1])
    return np.where(errors_R < ROUNDING, 0.0, errors_R)


def _students(means_R: Floats, errors_R: Floats) -> Floats:
    """Student's t; infinite where all values are the same, and 0 where they are all 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        students_R: Floats = means_R / errors_R
    students_R[np.abs(means_R) < ROUNDING] = 0.0
    return students_R
