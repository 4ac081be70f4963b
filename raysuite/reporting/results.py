"""A run folder, read into typed values. What a failed run did not leave is listed, not fatal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from raysuite import timeline
from raysuite.config import OBJECTIVES, Config
from raysuite.credentials import concealed, concealed_in
from raysuite.errors import RaysuiteError, RunError, StorageError
from raysuite.reporting.definitions import METRICS
from raysuite.runs import Member, Run
from raysuite.settings import for_objective
from raysuite.storage import Location
from raysuite.tuning.standing import is_search

Floats = npt.NDArray[np.float64]

COUNTS = ("n_train", "n_good", "n_defect", "n_failed", "n_without_mask", "parameters", "steps", "height", "width")
"""Whole numbers of one evaluated run, as columns of ``metrics.parquet``."""

VALIDATION = ("val_score", "val_image_auroc", "val_pixel_auroc", "val_pixel_ap", "val_aupro", "val_residual")
"""Figures on synthetic defects in held-out good images, as columns of ``metrics.parquet``."""

_FLOATS = ("image_auroc_low", "image_auroc_high", "threshold", *VALIDATION, "train_seconds", "evaluate_seconds")
_HISTORY = ("step", "loss", "kept_loss", "repaired_loss", "extra_loss", "learning_rate", "images_per_second", "seconds")


@dataclass(frozen=True, slots=True)
class Score:
    """One test image. ``score`` and ``anomalous`` are None where the image could not be read (``error`` says why).

    ``area`` is the share of the image that its mask marks; None where there is no mask, or none was measured.
    """

    id: str
    defect: str | None
    label: int | None
    score: float | None
    anomalous: bool | None
    error: str | None
    area: float | None = None


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one curve, in order; both arrays are float64 of the same length."""

    x: Floats
    y: Floats


@dataclass(frozen=True, slots=True)
class GalleryItem:
    """One of the images that were hardest for the detector, with its pictures as encoded bytes."""

    seed: int
    kind: str
    id: str
    defect: str | None
    score: float | None
    threshold: float | None
    pictures: Mapping[str, bytes | None]
    label: int | None = None

    @property
    def is_defect(self) -> bool:
        """Whether the image shows a defect; the kind tells where the label was not written."""
        return self.kind == "miss" if self.label is None else self.label == 1


