"""What a search exports to Ray's metrics, for Prometheus and Grafana.

A trial's number is no tag: a search has hundreds. What is said of single trials is in the search's folder.
"""

from __future__ import annotations

from collections import Counter as Counting
from collections.abc import Mapping, Sequence

from ray.util.metrics import Counter, Gauge

from raysuite.pipelines.exported import as_tag
from raysuite.pipelines.lasting import Lasting
from raysuite.tuning.trials import STATES, TrialRecord

ALL = "all"
"""The tag ``search`` of a search that has several categories; else it is the category."""


class SearchExported(Lasting):
    """The metrics of one search, to be made once, in the driver, when it is connected to Ray; they last to its end."""

    def __init__(
        self,
        categories: Sequence[str],
        objective: str,
        trials: int,
        known: Mapping[int, Sequence[TrialRecord]],
        over: Sequence[int],
    ) -> None:
        """Begin with what is known of a search that goes on.

        Args:
            categories: What each trial is trained on.
            objective: What scores are by, ``good`` or ``oracle``: a tag, so that no query takes one for the other.
            trials: How many there are to be.
            known: Trial's number → its rows.
            over: Numbers of those that will not go on.
        """
        super().__init__()
        self._tags = {"search": as_tag(categories[0]) if len(categories) == 1 else ALL}
        self._categories, self._objective, self._trials = len(categories), objective, trials
        self._state = Gauge("raysuite_trials", "Trials in each state.", ("search", "state"))
        self._steps = Counter("raysuite_tuning_steps", "Steps done by trials, at their last rungs.", ("search",))
        self._seconds = Gauge("raysuite_tuning_seconds", "Seconds spent searching, in all commands.", ("search",))
        self._best = Gauge(
            "raysuite_tuning_best_score", "Of the trials that are over.", ("category", "steps", "objective")
        )
        self._bests: dict[tuple[str, int], float] = {}
        self._states: dict[int, str] = {}
        self._reached = {
            number: min(row.steps for row in rows) for number, rows in known.items() if len(rows) == len(categories)
        }
        for number in over:
            self.over(number, known[number])
        self._count()

    def began(self, number: int) -> None:
        """A trial starts, or goes on."""
        self._states[number] = "running"
        self._count()

    def reached(self, number: int, steps: int) -> None:
        """A trial has a score after so many steps of each of its trainings."""
        # One that goes on where an earlier command stopped has done these steps then.
        new = steps - self._reached.get(number, 0)
        if new > 0:
            self._reached[number] = steps
            self._steps.inc(new * self._categories, self._tags)

    def over(self, number: int, rows: Sequence[TrialRecord]) -> None:
        """A trial has ended with these rows; with none if it had not begun."""
        self._states.pop(number, None)
        if rows:
            self._states[number] = outcome_of(rows).state
        for row in rows:
            for rung in row.curve:
                key = (as_tag(row.category), rung.steps)
                if rung.score is not None and rung.score > self._bests.get(key, -1.0):
                    self._bests[key] = rung.score
                    tags = {"category": key[0], "steps": str(rung.steps), "objective": self._objective}
                    self.set(self._best, rung.score, tags)
        self._count()

    def spent(self, seconds: float) -> None:
        """So much time has been spent in all."""
        self.set(self._seconds, seconds, self._tags)

    def _count(self) -> None:
        counts = Counting(self._states.values())
        for state in STATES:
            self.set(self._state, counts[state], {**self._tags, "state": state})
        self.set(self._state, max(0, self._trials - counts.total()), {**self._tags, "state": "pending"})


def outcome_of(rows: Sequence[TrialRecord]) -> TrialRecord:
    """The row that says how a trial of several categories ended: one that failed, else one that was stopped."""
    for states in ({"failed", "invalid"}, {"stopped"}):
        for row in rows:
            if row.state in states:
                return row
    return rows[0]
