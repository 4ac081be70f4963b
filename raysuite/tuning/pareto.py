"""The Pareto front of trials: quality against what it costs."""

from __future__ import annotations

import math
from collections.abc import Sequence


def pareto_front(qualities: Sequence[float | None], costs: Sequence[float | None]) -> list[int]:
    """Indices of the trials that no other one beats: none is as good and cheaper, or better and no dearer.

    Exact, by one pass over the trials sorted by cost: O(n log n). Trials that are equal in both do not beat one
    another.

    Args:
        qualities: More is better. Trials whose quality or cost is ``None`` or no finite number are left out.
        costs: Less is better: latency, parameters, seconds; as many.

    Returns:
        By rising cost, and so by rising quality; equal trials in their order.
    """
    known = [
        (cost, -quality, index)
        for index, (quality, cost) in enumerate(zip(qualities, costs, strict=True))
        if quality is not None and cost is not None and math.isfinite(quality) and math.isfinite(cost)
    ]
    front: list[int] = []
    best, at = -math.inf, -math.inf
    for cost, negated, index in sorted(known):
        if -negated > best or (-negated == best and cost == at):
            front.append(index)
            best, at = -negated, cost
    return front
