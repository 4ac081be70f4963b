"""The record of a trial: what was tried, how it went, what it cost. One file a trial, written as it goes.

Each write replaces the trial's whole file, which appears whole or not at all: a search that is killed at any point
loses no trial, and of the one it was at no more than what came after its last rung.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args
from urllib.parse import quote

import pyarrow as pa

from raysuite import settings
from raysuite.config import Config
from raysuite.errors import ConfigError, RunError
from raysuite.storage import Location
from raysuite.tuning.ranking import Reached

ADDED = {"seconds_after_rung", "objective"}
"""Columns that rows of older versions lack."""

State = Literal["running", "done", "stopped", "failed", "invalid"]
STATES: tuple[str, ...] = get_args(State)

_RUNG = pa.struct(
    [("steps", pa.int64()), ("score", pa.float64()), ("residual", pa.float64()), ("seconds", pa.float64())]
)
SCHEMA = pa.schema(
    [
        pa.field("number", pa.int64(), nullable=False),
        pa.field("category", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),
        ("reason", pa.string()),
        ("config", pa.string()),
        ("values", pa.string()),
        ("steps", pa.int64()),
        ("curve", pa.list_(_RUNG)),
        ("score", pa.float64()),
        ("judged", pa.float64()),
        ("residual", pa.float64()),
        ("families", pa.string()),
        ("parameters", pa.int64()),
        ("latency_ms", pa.float64()),
        ("seconds", pa.float64()),
        ("seconds_after_rung", pa.float64()),
        ("checkpoint", pa.string()),
        ("started", pa.float64()),
        ("ended", pa.float64()),
        ("node", pa.string()),
        ("objective", pa.string()),
    ]
)
"""Columns of a trial's file and of the table of all: the fields of `TrialRecord`; mappings are JSON."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A trial's score after some steps.

    Attributes:
        steps: Steps done.
        score: The objective, in [0, 1]; ``None`` where it is not defined, which is also what no finite number becomes.
        residual: Mean difference that good images keep, in the unit of ``detection.error``; ``None`` likewise.
        seconds: Of the trial so far.
    """

    steps: int
    score: float | None
    residual: float | None
    seconds: float

    def __post_init__(self) -> None:
        for name in ("score", "residual"):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                object.__setattr__(self, name, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """A trial of some settings on one category.

    Attributes:
        number: Of the settings, from 0; trials of the same settings on several categories share it.
        category: What it was trained on.
        seed: Of its training.
        state: ``running``; ``done``; ``stopped`` early, because others were better; ``failed``; or ``invalid``, because
            the config refuses the settings together: nothing was trained.
        reason: Why it failed, is invalid, or was stopped.
        values: What was searched, by key; active values alone.
        config: All settings, as `raysuite.settings.to_mapping` gives them; ``None`` if invalid.
        curve: Its rungs, steps rising.
        judged: Score from the families that steer nothing; ``None`` if they were not asked about.
        families: Figures of each family at the last rung (`raysuite.tuning.objective.Marks`).
        parameters: Of the net.
        latency_ms: Of a forward pass of one image, in milliseconds.
        seconds_after_rung: What it cost after its last rung: of one that failed before the next.
        checkpoint: Where its last checkpoint lies; ``None`` if there is none.
        started: Seconds since 1970.
        ended: Seconds since 1970; ``None`` while running.
        node: Name of the machine.
        objective: What the score is by: ``good`` images alone, or the labels of the test images, as an ``oracle``;
            ``None`` where an older raysuite wrote the row.
    """

    number: int
    category: str
    seed: int
    state: State = "running"
    reason: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    curve: tuple[Rung, ...] = ()
    judged: float | None = None
    families: Mapping[str, Any] = field(default_factory=dict)
    parameters: int | None = None
    latency_ms: float | None = None
    seconds_after_rung: float = 0.0
    checkpoint: str | None = None
    started: float | None = None
    ended: float | None = None
    node: str | None = None
    objective: str | None = None

    @property
    def steps(self) -> int:
        """Steps at the last rung; 0 before the first."""
        return self.curve[-1].steps if self.curve else 0

    @property
    def score(self) -> float | None:
        """Score at the last rung."""
        return self.curve[-1].score if self.curve else None

    @property
    def residual(self) -> float | None:
        """Residual at the last rung."""
        return self.curve[-1].residual if self.curve else None

    @property
    def seconds(self) -> float:
        """What it cost."""
        return (self.curve[-1].seconds if self.curve else 0.0) + self.seconds_after_rung

    @property
    def reached(self) -> Reached | None:
        """How it stands among others (`raysuite.tuning.ranking`); ``None`` without a score, or if it failed."""
        if self.score is None or self.state in {"failed", "invalid"}:
            return None
        return Reached(self.steps, self.score)

    def score_at(self, steps: int) -> float | None:
        """Score at the rung of so many steps; ``None`` if it has none there."""
        return next((rung.score for rung in self.curve if rung.steps == steps), None)

    def with_rung(self, rung: Rung) -> TrialRecord:
        """The record with one more rung; a rung that is done again after a stop replaces what was from there on."""
        curve = (*(one for one in self.curve if one.steps < rung.steps), rung)
        return replace(self, curve=curve, seconds_after_rung=0.0)

    def as_config(self) -> Config:
        """Its settings.

        Raises:
            ConfigError: It has none, being invalid, or they are of another version.
        """
        if self.config is None:
            raise ConfigError(f"trial {self.number} of {self.category} has no settings: {self.reason}")
        return settings.from_mapping(self.config)

    def as_row(self) -> dict[str, Any]:
        """A row of `SCHEMA`."""
        row = {name: getattr(self, name) for name in SCHEMA.names}
        row["curve"] = [{one.name: getattr(rung, one.name) for one in fields(Rung)} for rung in self.curve]
        row["values"], row["families"] = json.dumps(dict(self.values)), json.dumps(dict(self.families))
        row["config"] = None if self.config is None else json.dumps(self.config)
        return row

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> TrialRecord:
        """From a row of `SCHEMA`.

        Raises:
            KeyError, TypeError, ValueError: It is none.
        """
        if row["state"] not in STATES:
            raise ValueError(f"its state is {row['state']!r}")
        given = {one.name: row[one.name] for one in fields(cls) if one.name in row or one.name not in ADDED}
        given["values"], given["families"] = json.loads(row["values"]), json.loads(row["families"])
        given["config"] = None if row["config"] is None else json.loads(row["config"])
        if given["config"] is not None:
            # Trials of before there was a choice.
            given["config"]["detection"] = {**settings.ONLY_ERROR, **given["config"]["detection"]}
        given["curve"] = tuple(Rung(**rung) for rung in row["curve"])
        return cls(**given)


def rows_of(root: Location) -> Location:
    """Where in the folder of a search the files of its trials lie."""
    return root / "trials" / "rows"


def write_trial(folder: Location, record: TrialRecord) -> None:
    """Write a trial's file into a folder, in place of what it had; atomic, and safe beside other trials' writers.

    Raises:
        StorageError: The place may not be written.
    """
    _file(folder, record.number, record.category).write_table(pa.Table.from_pylist([record.as_row()], schema=SCHEMA))


def read_trial(folder: Location, number: int, category: str) -> TrialRecord | None:
    """One trial; ``None`` if it has no file.

    Raises:
        StorageError: The file cannot be read.
        RunError: It holds no trial.
    """
    file = _file(folder, number, category)
    return _read(file) if file.is_file() else None


def last_written(folder: Location, number: int, category: str) -> float:
    """When a trial's file was written, seconds since 1970; 0 where the storage does not tell."""
    file = _file(folder, number, category)
    return (file.fs.get_file_info(file.path).mtime_ns or 0) / 1e9


