"""Does what a search found beat what it started from, and did its objective rank trials as the test does?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, spearmanr, t

Pair = tuple[str, int]
"""A category and a seed."""

NO_SPREAD = 1e-9
"""Standard deviation of differences, as fractions, below which they are all the same but for rounding."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Winner against default, on a metric in [0, 1] of which more is better.

    Attributes:
        outcome: ``better``, ``worse``, ``no difference shown``, or ``unknown`` without two pairs, or where
            all differ by the same and not by 0.
        difference: Mean of winner minus default, as a fraction, each category counting the same; ``None`` without a
            pair.
        low: Lower end of its 95 % interval; ``None`` where that is unknown.
        high: Upper end.
        pairs: How many there are.
        missing: Pairs of which one side is missing.
        by_category: Mean of winner minus default in each category that has a pair.
        over: What the interval is over: ``6 categories``, or ``5 seeds`` of a single one.
        words: All of that in a sentence, in points (hundredths).
    """

    outcome: str
    difference: float | None
    low: float | None
    high: float | None
    pairs: int
    missing: tuple[Pair, ...]
    by_category: Mapping[str, float]
    over: str
    words: str


@dataclass(frozen=True, slots=True)
class Correlation:
    """Spearman's rank correlation.

    Attributes:
        rho: From -1 to 1; ``None`` where it is not defined.
        low: Lower end of its 95 % interval; ``None`` with fewer than five trials.
        high: Upper end.
        trials: How many have both figures.
        words: All of that in a sentence.
    """

    rho: float | None
    low: float | None
    high: float | None
    trials: int
    words: str


def verdict(
    winner: Mapping[Pair, float | None], default: Mapping[Pair, float | None], *, level: float = 0.95
) -> Verdict:
    """Compare two settings on the same categories and fresh seeds.

    Differences are taken within a pair, so that what makes a category hard for both cancels. Seeds of a category are
    alike in what its images favour: as if they were independent they would make the interval too narrow. So with two
    categories or more their means are what it is over, and it is about more categories like these; with one it is over
    its seeds, and about that category alone. It is that of a paired t: a percentile bootstrap is too narrow, of 12
    figures it claims a difference that is not there in 9 % of cases instead of 5.

    Args:
        winner: The metric of the winner's detectors, in [0, 1]; ``None`` where one failed.
        default: The same of the default's.
        level: Share of such intervals that hold the truth, between 0 and 1.
    """
    both = list(dict.fromkeys([*winner, *default]))
    known: dict[str, list[float]] = {}
    missing = []
    for pair in both:
        one, other = winner.get(pair), default.get(pair)
        if one is None or other is None or not (math.isfinite(one) and math.isfinite(other)):
            missing.append(pair)
        else:
            known.setdefault(pair[0], []).append(one - other)
    pairs = sum(map(len, known.values()))
    by_category = {category: statistics.fmean(differences) for category, differences in known.items()}
    left = f"; {len(missing)} of {len(both)} pairs are missing" if missing else ""
    if pairs < 2:
        difference = next(iter(by_category.values()), None)
        told = f" ({100 * difference:+.1f} points in it)" if difference is not None else ""
        words = f"nothing can be said: that takes two seeds or two categories, and there is {pairs}{told}"
        return Verdict("unknown", difference, None, None, pairs, tuple(missing), by_category, "nothing", words + left)
    several = len(known) > 1
    differences_N = np.array(list(by_category.values()) if several else next(iter(known.values())), dtype=np.float64)
    n, mean, spread = len(differences_N), float(differences_N.mean()), float(differences_N.std(ddof=1))
    over = f"{n} {'categories' if several else 'seeds'}"
    if spread < NO_SPREAD < abs(mean):
        words = (
            f"nothing can be said: it is {100 * mean:+.1f} points in all {over} alike, as of few images it easily is, "
            "so that nothing is known of how much others would differ"
        )
        return Verdict("unknown", mean, None, None, pairs, tuple(missing), by_category, over, words + left)
    reach = float(t.ppf(0.5 + level / 2, n - 1)) * spread / math.sqrt(n)
    low, high = mean - reach, mean + reach
    outcome = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    interval = f"{100 * level:g} % interval {_points(low)} to {_points(high)}"
    if outcome == "no difference shown":
        words = f"no difference shown: {100 * mean:+.1f} points, {interval}, over {over}"
    else:
        sign = 1 if outcome == "better" else -1
        ends = sorted((sign * low, sign * high))
        words = (
            f"{outcome} by {_points(sign * mean)} points, {100 * level:g} % interval "
            f"{_points(ends[0])} to {_points(ends[1])}, over {over}"
        )
    return Verdict(outcome, mean, low, high, pairs, tuple(missing), by_category, over, words + left)


def rank_correlation(
    objective: Sequence[float | None], test: Sequence[float | None], *, level: float = 0.95
) -> Correlation:
    """How far two figures rank the same trials alike.

    The interval is Bonett & Wright's, "Sample size requirements for estimating Pearson, Kendall and Spearman
    correlations", Psychometrika 65 (2000): Fisher's z with variance (1 + ρ² / 2) / (n - 3).

    Args:
        objective: Of each trial; ``None`` where it has none.
        test: The same trials' test metric; read after the search, for the report alone.
        level: Share of such intervals that hold the truth, between 0 and 1.
    """
    known = [
        (one, other)
        for one, other in zip(objective, test, strict=True)
        if one is not None and other is not None and math.isfinite(one) and math.isfinite(other)
    ]
    n = len(known)
    ones, others = [one for one, _ in known], [other for _, other in known]
    if len(set(ones)) < 2 or len(set(others)) < 2:
        words = f"no rank correlation over {n} trials: it takes two that differ in both figures"
        return Correlation(None, None, None, n, words)
    rho = float(spearmanr(ones, others).statistic)
    if n < 5:
        return Correlation(rho, None, None, n, f"rank correlation {rho:.2f} over {n} trials, too few for an interval")
    # Ranks that agree wholly have an infinite z: taken for those of one pair of neighbours in the wrong order.
    z = math.atanh(max(min(rho, 1 - 12 / (n**3 - n)), -1 + 12 / (n**3 - n)))
    reach = float(norm.ppf(0.5 + level / 2)) * math.sqrt((1 + rho**2 / 2) / (n - 3))
    low, high = min(math.tanh(z - reach), rho), max(math.tanh(z + reach), rho)
    words = f"rank correlation {rho:.2f}, {100 * level:g} % interval {low:.2f} to {high:.2f}, over {n} trials"
    return Correlation(rho, low, high, n, words)


def _points(fraction: float) -> str:
    return f"{100 * fraction:.1f}".replace("-", "−")
