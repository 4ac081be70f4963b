"""What steers a search over several categories: one score of the scores of all."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

LEAST_ODDS = 1e-3
"""Nearer to 0 or 1 than this no figure counts: that few images cannot tell."""


def steering_score(scores: Iterable[float]) -> float:
    """The score that steers a search over several categories: the mean of the log odds, in (0, 1) again.

    That one category is harder than another is the same for all trials, and so it makes no difference between them.
    What wins in the end is decided by ranks (`raysuite.tuning.ranking`).
    """
    shares = [min(max(score, LEAST_ODDS), 1 - LEAST_ODDS) for score in scores]
    odds = statistics.fmean(math.log(share / (1 - share)) for share in shares)
    return 1 / (1 + math.exp(-odds))
