"""Image metrics, exact, from raw scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from raysuite.errors import MetricsError
from raysuite.metrics.curves import Curve
from raysuite.metrics.ranking import Ranking


@dataclass(frozen=True, slots=True)
class ImageMetrics:
    """Metrics over the test images of a category; all in 0 to 1, and ``None`` unless there are images of both kinds.

    Attributes:
        auroc: Area under the ROC curve.
        ap: Average precision.
        f1_max: Largest F1 over all thresholds; an oracle, for it uses the test labels.
        f1_threshold: The threshold t that reaches it, an image being a defect if ``score >= t``; same unit as scores.
    """

    auroc: float | None = None
    ap: float | None = None
    f1_max: float | None = None
    f1_threshold: float | None = None


def image_metrics(scores: ArrayLike, labels: Sequence[int] | ArrayLike) -> ImageMetrics:
    """Compute the image metrics of one category.

    Args:
        scores: (N,) finite numbers of any range, higher is more anomalous; taken as they are, never clamped.
        labels: (N,) 0 for good, 1 for defect. Leave out images whose label is unknown.

    Raises:
        MetricsError: Numbers of scores and labels differ, a score is not finite, or a label is neither 0 nor 1.
    """
    ranking = ranked(scores, labels)
    if not ranking.is_defined:
        return ImageMetrics()
    f1_max, f1_threshold = ranking.f1_max()
    return ImageMetrics(ranking.auroc(), ranking.average_precision(), f1_max, f1_threshold)


def image_curves(scores: ArrayLike, labels: ArrayLike, max_points: int = 500) -> dict[str, Curve]:
    """Curves for plots, of at most ``max_points`` points each; arguments and errors as in `image_metrics`.

    Returns:
        ``image_roc`` (false positive rate, recall) and ``image_pr`` (recall, precision); nothing when not defined.
    """
    ranking = ranked(scores, labels)
    if not ranking.is_defined:
        return {}
    return {
        "image_roc": ranking.roc().thinned(max_points),
        "image_pr": ranking.precision_recall().thinned(max_points),
    }


def ranked(scores: ArrayLike, labels: ArrayLike) -> Ranking:
    """Check and rank image scores; arguments and errors as in `image_metrics`."""
    scores_N = np.asarray(scores, dtype=np.float64)
    labels_N = np.asarray(labels)
    if scores_N.ndim != 1 or scores_N.shape != labels_N.shape:
        raise MetricsError(
            f"image metrics need one label for each score, not scores of shape {scores_N.shape} "
            f"with labels of shape {labels_N.shape}"
        )
    if not np.isfinite(scores_N).all():
        raise MetricsError(f"{int((~np.isfinite(scores_N)).sum())} of {len(scores_N)} image scores are not finite")
    if not np.isin(labels_N, (0, 1)).all():
        raise MetricsError("image labels must be 0 (good) or 1 (defect); leave out images whose label is unknown")
    values_B, inverse_N = np.unique(scores_N, return_inverse=True)
    defective_B = np.bincount(inverse_N[labels_N == 1], minlength=len(values_B))
    good_B = np.bincount(inverse_N[labels_N == 0], minlength=len(values_B))
    return Ranking.of_counts(values_B, good_B, defective_B, np.zeros(len(values_B), np.bool_))
