"""Runs set side by side, as tables for a terminal and as records for JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Group
from rich.text import Text

from raysuite.metrics.paired import Difference
from raysuite.printing import printable
from raysuite.reporting.comparison import COMPARED
from raysuite.reporting.contrast import (
    EXPLANATION,
    SIGNIFICANT,
    CategoryChange,
    Change,
    Contrast,
    contrast,
    mean_change,
)
from raysuite.reporting.definitions import FOOTNOTES, METRICS, Metric
from raysuite.reporting.loaded import LoadedRun
from raysuite.reporting.summary import Summary, macro, summarise
from raysuite.reporting.tables import Grid, mean_std, plain_grid, rich_grid


def signed(value: float) -> str:
    """A difference of fractions in percentage points, with its sign: ``+1.3``."""
    return f"{100 * value:+.1f}".replace("-0.0", "+0.0")


def change_text(change: Change | None) -> str:
    """``+1.3 * [+0.2, +2.5] p 0.013``, as far as it is known."""
    if change is None:
        return "–"
    return f"{signed(change.value)}{f' {SIGNIFICANT}' if change.significant else ''}{_tested(change.test)}"


def _tested(test: Difference | None) -> str:
    # Without an interval there are too few categories for any claim.
    if test is None or test.low is None or test.high is None:
        return ""
    return f" [{signed(test.low)}, {signed(test.high)}] p {p_text(test.p_value)}"


def p_text(p_value: float) -> str:
    """A p-value with as many digits as the number of draws bears."""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


class Beside:
    """Runs beside a baseline, which is the first of them, each with one objective.

    Attributes:
        runs: All, the baseline first.
        names: What they are called; the path as it was given where two folders have the same name.
        contrasts: Of each but the first.
    """

    def __init__(self, runs: Sequence[LoadedRun]) -> None:
        """Raises `RunError` if a run has no category in common with the first."""
        self.runs = tuple(runs)
        short = [run.results.name for run in runs]
        self.names = tuple(short if len(set(short)) == len(short) else [str(run.where) for run in runs])
        own = runs[0].results.objectives[0]
        kinds = [own if own in run.results.objectives else run.results.objectives[0] for run in runs]
        self.contrasts = tuple(contrast(run, runs[0], kind, own) for run, kind in zip(runs[1:], kinds[1:], strict=True))
        self._summaries = [_of(run, kind) for run, kind in zip(runs, kinds, strict=True)]

    @property
    def incomplete(self) -> bool:
        """Whether a training of any run failed, so that a figure is missing."""
        return any(summary.incomplete for summary in self._summaries)

    def warnings(self) -> list[str]:
        """Why the comparison may not be fair, a sentence each."""
        return list(dict.fromkeys(printable(f"{one.name}: {text}") for one in self.contrasts for text in one.warnings))

    def grids(self) -> list[Grid]:
        """A table of each metric of `COMPARED` that any run has."""
        some = [metric for metric in METRICS if metric.key in COMPARED]
        return [self._grid(metric) for metric in some if any(metric.key in one.means for one in self.contrasts)]

    def _grid(self, metric: Metric) -> Grid:
        header = ["Category", self.names[0]]
        for name in self.names[1:]:
            header += [name, "difference"]
        every = sorted({one.category for run in self.contrasts for one in run.categories})
        rows = [(printable(name), *self._cells(metric.key, name)) for name in every]
        common = self._common(metric.key)
        means = [mean_std(macro([c for c in s.categories if c.category in common], metric.key, s.seeds))
                 for s in self._summaries]  # fmt: skip
        last = [f"Mean of {len(common)}", means[0]]
        for mean, one in zip(means[1:], self.contrasts, strict=True):
            last += [mean, change_text(mean_change(one, metric.key, common))]
        return Grid(f"{metric.label}, percent", tuple(map(printable, header)), tuple(rows), tuple(last))

    def _cells(self, key: str, category: str) -> list[str]:
        cells = []
        for at, summary in enumerate(self._summaries):
            found = summary.of(category)
            cells.append("–" if found is None else "failed" if found.failed else mean_std(found.metrics[key]))
            if at:
                changed = self.contrasts[at - 1].of(category)
                cells.append(change_text(changed.changes.get(key) if changed else None))
        return cells

    def _common(self, key: str) -> set[str]:
        """The categories in which every run has the metric: of these are the means."""
        return set.intersection(*({c.category for c in one.categories if key in c.changes} for one in self.contrasts))

    def notes(self) -> list[str]:
        """What differs besides the figures, what was not compared, and how to read the tables."""
        found = []
        for name, one in zip(self.names[1:], self.contrasts, strict=True):
            found += [
                f"{key}: {values[1]} in {self.names[0]}, {values[0]} in {name}"
                for key, values in one.differences.items()
            ]
            found += [f"{change.category}, {name}: {change.note}" for change in one.categories if change.note]
        return [*map(printable, found), *EXPLANATION, FOOTNOTES[2]]

    def plain(self) -> str:
        """All as aligned plain text, ending with a newline."""
        blocks = [line for grid in self.grids() for line in (grid.title, *plain_grid(grid), "")]
        return "\n".join([*blocks, *self.notes(), ""])

    def rich(self) -> Group:
        """All for a terminal that can draw."""
        drawn = [rich_grid(grid, grid.title) for grid in self.grids()]
        return Group(*drawn, Text("\n".join(self.notes()), style="dim italic"))

    def records(self) -> dict[str, Any]:
        """All figures, also of metrics that the tables leave out: fractions; None = not defined or not tested."""
        return {
            "baseline": {**_named(self.runs[0]), "objective": self._summaries[0].objective},
            "runs": [
                {**_named(run), "objective": one.objective, **contrast_record(one)}
                for run, one in zip(self.runs[1:], self.contrasts, strict=True)
            ],
        }


def contrast_record(one: Contrast) -> dict[str, Any]:
    """A contrast as a mapping for JSON."""
    return {
        "mean": {key: {**_change(change), "categories": one.counted[key]} for key, change in one.means.items()},
        "categories": [_category(change) for change in one.categories],
        "differences": {key: {"run": ours, "baseline": base} for key, (ours, base) in one.differences.items()},
        "warnings": list(one.warnings),
    }


def _category(change: CategoryChange) -> dict[str, Any]:
    metrics = {key: _change(one) for key, one in change.changes.items()}
    return {"category": change.category, "seeds": list(change.seeds), "note": change.note or None, "metrics": metrics}


def _change(change: Change) -> dict[str, Any]:
    test = {"low": None, "high": None, "p_value": None}
    if change.test is not None:
        test = {name: value for name, value in asdict(change.test).items() if name in test}
    return {"run": change.ours, "baseline": change.baseline, "difference": change.value, **test}


def _named(run: LoadedRun) -> dict[str, Any]:
    return {"run": run.where.uri, "name": run.results.name, "fingerprint": run.fingerprint}


def _of(run: LoadedRun, objective: str) -> Summary:
    return next(summary for summary in summarise(run.results) if summary.objective == objective)
