"""``raysuite report`` in all its forms, and ``raysuite compare``: what is written, what is refused, how they end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from raysuite.cli.report import FORMATS
from raysuite.reporting.exports import FORMATS as EXPORTS
from raysuite.storage import Location
from tests.reporting.run_folder import FakeCategory, write_run_folder


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that are whole, ``a`` and ``b``, one with a failure, and one of other categories."""
    home = tmp_path_factory.mktemp("runs")
    names = ("carpet", "grid")
    for name, separation in (("a", 2.0), ("b", 0.7)):
        categories = [FakeCategory(one, separation=separation) for one in names]
        write_run_folder(Location.of(home / name), categories, (0,), gallery=0)
    write_run_folder(Location.of(home / "failed"), [FakeCategory("carpet"), FakeCategory("grid", failed=True)], (0,))
    write_run_folder(Location.of(home / "other"), [FakeCategory("weave")], (0,), gallery=0)
    return home


def test_each_form_is_written_where_its_name_says(home: Path) -> None:
    assert set(FORMATS) == {"html", *EXPORTS}
    result = call("report", home / "a", *(word for kind in FORMATS for word in ("--format", kind)))
    assert result.exit_code == 0, result.output
    for name in ("report.html", *(name for name, _ in EXPORTS.values())):
        assert f"Written: {home / 'a' / name}" in result.stdout.splitlines()
        assert (home / "a" / name).stat().st_size > 100


def test_without_a_format_the_page_is_written_and_the_table_printed(home: Path) -> None:
    result = call("report", home / "b")
    assert result.exit_code == 0, result.output
    assert "Mean over categories" in result.stdout
    assert result.stdout.rstrip().endswith(f"Report: {home / 'b' / 'report.html'}")


def test_one_form_goes_to_another_place_or_to_standard_output(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "table.tex"
    assert call("report", home / "a", "--format", "latex", "--output", elsewhere).exit_code == 0
    printed = call("report", home / "a", "--format", "latex", "--output", "-")
    assert printed.stdout == elsewhere.read_text()
    assert json.loads(call("report", home / "a", "--format", "json", "--output", "-").stdout)["run"] == "a"


def test_failures_are_named_and_the_exit_code_is_3(home: Path) -> None:
    for words in (("report", home / "failed"), ("report", home / "failed", "--format", "csv", "--output", "-")):
        result = call(*words)
        assert result.exit_code == 3
        assert "grid seed 0 failed: the loss is no longer a number" in result.stderr
    result = call("compare", home / "a", home / "failed")
    assert result.exit_code == 3
    assert "grid, failed: failed in the run" in result.stdout


def test_a_member_that_was_deleted_to_be_trained_anew_is_missing_and_the_exit_code_is_3(
    home: Path, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    shutil.copytree(home / "b", again)
    shutil.rmtree(again / "grid" / "seed-0")
    result = call("compare", home / "a", again)
    assert result.exit_code == 3, result.output
    assert "grid, again: failed in the run" in result.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("report", "a", "--format", "csv", "--format", "latex", "--output", "x"), "one --format"),
        (("report", "a", "--format", "csv", "--compare", "b"), "--compare is for the page"),
        (("report", "a", "--format", "csv", "--json"), "--json"),
        (("report", "a", "--format", "excel"), "excel"),
        (("compare", "a"), "two runs or more"),
        (("compare",), "RUN"),
    ],
)
def test_what_does_not_go_together_is_a_usage_error(home: Path, words: tuple[str, ...], said: str) -> None:
    result = call(words[0], *(home / word if word in ("a", "b") else word for word in words[1:]))
    assert result.exit_code == 2
    assert said in result.stderr


def test_comparing_prints_tables_and_the_same_figures_as_json(home: Path) -> None:
    result = call("compare", home / "b", home / "a")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    card = json.loads(call("compare", home / "b", home / "a", "--json").stdout)
    carpet = card["runs"][0]["categories"][0]
    assert (card["baseline"]["name"], carpet["category"]) == ("b", "carpet")
    shown = f"{100 * carpet['metrics']['aupro']['difference']:+.1f}"
    aupro = result.stdout[result.stdout.index("AUPRO, percent") :].splitlines()
    assert next(line for line in aupro if line.startswith("carpet")).split()[-1] == shown


def test_runs_of_nothing_in_common_are_refused_in_a_sentence(home: Path) -> None:
    result = call("compare", home / "a", home / "other")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert "no category in common" in result.stderr
    assert call("compare", home / "a", home / "nowhere").exit_code == 1


def test_other_data_is_warned_of_on_standard_error(home: Path, tmp_path: Path) -> None:
    root = write_run_folder(Location.of(tmp_path / "changed"), [FakeCategory("carpet")], (0,), gallery=0)
    card = json.loads((root / "provenance.json").read_text())
    card["data"]["fingerprint"] = "0" * 64
    (root / "provenance.json").write_text(json.dumps(card))
    result = call("compare", home / "a", root.path)
    assert result.exit_code == 0
    assert result.stderr.startswith("Warning: changed: The data differ")
