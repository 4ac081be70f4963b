"""All that a search's folder tells, for its page: how it stands, what it came to, and its nets on the test images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysuite import settings
from raysuite.credentials import concealed, concealed_in
from raysuite.errors import ConfigError, RaysuiteError, RunError
from raysuite.runs import Run
from raysuite.storage import Location
from raysuite.tuning.importance import Importances, importances
from raysuite.tuning.space import Space
from raysuite.tuning.spacefile import space_from_mapping
from raysuite.tuning.standing import Group, SearchStanding, Trial, is_search, standing
from raysuite.tuning.trials import TrialRecord


@dataclass(frozen=True, slots=True)
class SearchResults:
    """A search, over or not.

    Attributes:
        standing: Its trials, from their own files.
        space: What is searched.
        summary: ``summary.json``; ``None`` while the search has not come to an end.
        tested: Rows of ``test.parquet``, those without an error.
        provenance: ``provenance.json``.
        config: The text of ``config.yaml`` with credentials concealed.
        problems: Files that could not be read.
    """

    standing: SearchStanding
    space: Space
    summary: Mapping[str, Any] | None
    tested: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    config: str
    problems: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.standing.run.root.name

    @property
    def is_stale(self) -> bool:
        """Whether the summary is of an earlier end: the search went on since."""
        if self.summary is None:
            return False
        trials = [trial for group in self.standing.groups for trial in group.trials]
        steps = sum(row.steps for trial in trials for row in trial.rows)
        return bool(steps != self.summary.get("trained_steps"))

    def outcome(self, group: Group) -> Mapping[str, Any] | None:
        """What the summary says of some trials."""
        outcomes = self.summary["outcomes"] if self.summary is not None else []
        # Older versions wrote them in the order of the data sets.
        return next((one for one in outcomes if sorted(one["categories"]) == sorted(group.categories)), None)

    def default(self, group: Group) -> Trial | None:
        """The trial of the start itself."""
        base = settings.to_mapping(self.standing.run.config)
        return next((trial for trial in group.trials if trial.rows[0].config == base), None)

    def changes(self, trial: Trial) -> dict[str, tuple[Any, Any]]:
        """Settings in which a trial differs from the start: key → start's and its own; none if it is invalid."""
        if trial.rows[0].config is None:
            return {}
        try:
            return settings.differences(self.standing.run.config, trial.rows[0].as_config())
        except ConfigError:
            return {}  # of an older version, with settings that are no more

    def importances(self, group: Group) -> tuple[int, Importances]:
        """Which settings mattered, and after how many steps: the summary's, or of the trials that there are so far."""
        if (outcome := self.outcome(group)) is not None and not self.is_stale:
            told = outcome["importances"]
            return told["steps"], Importances(dict(told["shares"]), told["explained"], told["reason"])
        first = self.standing.rungs[0]
        values = [trial.values for trial in group.trials]
        scores = [trial.score_at(first) for trial in group.trials]
        return first, importances(self.space, values, scores, int(self.standing.card.get("seed", 0)))

    def failed(self) -> list[tuple[Trial, TrialRecord]]:
        """Records that came to nothing."""
        return [
            (trial, row) for group in self.standing.groups for trial in group.trials for row in trial.rows
            if row.state in {"failed", "invalid"}
        ]  # fmt: skip


def load_search(root: Location) -> SearchResults:
    """Read the folder of a search.

    Raises:
        RunError: There is none, or what decides about it is damaged. Other files that are damaged are named, and left
            out.
        StorageError: It cannot be read.
    """
    if not is_search(root):
        raise RunError(f"{root} is no folder of a search: it has no search.json; raysuite tune makes one")
    run, problems = Run.open(root.uri), list[str]()
    found = standing(run)
    try:
        space = space_from_mapping(found.card["space"])
    except (ConfigError, KeyError) as error:
        raise RunError(f"{root}/search.json has no space that can be read: {error}") from error
    tested: list[dict[str, Any]] = []
    if (file := root / "test.parquet").is_file():
        try:
            tested = [row for row in file.read_table().to_pylist() if row["error"] is None]
        except (RaysuiteError, KeyError) as error:
            problems.append(f"test.parquet cannot be read: {error}")
    summary = _mapping(root / "summary.json", problems)
    # As with runs (`raysuite.reporting.results`): older folders hold credentials, which no page may show.
    provenance = concealed_in(_mapping(root / "provenance.json", problems) or {})
    config = concealed((root / "config.yaml").read_text())
    return SearchResults(found, space, summary, tested, provenance, config, tuple(problems))


def _mapping(file: Location, problems: list[str]) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        card = json.loads(file.read_text())
        if isinstance(card, dict):
            return card
        problems.append(f"{file.name} holds no mapping")
    except ValueError as error:
        problems.append(f"{file.name} cannot be read: {error}")
    return None
