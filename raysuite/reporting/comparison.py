"""Objectives of one run side by side: a table a metric, a row a category, a column an objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from raysuite.reporting.definitions import METRICS, Metric
from raysuite.reporting.summary import Statistic, Summary, macro

COMPARED = ("image_auroc", "pixel_auroc", "aupro")
"""Keys of the metrics that are set side by side."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of a comparison.

    Attributes:
        statistic: None where this objective has none, because it was not trained on the category or failed there.
        failed: Whether it failed there.
        best: Whether no other objective has a higher figure in the row, to the digits that are printed.
    """

    statistic: Statistic | None
    failed: bool = False
    best: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of every objective.

    Attributes:
        metric: The metric.
        objectives: The columns, in order.
        rows: Cells by category.
        mean: Cells of the mean over `common` alone, so that all columns are means of the same categories.
        common: The categories in which the metric is defined for every objective.
    """

    metric: Metric
    objectives: tuple[str, ...]
    rows: dict[str, tuple[Cell, ...]]
    mean: tuple[Cell, ...]
    common: tuple[str, ...]


def compare(summaries: Sequence[Summary]) -> tuple[Comparison, ...]:
    """The objectives of a run by each metric of `COMPARED`; nothing where there is but one."""
    if len(summaries) < 2:
        return ()
    return tuple(_comparison(summaries, metric) for metric in METRICS if metric.key in COMPARED)


def _comparison(summaries: Sequence[Summary], metric: Metric) -> Comparison:
    names = sorted({category.category for summary in summaries for category in summary.categories})
    rows = {name: _best([_cell(summary, name, metric.key) for summary in summaries]) for name in names}
    common = tuple(n for n, cells in rows.items() if all(c.statistic and c.statistic.mean is not None for c in cells))
    means = []
    for summary in summaries:
        shared = [category for category in summary.categories if category.category in common]
        mean = macro(shared, metric.key, summary.seeds)
        lacking = mean.mean is not None and (mean.incomplete or len(common) < len(names))
        means.append(Cell(replace(mean, incomplete=lacking)))
    return Comparison(metric, tuple(summary.objective for summary in summaries), rows, _best(means), common)


def _cell(summary: Summary, name: str, key: str) -> Cell:
    category = summary.of(name)
    if category is None or category.failed:
        return Cell(None, failed=category is not None)
    return Cell(category.metrics[key])


def _best(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Mark the highest; figures that are printed alike are equally good."""
    means = [None if cell.statistic is None else cell.statistic.mean for cell in cells]
    printed = [None if mean is None else float(f"{100 * mean:.1f}") for mean in means]
    known = [value for value in printed if value is not None]
    if len(known) < 2:
        return tuple(cells)
    return tuple(replace(cell, best=value == max(known)) for cell, value in zip(cells, printed, strict=True))
