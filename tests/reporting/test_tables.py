import io
import json
import re

from rich.console import Console

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise
from raysuite.reporting.tables import (
    markdown_table,
    mean_std,
    percent,
    plain_table,
    records,
    rich_table,
    write_markdown,
)

from .run_folder import FakeCategory, write_run_folder


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def test_markdown_values_are_the_metrics(small_run):
    summary = summarise(load_results(small_run))
    lines = markdown_table(summary).splitlines()
    header = cells(lines[0])
    carpet = dict(zip(header, cells(lines[2]), strict=True))
    rows = [row for row in (small_run / "metrics.parquet").read_table().to_pylist() if row["category"] == "carpet"]
    for metric in METRICS:
        mean = sum(row[metric.key] for row in rows) / len(rows)
        assert carpet[metric.label].startswith(f"{100 * mean:.1f} ± ")
    assert (carpet["Good"], carpet["Defect"], carpet["Failed"]) == ("12", "20", "1")
    assert "[" in carpet["Image AUROC"]


def test_oracle_figures_carry_the_mark_and_its_note(small_run):
    for text in (plain_table(summarise(load_results(small_run))), markdown_table(summarise(load_results(small_run)))):
        assert "Image F1-max†" in text
        assert "Pixel F1-max†" in text
        assert "† Oracle" in text


def test_failed_undefined_and_incomplete_are_said(small_run):
    text = plain_table(summarise(load_results(small_run)))
    lines = {line.split("  ")[0].strip(): line for line in text.splitlines()}
    assert "failed" in lines["toothbrush"]
    assert lines["leather"].count("n/d") == 4
    assert lines["Mean over categories"].count("‡") == len(METRICS)
    assert "toothbrush, seeds 0, 1: failed: the loss is no longer a number" in text
    assert "nan" not in text.lower()


def test_zero_is_printed_as_zero_and_undefined_as_undefined():
    assert percent(0.0) == "0.0"
    assert percent(None) == "n/d"
    assert percent(0.98349) == "98.3"


def test_plain_columns_line_up(small_run):
    lines = plain_table(summarise(load_results(small_run))).splitlines()
    table = lines[: lines.index("")]
    assert len({len(line) for line in table}) == 1


def test_a_name_cannot_steer_the_terminal_or_the_markup(tmp_path, small_run):
    from raysuite.storage import Location

    hostile = FakeCategory("[red]\x1b[31m|*a*")
    summary = summarise(load_results(write_run_folder(Location.of(tmp_path / "r"), [hostile, FakeCategory("b")])))
    assert "\x1b" not in plain_table(summary)
    assert r"\[red\]\\x1b\[31m\|\*a\*" in markdown_table(summary)
    out = io.StringIO()
    Console(file=out, width=220, color_system=None).print(rich_table(summary))
    assert r"[red]\x1b[31m|*a*" in out.getvalue()


def test_rich_table_shows_the_same_cells(small_run):
    summary = summarise(load_results(small_run))
    out = io.StringIO()
    Console(file=out, width=240, color_system=None).print(rich_table(summary))
    assert mean_std(summary[0].categories[0].metrics["aupro"]) in out.getvalue()


def test_records_are_json_with_null_for_undefined(small_run):
    rows = json.loads(json.dumps(records(summarise(load_results(small_run))), allow_nan=False))
    by_category = {row["category"]: row for row in rows}
    assert by_category["leather"]["aupro"] is None
    assert by_category["toothbrush"]["image_auroc"] is None
    assert by_category["toothbrush"]["failures"][0]["seed"] == 0
    assert 0 < by_category["screw"]["image_auroc"] < 1


def test_markdown_is_written_into_the_run(fresh_run):
    written = write_markdown(fresh_run)
    assert written.path == (fresh_run / "metrics.md").path
    assert written.read_text().startswith("| Category | Image AUROC |")


def test_several_objectives_are_set_side_by_side(compared_run):
    summaries = summarise(load_results(compared_run))
    text = plain_table(summaries)
    lines = text.splitlines()
    start = lines.index("Image AUROC by objective")
    assert lines[start + 1].split() == ["Category", "filter", "plain", "denoise"]
    carpet = next(line for line in lines[start:] if line.startswith("carpet"))
    for summary in summaries:
        assert mean_std(summary.of("carpet").metrics["image_auroc"]) in carpet
        assert f"Objective {summary.objective}" in lines
    assert "toothbrush, plain, seeds 0, 1: failed" in text


def test_the_best_of_a_row_is_marked_in_every_form(compared_run):
    summaries = summarise(load_results(compared_run))
    best = mean_std(summaries[0].of("screw").metrics["aupro"])
    assert f"{best} *" in plain_table(summaries)
    assert f"| **{best}** |" in markdown_table(summaries)
    out = io.StringIO()
    Console(file=out, width=240, color_system="standard", force_terminal=True).print(rich_table(summaries))
    assert re.search(rf"\x1b\[1m *{re.escape(best)} *\x1b\[0m", out.getvalue())


def test_markdown_compares_before_it_goes_into_detail(compared_run):
    titles = [
        line.removeprefix("### ")
        for line in markdown_table(summarise(load_results(compared_run))).splitlines()
        if line.startswith("#")
    ]
    assert titles == [
        "Image AUROC by objective", "Pixel AUROC by objective", "AUPRO by objective",
        "Objective filter", "Objective plain", "Objective denoise",
    ]  # fmt: skip


def test_records_have_a_mapping_an_objective_and_category(compared_run):
    rows = records(summarise(load_results(compared_run)))
    assert len({(row["category"], row["objective"]) for row in rows}) == len(rows) == 12
    assert [row["objective"] for row in rows[:4]] == ["filter"] * 4
