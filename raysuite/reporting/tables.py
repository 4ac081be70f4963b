"""The results as a table for a terminal, for Markdown and as records for JSON."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from raysuite.printing import printable
from raysuite.reporting.comparison import Cell, Comparison, compare
from raysuite.reporting.definitions import FOOTNOTES, INCOMPLETE, METRICS, ORACLE_SETTINGS, UNDEFINED
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import CategorySummary, Statistic, Summary, failure_sentences, summarise
from raysuite.storage import Location

_BEST = "*"
_COUNTS = {"n_good": "Good", "n_defect": "Defect", "n_failed": "Failed"}


def percent(value: float | None) -> str:
    """A fraction in [0, 1] as a percentage with one decimal, without the sign."""
    return UNDEFINED if value is None else f"{100 * value:.1f}"


def mean_std(statistic: Statistic) -> str:
    """``98.3 ± 0.4``, with the mark of an incomplete mean where it belongs."""
    spread = "" if statistic.std is None else f" ± {percent(statistic.std)}"
    mark = f" {INCOMPLETE}" if statistic.incomplete else ""
    return f"{percent(statistic.mean)}{spread}{mark}"


def interval(category: CategorySummary) -> str:
    """``[96.1, 99.2]``, or nothing where the interval is not defined."""
    if category.low is None or category.high is None:
        return ""
    return f"[{percent(category.low)}, {percent(category.high)}]"


def count(span: tuple[int, int] | None) -> str:
    """A number of images; ``20–21`` where the seeds differ."""
    if span is None:
        return "–"
    return str(span[0]) if span[0] == span[1] else f"{span[0]}–{span[1]}"


def compared(cell: Cell) -> str:
    """A figure of a comparison, or why there is none."""
    if cell.statistic is None:
        return "failed" if cell.failed else "–"
    return mean_std(cell.statistic)


def common_note(comparison: Comparison) -> str:
    """Of which categories the bottom row of a comparison is the mean; nothing where it is all of them or none."""
    cells = [cell.statistic for row in comparison.rows.values() for cell in row]
    is_defined = any(one is not None and one.mean is not None for one in cells)
    if len(comparison.common) == len(comparison.rows) or not is_defined:
        return ""
    if not comparison.common:
        return "No mean, as there is no category that every objective has."
    return f"Mean over the {len(comparison.common)} of {len(comparison.rows)} categories that every objective has."


@dataclass(frozen=True, slots=True)
class Grid:
    """Text in rows and columns under a title; ``best`` has row and column of what is marked, the mean being row -1."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    mean: tuple[str, ...]
    best: frozenset[tuple[int, int]] = frozenset()


def results_grid(summary: Summary) -> Grid:
    """The metrics of one objective, a row a category."""
    header = ("Category", *(metric.label for metric in METRICS), *_COUNTS.values())
    rows = []
    for category in summary.categories:
        if category.failed:
            cells = ["failed"] * len(METRICS)
        else:
            cells = [mean_std(category.metrics[metric.key]) for metric in METRICS]
            cells[0] = f"{cells[0]} {interval(category)}".rstrip()
        rows.append((printable(category.category), *cells, *(count(category.counts[name]) for name in _COUNTS)))
    totals = [str(sum(span[1] for c in summary.categories if (span := c.counts[name]) is not None)) for name in _COUNTS]
    means = [mean_std(summary.macro[metric.key]) for metric in METRICS]
    return Grid(
        f"Objective {summary.objective}", header, tuple(rows), ("Mean over categories", *means, *totals)
    )  # fmt: skip


def comparison_grid(comparison: Comparison) -> Grid:
    """One metric of all objectives, a row a category."""
    lines = {**dict(enumerate(comparison.rows.values())), -1: comparison.mean}
    return Grid(
        f"{comparison.metric.label} by objective",
        ("Category", *comparison.objectives),
        tuple((printable(name), *map(compared, cells)) for name, cells in comparison.rows.items()),
        ("Mean", *map(compared, comparison.mean)),
        frozenset((row, column) for row, cells in lines.items() for column, c in enumerate(cells, start=1) if c.best),
    )


def notes(summaries: Sequence[Summary]) -> tuple[str, ...]:
    """Sentences under the tables: whether an oracle chose, the failed runs with their reasons, then the footnotes."""
    several = len(summaries) > 1
    failures = [
        printable(f"{category.category}, {summary.objective + ', ' if several else ''}{sentence}")
        for summary in summaries
        for category in summary.categories
        for sentence in failure_sentences(category)
    ]
    common: dict[str, list[str]] = {}
    for comparison in compare(summaries):
        common.setdefault(common_note(comparison), []).append(comparison.metric.label)
    oracle = [ORACLE_SETTINGS] if any(summary.oracle for summary in summaries) else []
    shared = [f"{', '.join(labels)}: {note[0].lower()}{note[1:]}" for note, labels in common.items() if note]
    return (*oracle, *failures, *shared, *FOOTNOTES)