def read_trials(folder: Location) -> list[TrialRecord]:
    """All trials of a folder, by number and category; none if the folder is not there.

    Raises:
        StorageError: A file cannot be read.
        RunError: A file holds no trial.
    """
    if not folder.is_dir():
        return []
    records = []
    for name, is_dir in folder.children():
        if is_dir or not name.endswith(".parquet"):
            continue  # what an interrupted write may have left
        records.append(_read(folder / name))
    return sorted(records, key=lambda record: (record.number, record.category))


def _file(folder: Location, number: int, category: str) -> Location:
    # Names of categories come from strangers. The number comes first, so that listings are in order.
    return folder / f"{number:06d}-{quote(category, safe='')}.parquet"


def _read(file: Location) -> TrialRecord:
    try:
        (row,) = file.read_table().to_pylist()
        return TrialRecord.of_row(row)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{file} holds no trial ({type(error).__name__}: {error}); remove it") from error


def as_table(records: Sequence[TrialRecord]) -> pa.Table:
    """All trials as one table of `SCHEMA`."""
    return pa.Table.from_pylist([record.as_row() for record in records], schema=SCHEMA)


def standings(records: Sequence[TrialRecord]) -> dict[str, dict[int, Reached | None]]:
    """How trials stand, by category and number, for `raysuite.tuning.ranking`."""
    of: dict[str, dict[int, Reached | None]] = {}
    for record in records:
        of.setdefault(record.category, {})[record.number] = record.reached
    return of
