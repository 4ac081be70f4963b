"""Results for other programs: every figure is that of metrics.parquet, and no name can do harm in any form."""

from __future__ import annotations

import csv
import io
import json
import math
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysuite.errors import RunError
from raysuite.reporting.definitions import METRICS
from raysuite.reporting.exports import FORMATS, export
from raysuite.reporting.page import render_report
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise
from raysuite.reporting.tables import plain_table
from raysuite.storage import Location

from .markup import Page
from .run_folder import FakeCategory, write_run_folder

HOSTILE = '=HYPERLINK("http://x","a")'


def rows_of(root: Location) -> list[dict[str, object]]:
    return (root / "metrics.parquet").read_table().to_pylist()


def test_a_run_with_settings_that_an_oracle_chose_says_so_in_every_form_for_people(fresh_run):
    def told():
        summaries = summarise(load_results(fresh_run))
        page = Page(render_report(fresh_run)).visible
        return [
            page, plain_table(summaries), export(fresh_run, "markdown").decode(), export(fresh_run, "latex").decode()
        ]  # fmt: skip

    words = "ORACLE: the settings were chosen with the labels of these test images"
    assert not any(words in text for text in told())
    assert json.loads(export(fresh_run, "json"))["oracle"] is False
    card = json.loads((fresh_run / "provenance.json").read_text())
    (fresh_run / "provenance.json").write_text(json.dumps({**card, "oracle": True}))
    assert all(words in text for text in told())
    assert json.loads(export(fresh_run, "json"))["oracle"] is True
    page, _, _, latex = told()
    assert "nothing of a detector is chosen with them" not in page
    assert all(words in line for line in latex.splitlines() if r"\caption" in line)


def test_csv_has_every_row_and_column_with_every_digit(small_run):
    read = list(csv.DictReader(io.StringIO(export(small_run, "csv").decode(), newline="")))
    rows = rows_of(small_run)
    assert list(read[0]) == list(rows[0])
    for text, row in zip(read, rows, strict=True):
        for name, value in row.items():
            assert text[name] == ("" if value is None else str(value))
            if isinstance(value, float):
                assert float(text[name]) == value


def test_parquet_is_the_table_itself(small_run):
    assert pq.read_table(pa.BufferReader(export(small_run, "parquet"))).equals(
        (small_run / "metrics.parquet").read_table()
    )


def test_json_has_every_training_and_the_means_over_them(compared_run):
    card = json.loads(export(compared_run, "json"), parse_constant=pytest.fail)
    rows = rows_of(compared_run)
    assert card["trainings"] == rows
    assert card["fingerprint"] == "sha256:" + "ab" * 32
    for summary in summarise(load_results(compared_run)):
        for metric in METRICS:
            assert card["mean"][summary.objective][metric.key] == summary.macro[metric.key].mean
    one = next(c for c in card["categories"] if (c["category"], c["objective"]) == ("screw", "plain"))
    values = [row["aupro"] for row in rows if (row["category"], row["objective"]) == ("screw", "plain")]
    assert one["aupro"] == pytest.approx(sum(values) / len(values), abs=1e-15)
    assert one["aupro_std"] == pytest.approx(math.dist(values, [sum(values) / 2] * 2), abs=1e-12)


@pytest.mark.parametrize("kind", ["markdown", "latex"])
def test_text_tables_show_the_figures_rounded_to_a_decimal(small_run, kind):
    text = export(small_run, kind).decode()
    line = next(line for line in text.splitlines() if re.match(r"[|\s]*carpet", line))
    shown = [float(number) for number in re.findall(r"(?<![\d.])(\d+\.\d) (?:±|\$\\pm\$)", line)]
    rows = [row for row in rows_of(small_run) if row["category"] == "carpet"]
    assert shown == [float(f"{100 * sum(row[metric.key] for row in rows) / len(rows):.1f}") for metric in METRICS]


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_no_name_becomes_a_formula_in_a_spreadsheet(tmp_path, start):
    root = write_run_folder(Location.of(tmp_path / "run"), [FakeCategory("a")], (0,), gallery=0)
    table = (root / "metrics.parquet").read_table()
    reason = pa.array([f"{start}cmd|' /C calc'!A0"], pa.string())
    (root / "metrics.parquet").write_table(table.set_column(table.column_names.index("reason"), "reason", reason))
    (row,) = csv.DictReader(io.StringIO(export(root, "csv").decode(), newline=""))
    assert row["reason"] == f"'{start}cmd|' /C calc'!A0"


def test_hostile_names_come_through_each_form(tmp_path):
    named = [FakeCategory(HOSTILE.replace("/", "")), FakeCategory('a,b"c'), FakeCategory("裂纹")]
    root = write_run_folder(Location.of(tmp_path / "run"), named, (0,), gallery=0)
    read = {row["category"] for row in csv.DictReader(io.StringIO(export(root, "csv").decode(), newline=""))}
    assert read == {"'" + HOSTILE.replace("/", ""), 'a,b"c', "裂纹"}
    assert {row["category"] for row in json.loads(export(root, "json"))["trainings"]} == {one.name for one in named}
    assert "裂纹 &" in export(root, "latex").decode()


@pytest.mark.parametrize("kind", FORMATS)
def test_what_was_not_evaluated_has_no_results_in_any_form(fresh_run, kind):
    import pyarrow.fs as pafs

    assert isinstance(fresh_run.fs, pafs.LocalFileSystem)
    fresh_run.fs.delete_file((fresh_run / "metrics.parquet").path)
    with pytest.raises(RunError, match="raysuite evaluate"):
        export(fresh_run, kind)