def plain_table(summaries: Sequence[Summary]) -> str:
    """Aligned plain text that needs no terminal features, ending with a newline.

    With several objectives, a table for each and then those that set them side by side, which a reader of a terminal
    sees first.
    """
    comparisons = compare(summaries)
    if not comparisons:
        return "\n".join([*plain_grid(results_grid(summaries[0])), "", *notes(summaries), ""])
    grids = [*map(results_grid, summaries), *map(comparison_grid, comparisons)]
    blocks = [line for grid in grids for line in (grid.title, *plain_grid(grid), "")]
    return "\n".join([*blocks, f"{_BEST} The best of its row.", *notes(summaries), ""])


def plain_grid(grid: Grid) -> list[str]:
    """Aligned lines of plain text, without the title."""

    def marked(row: int, cells: tuple[str, ...]) -> tuple[str, ...]:
        marks = [f" {_BEST}" if (row, at) in grid.best else "  " for at in range(1, len(cells))]
        return (cells[0], *map(str.__add__, cells[1:], marks)) if grid.best else cells

    rows = [marked(index, row) for index, row in enumerate(grid.rows)]
    lines = [marked(len(rows), grid.header), *rows, marked(-1, grid.mean)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(grid.header))]

    def align(cells: tuple[str, ...]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return "  ".join([cells[0].ljust(widths[0]), *padded[1:]]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    head, *body, mean = map(align, lines)
    return [head, rule, *body, rule, mean]


def rich_table(summaries: Sequence[Summary]) -> Group:
    """The same for a terminal that can draw."""
    first = summaries[0]
    title = f"{printable(first.name)}: percent, mean ± std over {len(first.seeds)} seeds"
    comparisons = compare(summaries)
    if comparisons:
        grids = [*map(results_grid, summaries), *map(comparison_grid, comparisons)]
        drawn = [rich_grid(grid, grid.title) for grid in grids]
        drawn[0].title = Text(f"{title}\n{grids[0].title}")
    else:
        drawn = [rich_grid(results_grid(first), title)]
    return Group(*drawn, Text("\n".join(notes(summaries)), style="dim italic"))


def rich_grid(grid: Grid, title: str) -> Table:
    """The same for a terminal that can draw, with a title of its own."""
    table = Table(title=Text(title))
    for column, name in enumerate(grid.header):
        table.add_column(Text(name), justify="right" if column else "left")
    for index, row in enumerate(grid.rows):
        # Text, not str: a category called "[red]" is a name, not markup.
        table.add_row(*(Text(cell, style="bold" if (index, at) in grid.best else "") for at, cell in enumerate(row)))
    table.add_section()
    # With marks, bold means best; else it sets the mean apart.
    table.add_row(
        *(Text(c, style="bold" if not grid.best or (-1, at) in grid.best else "") for at, c in enumerate(grid.mean))
    )
    return table


def markdown_table(summaries: Sequence[Summary]) -> str:
    """Markdown tables with their notes, ending with a newline; with several objectives, the comparison comes first."""
    comparisons = compare(summaries)
    if comparisons:
        grids = [*map(comparison_grid, comparisons), *map(results_grid, summaries)]
        body = [line for grid in grids for line in (f"### {grid.title}", "", *_markdown_lines(grid), "")]
    else:
        body = [*_markdown_lines(results_grid(summaries[0])), ""]
    return "\n".join([*body, *(f"* {as_markdown(note)}" for note in notes(summaries)), ""])


def _markdown_lines(grid: Grid) -> list[str]:
    def bold(row: int, column: int) -> bool:
        return (row, column) in grid.best if grid.best else row == -1

    def line(index: int, cells: tuple[str, ...]) -> str:
        texts = [as_markdown(cells[0]), *cells[1:]]
        return "| " + " | ".join(f"**{t}**" if bold(index, at) else t for at, t in enumerate(texts)) + " |"

    return [
        "| " + " | ".join(grid.header) + " |",
        "| :-- |" + " --: |" * (len(grid.header) - 1),
        *(line(index, row) for index, row in enumerate(grid.rows)),
        line(-1, grid.mean),
    ]


def write_markdown(root: Location) -> Location:
    """Write the table to ``metrics.md`` in the run folder.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
        StorageError: The folder may not be written.
    """
    target = root / "metrics.md"
    target.write_text(markdown_table(summarise(load_results(root))))
    return target


def records(summaries: Sequence[Summary]) -> list[dict[str, object]]:
    """One flat mapping an objective and category, ready for JSON: fractions, not percentages; None = not defined."""
    rows = []
    for summary in summaries:
        for category in summary.categories:
            row: dict[str, object] = {
                "category": category.category,
                "objective": summary.objective,
                "seeds_done": sum(run.done for run in category.runs),
                "seeds": len(summary.seeds),
            }
            for metric in METRICS:
                row[metric.key] = category.metrics[metric.key].mean
                row[f"{metric.key}_std"] = category.metrics[metric.key].std
            row |= {"image_auroc_low": category.low, "image_auroc_high": category.high}
            row |= {name: span[1] if (span := category.counts[name]) else None for name in _COUNTS}
            row["failures"] = [
                {"seed": run.seed, "status": run.status, "reason": run.reason} for run in category.failures
            ]
            rows.append(row)
    return rows


def as_markdown(text: str) -> str:
    """Text that Markdown shows as it is: names come from strangers."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
