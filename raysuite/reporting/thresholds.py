"""Counts at a threshold: those of the detector's own, and the scores from which a browser counts at any other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raysuite.reporting.results import SeedResult

MOST = 4000
"""Scores of either label that go into a page. Of more, evenly spaced ones stand for all, and counts are rounded."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Images of one seed by label and by the side of the threshold on which they fell."""

    seed: int
    threshold: float | None
    caught: int
    missed: int
    false_alarms: int
    passed: int

    @property
    def recall(self) -> float | None:
        """Share of the defects that were caught."""
        return _share(self.caught, self.missed)

    @property
    def precision(self) -> float | None:
        """Share of the alarms that are defects."""
        return _share(self.caught, self.false_alarms)

    @property
    def false_alarm_rate(self) -> float | None:
        """Share of the good images above the threshold."""
        return _share(self.false_alarms, self.passed)


def confusion(run: SeedResult) -> Confusion:
    """Counts at the threshold that the detector carries."""
    tally = Counter((score.label, score.anomalous) for score in run.scores)
    return Confusion(
        seed=run.seed,
        threshold=run.values.get("threshold"),
        caught=tally[1, True],
        missed=tally[1, False],
        false_alarms=tally[0, True],
        passed=tally[0, False],
    )


def sliding(runs: Sequence[SeedResult]) -> list[dict[str, Any]]:
    """What a threshold slider needs, a mapping a seed: threshold, sorted scores, and how many images they stand for.

    Seeds without a threshold or without scores of both labels are left out.
    """
    found = []
    for run in runs:
        threshold = run.values.get("threshold")
        good, defect = (
            sorted(s.score for s in run.scores if s.label == label and s.score is not None) for label in (0, 1)
        )
        if threshold is None or not good or not defect:
            continue
        found.append(
            {
                "seed": run.seed,
                "threshold": threshold,
                "good": _some(good),
                "defect": _some(defect),
                "n_good": len(good),
                "n_defect": len(defect),
            }
        )
    return found


def _some(scores: Sequence[float]) -> list[float]:
    # As many digits as it takes to tell apart what a float32 score tells apart: with fewer, counts would change.
    step = math.ceil(len(scores) / MOST)
    return [float(f"{score:.9g}") for score in scores[step // 2 :: step]]


def _share(part: int, rest: int) -> float | None:
    return part / (part + rest) if part + rest else None
