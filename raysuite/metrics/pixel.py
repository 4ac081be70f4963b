"""Pixel metrics of one category from its mergeable histograms.

AUPRO is that of Bergmann et al., "The MVTec Anomaly Detection Dataset", IJCV 129 (2021): the covered fraction of a
ground-truth region, averaged over all regions, against the false positive rate of all defect-free pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from raysuite.metrics.bounds import aupro_bound, auroc_bound, average_precision_bound, f1_max_bound
from raysuite.metrics.curves import Curve
from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.ranking import Ranking, from_origin

AUPRO_LIMIT = 0.3
"""AUPRO integrates up to this false positive rate."""


@dataclass(frozen=True, slots=True)
class PixelMetrics:
    """Metrics over all pixels of all test images; all in 0 to 1, and all ``None`` where they are not defined.

    They are defined when there are defect pixels and defect-free pixels. No exact value is further from the one given
    here than its error bound, which is 0 when every bin is a single value.

    Attributes:
        auroc: Area under the ROC curve.
        ap: Average precision.
        f1_max: Largest F1 over all thresholds; an oracle, for it uses the test labels.
        f1_threshold: The threshold t that reaches it, a pixel being a defect if ``score >= t``; same unit as scores.
        aupro: Area under the per-region overlap up to `AUPRO_LIMIT`, divided by that limit.
        error_bound: Of ``auroc``.
        ap_error_bound: Of ``ap``.
        f1_error_bound: Of ``f1_max``.
        aupro_error_bound: Of ``aupro``.
    """

    auroc: float | None = None
    ap: float | None = None
    f1_max: float | None = None
    f1_threshold: float | None = None
    aupro: float | None = None
    error_bound: float | None = None
    ap_error_bound: float | None = None
    f1_error_bound: float | None = None
    aupro_error_bound: float | None = None


def pixel_metrics(histograms: PixelHistograms) -> PixelMetrics:
    """Compute all pixel metrics of one category."""
    ranking = _ranking(histograms)
    if not ranking.is_defined:
        return PixelMetrics()
    pro = _pro(histograms, ranking)
    f1_max, f1_threshold = ranking.f1_max()
    return PixelMetrics(
        auroc=ranking.auroc(),
        ap=ranking.average_precision(),
        f1_max=f1_max,
        f1_threshold=f1_threshold,
        aupro=pro.area(AUPRO_LIMIT) / AUPRO_LIMIT,
        error_bound=auroc_bound(ranking),
        ap_error_bound=average_precision_bound(ranking),
        f1_error_bound=f1_max_bound(ranking),
        aupro_error_bound=aupro_bound(pro, ranking.mixed, AUPRO_LIMIT),
    )


def pixel_curves(histograms: PixelHistograms, max_points: int = 500) -> dict[str, Curve]:
    """Curves for plots, of at most ``max_points`` points each.

    Returns:
        ``pixel_roc`` (false positive rate, recall), ``pixel_pr`` (recall, precision) and ``pro`` (false positive
        rate, per-region overlap); nothing when they are not defined.
    """
    ranking = _ranking(histograms)
    if not ranking.is_defined:
        return {}
    return {
        "pixel_roc": ranking.roc().thinned(max_points, dense_until=AUPRO_LIMIT),
        "pixel_pr": ranking.precision_recall().thinned(max_points),
        "pro": _pro(histograms, ranking).thinned(max_points, dense_until=AUPRO_LIMIT),
    }


def _ranking(histograms: PixelHistograms) -> Ranking:
    bins = histograms.bins
    return Ranking.of_counts(bins.thresholds, bins.counts[0], bins.counts[1], bins.mixed)


def _pro(histograms: PixelHistograms, ranking: Ranking) -> Curve:
    covered_P = from_origin(np.cumsum(histograms.bins.counts[2, ::-1]))
    # Divided by its own sum, so that the rounding of the weights cannot keep the curve from ending at 1.
    return Curve(from_origin(ranking.false_positives) / ranking.good, covered_P / covered_P[-1])
