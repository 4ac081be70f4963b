"""Which settings win: in one category, or shared over several by their mean rank.

Scores of different categories have no common scale, so they are never averaged: ranks are. A trial that was stopped
early was beaten by those that went on, so how far it came counts before its score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


class Reached(NamedTuple):
    """How a trial stands in one category; larger is better.

    Attributes:
        steps: Steps it was trained for, up to the last rung it was scored at.
        score: Its score there, in [0, 1].
    """

    steps: int
    score: float


Standings = Mapping[str, Mapping[int, Reached | None]]
"""By category, then by the number of the settings; ``None``, or not there, for those without a score."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """Settings among all others, over all categories.

    Attributes:
        number: Of the settings.
        mean_rank: Mean over the categories; 1 is the best of all everywhere.
        ranks: By category; ties share the mean of their ranks, and so do those without a score, behind all others.
        missing: Categories in which they have no score.
    """

    number: int
    mean_rank: float
    ranks: dict[str, float]
    missing: tuple[str, ...]


def best_of_each(standings: Standings) -> dict[str, int | None]:
    """The number of the best settings of each category, the earlier of equals; ``None`` where none has a score."""
    best: dict[str, int | None] = {}
    for category, of in standings.items():
        known = [(reached, -number) for number, reached in of.items() if reached is not None]
        best[category] = -max(known)[1] if known else None
    return best


def by_mean_rank(standings: Standings) -> list[Ranked]:
    """All settings that have a score somewhere, the best to share first.

    Settings without a score in a category are behind all others there: what fails in a category, or was never tried in
    it, cannot be recommended for it. Of equal mean ranks that with fewer missing scores is first, then the one with the
    higher mean score, then the earlier.
    """
    from scipy.stats import rankdata  # noqa: PLC0415 -- takes most of a second, which the command line has no use for

    numbers = sorted({number for of in standings.values() for number, reached in of.items() if reached is not None})
    ranks: dict[str, dict[int, float]] = {}
    for category, of in standings.items():
        known = sorted({reached for reached in of.values() if reached is not None})
        # Equal standings have one place, those without any the lowest.
        place = {reached: index + 1 for index, reached in enumerate(known)}
        places = [place[reached] if (reached := of.get(number)) is not None else 0 for number in numbers]
        ranks[category] = dict(zip(numbers, map(float, rankdata(-np.array(places))), strict=True)) if numbers else {}

    def ranked(number: int) -> Ranked:
        own = {category: ranks[category][number] for category in standings}
        missing = tuple(category for category, of in standings.items() if of.get(number) is None)
        return Ranked(number, float(np.mean(list(own.values()))), own, missing)

    def order(one: Ranked) -> tuple[float, int, float, int]:
        scores = [reached.score for of in standings.values() if (reached := of.get(one.number)) is not None]
        return (round(one.mean_rank, 9), len(one.missing), -float(np.mean(scores)), one.number)

    return sorted(map(ranked, numbers), key=order)
