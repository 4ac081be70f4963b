"""Two runs side by side: by how much one is better, whether that is more than chance, and what else differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from raysuite.errors import RunError
from raysuite.metrics.paired import Difference, auroc_difference, holm, mean_difference
from raysuite.reporting.definitions import METRICS
from raysuite.reporting.loaded import LoadedRun, differences
from raysuite.reporting.results import RunResults, SeedResult
from raysuite.reporting.summary import Statistic

LEVEL = 0.05
"""A difference is called significant if its p-value is below this."""

SIGNIFICANT = "*"
"""Marks a difference that is significant."""

EXPLANATION = (
    f"{SIGNIFICANT} Significant at {LEVEL:.0%}. Image AUROC of a category: paired bootstrap over the test images, the "
    "same draws for both runs; p, but not the interval, is corrected for the number of categories after Holm. Mean "
    "over categories: symmetric bootstrap-t over the categories' differences, which takes at least four and is about "
    "other categories of the kind. Other metrics of a single category have no test.",
    "Differences are in percentage points, between the means over the seeds that both runs have.",
)
"""How the differences are found, for under a table."""


@dataclass(frozen=True, slots=True)
class Change:
    """One metric in both runs, over the same seeds.

    Attributes:
        ours: Mean of the run; a fraction.
        baseline: Mean of the baseline.
        test: The difference with its interval and p-value; None where there is no test, and its p-value is the
            corrected one.
    """

    ours: float
    baseline: float
    test: Difference | None = None

    @property
    def value(self) -> float:
        """How much higher the run is than the baseline."""
        return self.ours - self.baseline

    @property
    def significant(self) -> bool:
        """Whether the difference is more than chance."""
        return self.test is not None and self.test.p_value < LEVEL


@dataclass(frozen=True, slots=True)
class CategoryChange:
    """One category in both runs.

    Attributes:
        category: The category.
        seeds: The seeds that both have; all of each, if they share none.
        changes: By metric key; those that are defined in both runs.
        note: Why it is not compared, or only with care; empty if there is nothing to say.
    """

    category: str
    seeds: tuple[int, ...]
    changes: Mapping[str, Change]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A run against a baseline.

    Attributes:
        name: Name of the run.
        baseline: Name of the baseline.
        objective: Objective of the run.
        baseline_objective: That of the baseline, which is the same if both have it.
        categories: Every category that either has, sorted.
        means: By metric key, over the categories in which both have it.
        counted: Of how many categories each mean is.
        differences: What else is not the same: its name → (of the run, of the baseline).
        warnings: Why the comparison may not be fair.
    """

    name: str
    baseline: str
    objective: str
    baseline_objective: str
    categories: tuple[CategoryChange, ...]
    means: Mapping[str, Change]
    counted: Mapping[str, int]
    differences: Mapping[str, tuple[str, str]]
    warnings: tuple[str, ...]

    def of(self, category: str) -> CategoryChange | None:
        """One category."""
        return next((one for one in self.categories if one.category == category), None)


def contrast(ours: LoadedRun, baseline: LoadedRun, objective: str, other: str) -> Contrast:
    """Set a run against a baseline.

    Args:
        ours: The run.
        baseline: What it is compared with.
        objective: Kind of objective of the run that is compared.
        other: That of the baseline.

    Raises:
        RunError: The runs have no category in common.
    """
    ours_by, base_by = _by_category(ours.results, objective), _by_category(baseline.results, other)
    if not set(ours_by) & set(base_by):
        raise RunError(
            f"{ours.where} and {baseline.where} have no category in common: {_some(ours_by)} on the one side, "
            f"{_some(base_by)} on the other; compare runs of the same data"
        )
    names = sorted({*ours_by, *base_by})
    categories = _corrected([_category(name, ours_by.get(name, ()), base_by.get(name, ())) for name in names])
    pairs = {key: [c.changes[key] for c in categories if key in c.changes] for key in (m.key for m in METRICS)}
    return Contrast(
        name=ours.results.name,
        baseline=baseline.results.name,
        objective=objective,
        baseline_objective=other,
        categories=categories,
        means={key: _mean(changes) for key, changes in pairs.items() if changes},
        counted={key: len(changes) for key, changes in pairs.items()},
        differences=differences(ours, baseline, objective, other),
        warnings=tuple(_warnings(ours, baseline, categories)),
    )


