"""Whether the best trial of a search is surely better than the default, or has only had luck."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysuite.detection.selection import SURE, log_odds
from raysuite.detection.validation import score_of

Figures = Mapping[str, Mapping[str, float | None]]
"""By family of defects, as `raysuite.detection.validation.validate` gives them."""


@dataclass(frozen=True, slots=True)
class Gain:
    """How much better a trial is than another.

    Attributes:
        odds: Difference of their scores in log odds, the mean over the categories.
        error: Its standard error over another draw of families; infinite with fewer than two.
    """

    odds: float
    error: float

    @property
    def is_sure(self) -> bool:
        """Whether it is more than `SURE` standard errors."""
        return self.odds > SURE * self.error

    def __str__(self) -> str:
        error = f"{self.error:.2f}" if math.isfinite(self.error) else "unknown"
        return f"{self.odds:+.2f} in log odds, standard error {error}"


def gain(trial: Sequence[Figures], default: Sequence[Figures], families: Sequence[str]) -> Gain | None:
    """What a trial gains on the default.

    The best of many scores is too good by selection alone, and what is gained on one family of defects by chance is
    gained on no other: so the difference is judged by how far it depends on the families, by the jackknife (Efron &
    Stein, "The jackknife estimate of variance", Annals of Statistics 9 (1981)).

    Args:
        trial: Its figures, for each category.
        default: The default's, for the same categories.
        families: Those that steer the search; one that was not visible on any image is left out.

    Returns:
        ``None`` if a score is not defined.
    """
    seen = [name for name in families if all(name in of for of in (*trial, *default))]

    def difference(names: Sequence[str]) -> float | None:
        found = []
        for mine, other in zip(trial, default, strict=True):
            scores = [score_of({name: of[name] for name in names}) for of in (mine, other)]
            if scores[0] is None or scores[1] is None:
                return None
            found.append(log_odds(scores[0]) - log_odds(scores[1]))
        return sum(found) / len(found)

    whole = difference(seen)
    if whole is None:
        return None
    without = [one for left in seen if (one := difference([name for name in seen if name != left])) is not None]
    if len(without) < len(seen) or len(seen) < 2:
        return Gain(whole, math.inf)
    mean = sum(without) / len(without)
    return Gain(whole, math.sqrt((len(seen) - 1) / len(seen) * sum((one - mean) ** 2 for one in without)))
