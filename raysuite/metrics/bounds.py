"""How far a pixel metric can be from its exact value because scores in one bin cannot be told apart.

Inside a bin of several values the true curve runs somewhere in the rectangle between the points before and after it.
Each bound takes the worst path through every such rectangle, so the exact value is never further away; mostly it is
far closer, because the true paths wind around the diagonal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from raysuite.metrics.curves import Curve
from raysuite.metrics.ranking import Ranking, from_origin


def auroc_bound(ranking: Ranking) -> float:
    """½ Σ goodᵢ defectiveᵢ / (good · defective) over the mixed bins i."""
    good_B = np.diff(ranking.false_positives, prepend=0).astype(np.float64)
    defective_B = np.diff(ranking.true_positives, prepend=0)
    return float((good_B * defective_B)[ranking.mixed].sum()) / (2 * ranking.good * ranking.defective)


def average_precision_bound(ranking: Ranking) -> float:
    """The metric against all of a bin's defective pixels coming before, or after, all of its good ones."""
    defective_B = np.diff(ranking.true_positives, prepend=0)
    before_B, after_B = from_origin(ranking.true_positives)[:-1], ranking.true_positives
    passed_B, met_B = from_origin(ranking.false_positives)[:-1], ranking.false_positives
    tied_B = after_B / (after_B + met_B)
    best_B = np.where(ranking.mixed, after_B / np.maximum(after_B + passed_B, 1), tied_B)
    worst_B = np.where(ranking.mixed, (before_B + 1) / (before_B + 1 + met_B), tied_B)
    best, worst = (float((defective_B * precision_B).sum()) / ranking.defective for precision_B in (best_B, worst_B))
    value = ranking.average_precision()
    return max(best - value, value - worst, 0.0)


def f1_max_bound(ranking: Ranking) -> float:
    """The metric against a threshold inside a bin that parts all of its defective pixels from its good ones."""
    good_B = np.where(ranking.mixed, from_origin(ranking.false_positives)[:-1], ranking.false_positives)
    best_B = 2 * ranking.true_positives / (ranking.true_positives + good_B + ranking.defective)
    return float(best_B.max()) - ranking.f1_max()[0]


def aupro_bound(pro: Curve, mixed_B: NDArray[np.bool_], limit: float) -> float:
    """Half of every rectangle left of the limit, and what a path may make of the one that the limit cuts."""
    width_B, height_B = np.diff(pro.x), np.diff(pro.y)
    inside_B = np.clip(limit - pro.x[:-1], 0, width_B)
    share_B = np.divide(inside_B, width_B, out=np.zeros_like(width_B), where=width_B > 0)
    return float((inside_B * height_B * (1 - share_B / 2))[mixed_B].sum()) / limit