def mean_change(one: Contrast, key: str, categories: Collection[str]) -> Change | None:
    """The change of a metric's mean over some of the categories; None if none of them has it."""
    changes = [c.changes[key] for c in one.categories if c.category in categories and key in c.changes]
    return _mean(changes) if changes else None


def _by_category(results: RunResults, objective: str) -> dict[str, tuple[SeedResult, ...]]:
    runs = [run for run in results.runs if run.objective == objective]
    return {name: tuple(r for r in runs if r.category == name) for name in sorted({run.category for run in runs})}


def _category(name: str, ours: Sequence[SeedResult], baseline: Sequence[SeedResult]) -> CategoryChange:
    if not ours or not baseline:
        return CategoryChange(name, (), {}, f"only in the {'run' if ours else 'baseline'}")
    done = [[run for run in some if run.done] for some in (ours, baseline)]
    if not all(done):
        return CategoryChange(name, (), {}, f"failed in the {'baseline' if done[0] else 'run'}")
    shared = tuple(sorted({run.seed for run in done[0]} & {run.seed for run in done[1]}))
    note = ""
    if shared:
        done = [[run for run in some if run.seed in shared] for some in done]
    else:
        note = "no seed in common"
    changes = {}
    for metric in METRICS:
        means = [Statistic.of([run.values.get(metric.key) for run in some]).mean for some in done]
        if means[0] is not None and means[1] is not None:
            changes[metric.key] = Change(means[0], means[1])
    paired = _paired_scores(*done)
    if paired is None:
        note = "; ".join(filter(None, [note, "other test images"]))
    elif "image_auroc" in changes:
        changes["image_auroc"] = replace(changes["image_auroc"], test=auroc_difference(*paired))
    return CategoryChange(name, shared, changes, note)


def _paired_scores(ours: Sequence[SeedResult], baseline: Sequence[SeedResult]) -> tuple[Any, Any, Any] | None:
    """Scores of both runs and labels, of the images that all detectors could score; None if the images differ."""
    tables = [[{score.id: score for score in run.scores} for run in some] for some in (ours, baseline)]
    every = [table for some in tables for table in some]
    labels = [{score.id: score.label for score in run.scores} for run in (*ours, *baseline)]
    if not labels[0] or any(one != labels[0] for one in labels):
        return None
    ids = [
        name
        for name, label in sorted(labels[0].items())
        if label is not None and all(table[name].score is not None for table in every)
    ]
    scores = [np.array([[table[name].score for name in ids] for table in some], dtype=np.float64) for some in tables]
    return scores[0], scores[1], np.array([labels[0][name] for name in ids], dtype=np.int64)


def _corrected(categories: Sequence[CategoryChange]) -> tuple[CategoryChange, ...]:
    """Their p-values of image AUROC, corrected for how many there are."""
    key = "image_auroc"
    tests = [(at, c.changes[key].test) for at, c in enumerate(categories) if key in c.changes]
    known = [(at, test) for at, test in tests if test is not None]
    found = list(categories)
    for (at, test), p_value in zip(known, holm([test.p_value for _, test in known]), strict=True):
        change = replace(found[at].changes[key], test=replace(test, p_value=p_value))
        found[at] = replace(found[at], changes={**found[at].changes, key: change})
    return tuple(found)


def _mean(changes: Sequence[Change]) -> Change:
    ours, baseline = (float(np.mean([getattr(change, side) for change in changes])) for side in ("ours", "baseline"))
    return Change(ours, baseline, mean_difference([change.value for change in changes]))


def _warnings(ours: LoadedRun, baseline: LoadedRun, categories: Sequence[CategoryChange]) -> list[str]:
    found = []
    prints = (ours.fingerprint, baseline.fingerprint)
    if None in prints:
        found.append("The data of one of the runs is not known: its provenance.json has no fingerprint.")
    elif prints[0] != prints[1]:
        here, there = (str(one).removeprefix("sha256:")[:12] for one in prints)
        found.append(
            f"The data differ: fingerprint {here} here, {there} in {baseline.results.name}. "
            "Categories may be others, or images may have come, gone or changed; only categories with the same test "
            "images are tested."
        )
    other = [one.category for one in categories if "other test images" in one.note]
    if other:
        found.append(f"Other test images in {', '.join(other)}: the differences there are not of the same test.")
    return found


def _some(names: Mapping[str, object]) -> str:
    shown = ", ".join(list(names)[:3])
    return f"{shown} and {len(names) - 3} more" if len(names) > 3 else shown
