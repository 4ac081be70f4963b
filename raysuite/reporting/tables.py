"""The results as a table for a terminal, for Markdown and as records for JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from raysuite.reporting.definitions import FOOTNOTES, INCOMPLETE, METRICS, UNDEFINED
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import CategorySummary, Statistic, Summary, failure_sentences, summarise
from raysuite.storage import Location

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


def printable(text: str) -> str:
    """The text with control characters made visible: a file name must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


@dataclass(frozen=True, slots=True)
class _Grid:
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    mean: tuple[str, ...]


def _grid(summary: Summary) -> _Grid:
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
    return _Grid(header, tuple(rows), ("Mean over categories", *means, *totals))


def notes(summary: Summary) -> tuple[str, ...]:
    """Sentences under the table: the failed runs with their reasons, then the footnotes."""
    failures = [
        printable(f"{category.category}, {sentence}")
        for category in summary.categories
        for sentence in failure_sentences(category)
    ]
    return (*failures, *FOOTNOTES)


def plain_table(summary: Summary) -> str:
    """Aligned plain text that needs no terminal features, ending with a newline."""
    grid = _grid(summary)
    lines = [grid.header, *grid.rows, grid.mean]
    widths = [max(len(line[column]) for line in lines) for column in range(len(grid.header))]

    def align(cells: tuple[str, ...]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        return "  ".join([cells[0].ljust(widths[0]), *padded[1:]]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    body = [align(grid.header), rule, *map(align, grid.rows), rule, align(grid.mean)]
    return "\n".join([*body, "", *notes(summary), ""])


def rich_table(summary: Summary) -> Table:
    """The same for a terminal that can draw."""
    grid = _grid(summary)
    table = Table(title=Text(f"{printable(summary.name)}: percent, mean ± std over {len(summary.seeds)} seeds"))
    for column, name in enumerate(grid.header):
        table.add_column(Text(name), justify="right" if column else "left")
    for row in grid.rows:
        # Text, not str: a category called "[red]" is a name, not markup.
        table.add_row(*(Text(cell) for cell in row))
    table.add_section()
    table.add_row(*(Text(cell, style="bold") for cell in grid.mean))
    table.caption = Text("\n".join(notes(summary)), justify="left")
    return table


def markdown_table(summary: Summary) -> str:
    """A Markdown table with its notes, ending with a newline."""
    grid = _grid(summary)
    lines = [
        "| " + " | ".join(grid.header) + " |",
        "| :-- |" + " --: |" * (len(grid.header) - 1),
        *("| " + " | ".join([_markdown(row[0]), *row[1:]]) + " |" for row in grid.rows),
        "| " + " | ".join(f"**{cell}**" for cell in grid.mean) + " |",
    ]
    return "\n".join([*lines, "", *(f"* {_markdown(note)}" for note in notes(summary)), ""])


def write_markdown(root: Location) -> Location:
    """Write the table to ``metrics.md`` in the run folder.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
        StorageError: The folder may not be written.
    """
    target = root / "metrics.md"
    target.write_text(markdown_table(summarise(load_results(root))))
    return target


def records(summary: Summary) -> list[dict[str, object]]:
    """One flat mapping a category, ready for JSON: fractions, not percentages; None = not defined."""
    rows = []
    for category in summary.categories:
        row: dict[str, object] = {
            "category": category.category,
            "seeds_done": sum(run.done for run in category.runs),
            "seeds": len(summary.seeds),
        }
        for metric in METRICS:
            row[metric.key] = category.metrics[metric.key].mean
            row[f"{metric.key}_std"] = category.metrics[metric.key].std
        row |= {"image_auroc_low": category.low, "image_auroc_high": category.high}
        row |= {name: span[1] if (span := category.counts[name]) else None for name in _COUNTS}
        row["failures"] = [{"seed": run.seed, "status": run.status, "reason": run.reason} for run in category.failures]
        rows.append(row)
    return rows


def _markdown(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", text)
