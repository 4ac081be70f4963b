"""The results of a run for other programs: CSV, Parquet, JSON, Markdown and LaTeX, all from ``metrics.parquet``."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.latex import latex_tables
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import Summary, summarise
from raysuite.reporting.tables import markdown_table, records
from raysuite.storage import Location

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""With these a spreadsheet takes a text for a formula, and would run what a folder's name says."""


def export(root: Location, kind: str) -> bytes:
    """The results of a run folder in one of the `FORMATS`.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
    """
    return FORMATS[kind][1](root)


def _table(root: Location) -> pa.Table:
    """``metrics.parquet``, once `load_results` has found nothing wrong with it."""
    load_results(root)
    return (root / "metrics.parquet").read_table()


def _parquet(root: Location) -> bytes:
    buffer = pa.BufferOutputStream()
    pq.write_table(_table(root), buffer, compression="zstd")
    return bytes(buffer.getvalue().to_pybytes())


def _csv(root: Location) -> bytes:
    """A row a training, every column of ``metrics.parquet``, as RFC 4180 has it; nothing where one is not defined."""
    table, text = _table(root), io.StringIO()
    writer = csv.writer(text)
    writer.writerow(table.column_names)
    writer.writerows([_cell(value) for value in row.values()] for row in table.to_pylist())
    return text.getvalue().encode("utf-8")


def _cell(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else value


def _json(root: Location) -> bytes:
    """What the run is, the means over seeds and over categories, and every row; fractions, null = not defined."""
    results = load_results(root)
    summaries = summarise(results)
    data = results.provenance.get("data")
    card = {
        "run": results.name,
        "fingerprint": data.get("fingerprint") if isinstance(data, Mapping) else None,
        "oracle": results.oracle,
        "seeds": {summary.objective: list(summary.seeds) for summary in summaries},
        "mean": {summary.objective: _means(summary) for summary in summaries},
        "categories": records(summaries),
        "trainings": [{name: _plain(value) for name, value in row.items()} for row in _table(root).to_pylist()],
    }
    return (json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode("utf-8")


def _means(summary: Summary) -> dict[str, object]:
    """Over categories, each counting the same."""
    found: dict[str, object] = {}
    for metric in METRICS:
        statistic = summary.macro[metric.key]
        found[metric.key] = statistic.mean
        found[f"{metric.key}_std"] = statistic.std
        found[f"{metric.key}_incomplete"] = statistic.incomplete
    return found


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _markdown(root: Location) -> bytes:
    return markdown_table(summarise(load_results(root))).encode("utf-8")


def _latex(root: Location) -> bytes:
    return latex_tables(summarise(load_results(root))).encode("utf-8")


FORMATS: Mapping[str, tuple[str, Callable[[Location], bytes]]] = {
    "csv": ("metrics.csv", _csv),
    "parquet": ("metrics.parquet", _parquet),
    "json": ("metrics.json", _json),
    "markdown": ("metrics.md", _markdown),
    "latex": ("metrics.tex", _latex),
}
"""By name: the file in the run folder that it is written to, and what makes it."""
