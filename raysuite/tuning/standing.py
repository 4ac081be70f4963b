"""Where a search stands, read from its folder alone: from any shell, also after its driver died."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raysuite.errors import RunError
from raysuite.locks import Owner
from raysuite.runs import Run
from raysuite.storage import Location
from raysuite.tuning.ranking import best_of_each, by_mean_rank
from raysuite.tuning.steering import steering_score
from raysuite.tuning.trials import TrialRecord, last_written, read_trials, rows_of, standings

STATES = ("running", "interrupted", "pending", "stopped", "done", "failed", "invalid")
_WORST = ("invalid", "failed", "interrupted", "running", "stopped", "done")
SKEW_SECONDS = 30.0
"""By how much the clocks of nodes may differ."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Some settings on the categories that are searched together.

    Attributes:
        number: Of the settings.
        rows: A record a category.
        state: One of `STATES`, of the worst of them.
    """

    number: int
    rows: tuple[TrialRecord, ...]
    state: str

    @property
    def values(self) -> Mapping[str, Any]:
        """What was searched, by key."""
        return self.rows[0].values

    @property
    def reason(self) -> str | None:
        """Why it failed, is invalid, or was stopped."""
        return next((row.reason for row in self.rows if row.reason is not None), None)

    @property
    def steps(self) -> int:
        """Steps that all its nets have done."""
        return min(row.steps for row in self.rows)

    @property
    def score(self) -> float | None:
        """At its last rung, over the categories; ``None`` if it lacks one, or came to nothing."""
        return None if any(row.reached is None for row in self.rows) else self.score_at(self.steps)

    def score_at(self, steps: int) -> float | None:
        """After so many steps, over the categories."""
        known = [score for row in self.rows if (score := row.score_at(steps)) is not None]
        return steering_score(known) if known and len(known) == len(self.rows) else None

    def curve(self) -> list[tuple[int, float]]:
        """Steps and score of each rung that it has a score at, over the categories."""
        rungs = sorted({rung.steps for row in self.rows for rung in row.curve})
        return [(steps, score) for steps in rungs if (score := self.score_at(steps)) is not None]

    @property
    def seconds(self) -> float:
        """What it cost, to the last rung."""
        return sum(row.seconds for row in self.rows)

    @property
    def started(self) -> float | None:
        """When it began, seconds since 1970."""
        return min((row.started for row in self.rows if row.started is not None), default=None)

    @property
    def ended(self) -> float | None:
        """When it was over; ``None`` while it is not, or where nobody could write it down."""
        ends = [row.ended for row in self.rows]
        return None if any(end is None for end in ends) else max(end for end in ends if end is not None)

    @property
    def node(self) -> str | None:
        """Name of the machine."""
        return self.rows[0].node

    def mean(self, name: str) -> float | None:
        """Of a figure of its records, such as ``latency_ms``."""
        known = [value for row in self.rows if (value := getattr(row, name)) is not None]
        return statistics.fmean(known) if known else None


@dataclass(frozen=True, slots=True)
class Group:
    """Trials that compete: of all categories together, or of one.

    Attributes:
        categories: What they are trained on.
        trials: By number.
    """

    categories: tuple[str, ...]
    trials: tuple[Trial, ...]

    @property
    def title(self) -> str:
        """Its categories in words."""
        return ", ".join(self.categories)

    @property
    def best(self) -> Trial | None:
        """The trial that wins as things stand; ``None`` without a score."""
        of = standings([row for trial in self.trials for row in trial.rows])
        if len(self.categories) == 1:
            number = best_of_each(of).get(self.categories[0])
        else:
            number = next((ranked.number for ranked in by_mean_rank(of)), None)
        return next((trial for trial in self.trials if trial.number == number), None)


@dataclass(frozen=True)
class SearchStanding:
    """A search as its folder tells it.

    Attributes:
        run: The run folder that it is too.
        owner: Who works on it, or did when it ended without a word; ``None`` for nobody.
        card: ``search.json``: what decides about it.
        plan: ``plan.json``: what its last command asked for; empty where an older raysuite made the folder.
        spent: Seconds that were spent on searching.
        groups: Its trials.
    """

    run: Run
    owner: Owner | None
    card: Mapping[str, Any]
    plan: Mapping[str, Any]
    spent: float
    groups: tuple[Group, ...]

    @property
    def oracle(self) -> bool:
        """Whether trials are chosen with test labels."""
        return self.card.get("objective") == "oracle"

    @property
    def is_worked_on(self) -> bool:
        """Whether a living command works on it."""
        return self.owner is not None and self.owner.is_alive

    @property
    def rungs(self) -> tuple[int, ...]:
        """Steps at which trials are scored."""
        return tuple(self.card["rungs"])

    @property
    def wanted(self) -> int | None:
        """Trials that there are to be in all; ``None`` if nobody noted it, or time alone ends the search."""
        each = self.plan.get("trials_each")
        return None if each is None else int(each) * len(self.groups)

    @cached_property
    def totals(self) -> dict[str, int]:
        """How many trials are in which state, pending ones too; states without any are left out."""
        counted = Counter(trial.state for group in self.groups for trial in group.trials)
        if self.wanted is not None:
            counted["pending"] = max(0, self.wanted - counted.total())
        return {state: counted[state] for state in STATES if counted[state]}


def is_search(root: Location) -> bool:
    """Whether a run folder is that of a search."""
    return (root / "search.json").is_file()


def standing(run: Run) -> SearchStanding:
    """Where a search stands.

    Raises:
        RunError: Its notes are damaged.
        StorageError: They cannot be read.
    """
    owner = Owner.of(run.root)
    card, plan = _card(run.root / "search.json"), _card(run.root / "plan.json")
    spent = _card(run.root / "spent.json")
    try:
        categories = [str(one) for one in card["categories"]]
        groups = [(one,) for one in categories] if card["per_category"] else [tuple(categories)]
        seconds = float(spent.get("seconds", 0.0))
        tuple(card["rungs"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run.root}/search.json is damaged ({type(error).__name__}: {error})") from error
    folder = rows_of(run.root)
    records = read_trials(folder)
    alive = owner if owner is not None and owner.is_alive else None
    states = {(row.number, row.category): _state(folder, row, alive) for row in records}
    return SearchStanding(run, owner, card, plan, seconds, tuple(_group(one, records, states) for one in groups))


def _group(categories: tuple[str, ...], records: Sequence[TrialRecord], states: Mapping[tuple[int, str], str]) -> Group:
    of: dict[int, list[TrialRecord]] = {}
    for record in records:
        if record.category in categories:
            of.setdefault(record.number, []).append(record)
    trials = []
    for number, rows in sorted(of.items()):
        state = min((states[number, row.category] for row in rows), key=_WORST.index)
        trials.append(Trial(number, tuple(rows), state))
    return Group(categories, tuple(trials))


def _state(folder: Location, record: TrialRecord, owner: Owner | None) -> str:
    """A trial that nobody has written of since the command at work began is of one before it, and waits."""
    if record.state != "running":
        return record.state
    written = last_written(folder, record.number, record.category)
    is_old = owner is None or 0 < written < owner.started - SKEW_SECONDS
    return "interrupted" if is_old else "running"


def _card(file: Location) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        card = json.loads(file.read_text())
    except ValueError as error:
        raise RunError(f"{file} is damaged ({error})") from error
    if not isinstance(card, dict):
        raise RunError(f"{file} is damaged: it holds no mapping")
    return card