@dataclass(frozen=True, slots=True)
class SeedResult:
    """One category trained with one seed and one objective.

    Attributes:
        category: The category.
        seed: The seed.
        objective: The kind of objective.
        status: ``done``, ``failed``, or what else ``status.json`` says.
        reason: Why it is not done.
        augmentation: How its images were varied, in words; None = not known.
        values: Metrics, interval bounds, threshold, synthetic validation and seconds; None = not defined.
        counts: The whole numbers of `COUNTS`; None = not known.
        history: Columns of the training history by name, NaN where a value is missing.
        scores: Every test image.
        curves: Curves by name.
        gallery: Worst misses, worst false alarms and the borderline.
        spans: Who trained and scored it, where and when, as `raysuite.timeline.spans` reads them.
        problems: Files that are missing or cannot be read, one sentence each.
    """

    category: str
    seed: int
    objective: str
    status: str
    reason: str | None = None
    augmentation: str | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    counts: Mapping[str, int | None] = field(default_factory=dict)
    history: Mapping[str, Floats] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    gallery: tuple[GalleryItem, ...] = ()
    spans: tuple[Mapping[str, Any], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def done(self) -> bool:
        """Whether this run was trained and evaluated."""
        return self.status == "done"


@dataclass(frozen=True, slots=True)
class RunResults:
    """All that a report needs of one run folder.

    Attributes:
        name: The folder's name.
        runs: Every category, objective and seed, ordered.
        objectives: The kinds of objective that were trained; the run's own first, if it is among them.
        provenance: What ``provenance.json`` holds.
        config: The text of ``config.yaml`` with credentials concealed, empty if there is none.
        problems: Files of the run folder itself that are missing or cannot be read.
    """

    name: str
    runs: tuple[SeedResult, ...]
    objectives: tuple[str, ...]
    provenance: Mapping[str, Any]
    config: str
    problems: tuple[str, ...]

    @property
    def oracle(self) -> bool:
        """Whether the settings were chosen with the labels of the test images."""
        return self.provenance.get("oracle") is True

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories, sorted."""
        return tuple(sorted({run.category for run in self.runs}))

    def of(self, category: str) -> tuple[SeedResult, ...]:
        """The runs of one category, by objective and seed."""
        return tuple(run for run in self.runs if run.category == category)


def load_results(root: Location) -> RunResults:
    """Read a run folder.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
    """
    if not root.is_dir():
        raise RunError(
            f"there is no run folder at {root}: name the folder that a training wrote, "
            "and run `raysuite evaluate` on it before asking for a report"
        )
    if is_search(root):
        raise RunError(
            f"{root} is the folder of a search: the run folders of the default and of what won lie in {root}/final; "
            f"raysuite report {root} shows the search"
        )
    if not (root / "metrics.parquet").is_file():
        raise RunError(f"{root} has no metrics.parquet: run `raysuite evaluate` on it first")
    rows = _metric_rows(root / "metrics.parquet")
    run = _run(root, rows)
    found = [_seed_result(run, row) for row in rows]
    known = {(result.category, result.seed, result.objective) for result in found}
    found += [_unevaluated(m) for m in run.members() if (m.category, m.seed, m.objective) not in known]
    if not found:
        raise RunError(f"{root} holds no category: train one, then run `raysuite evaluate`")
    own = run.config.objective.kind
    kinds = [own, *(kind for kind in OBJECTIVES if kind != own)]
    problems: list[str] = []
    return RunResults(
        name=root.name,
        runs=tuple(sorted(found, key=lambda result: (result.category, kinds.index(result.objective), result.seed))),
        objectives=tuple(kind for kind in kinds if any(result.objective == kind for result in found)),
        # Folders of before they were concealed hold the credentials of their data sets' URIs, and pages are passed on.
        provenance=concealed_in(_read_json(root, "provenance.json", problems)),
        config=concealed(_read_text(root, "config.yaml", problems)),
        problems=tuple(problems),
    )


def _run(root: Location, rows: Sequence[Mapping[str, Any]]) -> Run:
    try:
        return Run.open(root.uri)
    except RaysuiteError:
        # A report that lists the damage is more use than none: the first row is one of the run's own objective.
        own = str(rows[0]["objective"]) if rows else OBJECTIVES[0]
        return Run(root, (), for_objective(Config(), own))


def _metric_rows(where: Location) -> list[dict[str, Any]]:
    try:
        table = where.read_table()
    except StorageError as error:
        raise RunError(f"{where} is damaged: run `raysuite evaluate` again") from error
    needed = ["category", "seed", "objective", "status", *(metric.key for metric in METRICS)]
    lacking = [name for name in needed if name not in table.column_names]
    if lacking:
        raise RunError(f"{where} lacks the columns {', '.join(lacking)}: run `raysuite evaluate` again")
    rows: list[dict[str, Any]] = table.to_pylist()
    strange = sorted({str(row["objective"]) for row in rows} - set(OBJECTIVES))
    if strange:
        raise RunError(f"{where} has the objective {strange[0]!r}, which this raysuite does not know: take a newer one")
    return rows


def _seed_result(run: Run, row: Mapping[str, Any]) -> SeedResult:
    member = run.member(str(row["category"]), int(row["seed"]), str(row["objective"]))
    folder = member.folder
    if member.is_evaluated:
        # It may have been trained and evaluated anew by a command that was stopped before it wrote the table.
        row = {**row, **member.metrics()}
    elif row["status"] == "done":
        # Its folder was deleted, to train it anew: the table is of before.
        return _unevaluated(member, "not evaluated yet" if member.is_trained else "not trained yet")
    done = row["status"] == "done"
    problems: list[str] = []
    history = _read_table(folder, "history.parquet", ("step", "loss"), problems)
    scores = _read_table(folder, "scores.parquet", ("id", "label", "score"), problems)
    curves = _read_table(folder, "curves.parquet", ("curve", "x", "y"), problems)
    gallery = _read_table(folder, "gallery.parquet", ("kind", "id", "image"), problems)
    return SeedResult(
        category=str(row["category"]),
        seed=int(row["seed"]),
        objective=str(row["objective"]),
        status=str(row["status"]),
        reason=row.get("reason") or (None if done else _status(folder)[1]),
        augmentation=row.get("augmentation"),
        values={name: _number(row.get(name)) for name in (*(metric.key for metric in METRICS), *_FLOATS)},
        counts={name: row.get(name) for name in COUNTS},
        history=_history(history),
        scores=_scores(scores),
        curves=_curves(curves),
        gallery=_gallery(gallery, int(row["seed"])),
        spans=tuple(timeline.spans(member)),
        problems=tuple(problems),
    )


def _unevaluated(member: Member, why: str = "no row in metrics.parquet; run `raysuite evaluate`") -> SeedResult:
    """A run that left a folder but no row in ``metrics.parquet``, or the other way: it must not vanish from the report.

    Args:
        member: Whose.
        why: It is without figures, if its status does not say.
    """
    state, reason = _status(member.folder)
    problems: list[str] = []
    history = _read_table(member.folder, "history.parquet", ("step", "loss"), problems)
    return SeedResult(
        category=member.category,
        seed=member.seed,
        objective=member.objective,
        status="not evaluated" if state in ("done", "") else state,
        reason=reason or why,
        history=_history(history),
        spans=tuple(timeline.spans(member)),
        problems=tuple(problems),
    )


def _status(folder: Location) -> tuple[str, str | None]:
    status = _read_json(folder, "status.json", [])
    return str(status.get("state") or ""), status.get("reason")


def _read_text(folder: Location, name: str, problems: list[str]) -> str:
    try:
        if (folder / name).is_file():
            return (folder / name).read_text()
        problems.append(f"{name} is missing")
    except (StorageError, UnicodeDecodeError):
        problems.append(f"{name} cannot be read")
    return ""


def _read_json(folder: Location, name: str, problems: list[str]) -> Mapping[str, Any]:
    text = _read_text(folder, name, problems)
    try:
        value = json.loads(text) if text else {}
    except json.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        return value
    problems.append(f"{name} is not a JSON object")
    return {}


def _read_table(folder: Location, name: str, needed: Sequence[str], problems: list[str]) -> pa.Table | None:
    try:
        if not (folder / name).is_file():
            problems.append(f"{name} is missing")
            return None
        table = (folder / name).read_table()
    except StorageError:
        problems.append(f"{name} cannot be read")
        return None
    lacking = [column for column in needed if column not in table.column_names]
    if lacking:
        problems.append(f"{name} lacks the columns {', '.join(lacking)}")
        return None
    return table


def _number(value: Any) -> float | None:
    """None and NaN both mean "not defined"."""
    return None if value is None or math.isnan(value) else float(value)


def _column(table: pa.Table, name: str) -> Floats:
    """A column as float64, null as NaN."""
    return np.array([math.nan if v is None else v for v in table[name].to_pylist()], dtype=np.float64)


def _history(table: pa.Table | None) -> Mapping[str, Floats]:
    return {} if table is None else {name: _column(table, name) for name in _HISTORY if name in table.column_names}


def _scores(table: pa.Table | None) -> tuple[Score, ...]:
    return tuple(
        Score(
            id=str(row["id"]),
            defect=row.get("defect"),
            label=row["label"],
            score=_number(row["score"]),
            anomalous=row.get("anomalous"),
            error=row.get("error"),
            area=_number(row.get("area")),
        )
        for row in (table.to_pylist() if table is not None else ())
    )


def _curves(table: pa.Table | None) -> Mapping[str, Curve]:
    if table is None:
        return {}
    names = np.array(table["curve"].to_pylist(), dtype=object)
    x, y = _column(table, "x"), _column(table, "y")
    return {str(name): Curve(x[names == name], y[names == name]) for name in dict.fromkeys(names)}


def _gallery(table: pa.Table | None, seed: int) -> tuple[GalleryItem, ...]:
    return tuple(
        GalleryItem(
            seed=seed,
            kind=str(row["kind"]),
            id=str(row["id"]),
            defect=row.get("defect"),
            score=_number(row.get("score")),
            threshold=_number(row.get("threshold")),
            label=row.get("label"),
            pictures={name: row.get(name) for name in ("image", "reconstruction", "map", "mask")},
        )
        for row in (table.to_pylist() if table is not None else ())
    )
