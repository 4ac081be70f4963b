"""What ``raysuite status`` and ``raysuite report`` say of a search that goes on, is over, or whose driver died."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli import search_status
from raysuite.cli.main import main
from raysuite.locks import Owner
from raysuite.storage import Location
from raysuite.tuning.trials import rows_of
from tests.reporting.search_folder import write_search_folder


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def root(tmp_path: Path) -> Location:
    """12 trials, of which the third failed and the last is under way; of 20 that are wanted."""
    root = write_search_folder(Location.of(tmp_path / "search"), trials=12, is_over=False)
    card = json.loads((root / "plan.json").read_text())
    (root / "plan.json").write_text(json.dumps({**card, "trials_each": 20}))
    return root


def own(root: Location, **changed: object) -> Owner:
    owner = replace(Owner.here(), **changed)
    (root / "owner.json").write_text(json.dumps(asdict(owner)))
    return owner


def test_a_search_at_work_is_shown_with_its_best_trial_its_budget_and_its_owner(root: Location) -> None:
    own(root, user="ada", started=time.time() - 5)
    result = call("status", root)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[1].split()[:3] == ["11", "running", "0/900"], "what goes on comes first"
    assert any(line.split()[:1] == ["2"] and "failed: the loss is no longer a number" in line for line in lines)
    counts = next(line for line in lines if "pending" in line)
    assert "1 running, 8 pending" in counts
    assert "1 failed" in counts
    card = json.loads(call("status", root, "--json").stdout)
    (search,) = card["searches"]
    best = next(trial for trial in search["trials"] if trial["number"] == search["best"])
    whole = [trial["score"] for trial in search["trials"] if trial["steps"] == 900 and trial["score"] is not None]
    assert best["score"] == max(whole)
    assert f"Best so far: trial {best['number']} (*), score {100 * best['score']:.1f} at 900 steps" in lines
    assert "Spent on the search: 0:20:34 of 1:00:00 (34 %)" in lines
    assert f"ada@{Owner.here().host}, process {os.getpid()}" in lines[-1]
    assert card["owner"]["alive"]
    assert sum(card["totals"].values()) == card["wanted"] == 20


def test_a_trial_whose_driver_died_is_interrupted(root: Location) -> None:
    own(root, pid=2**22 + 1)
    result = call("status", root)
    assert "1 interrupted, 8 pending" in result.stdout
    assert "ended without a word. The same command goes on." in result.stdout


def test_a_trial_that_waits_for_its_turn_again_is_no_running_one(root: Location) -> None:
    own(root, started=time.time() + 3600)
    assert json.loads(call("status", root, "--json").stdout)["totals"]["interrupted"] == 1


def test_watching_ends_with_the_command_that_is_watched(root: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    own(root)
    seen = []
    monkeypatch.setattr(time, "sleep", lambda _: (seen.append(1), own(root, pid=2**22 + 1)))
    result = call("status", root, "--watch")
    assert result.exit_code == 0, result.output
    assert seen == [1]
    assert "1 running" in result.stdout
    assert "1 interrupted" in result.stdout


def test_an_oracle_names_in_one_line_and_no_more_trials_than_fit(tmp_path: Path) -> None:
    root = write_search_folder(
        Location.of(tmp_path / "search"),
        ("a\nb", "[red]c[/]"),
        trials=search_status.SHOWN,
        per_category=True,
        oracle=True,
    )
    lines = call("status", root).stdout.splitlines()
    assert any("ORACLE: by the labels of the test images" in line for line in lines)
    assert any(line.startswith("30 more trials that are over are not shown") for line in lines)
    assert any(line.startswith("Best so far on a b: trial ") for line in lines)
    assert any("[red]c[/]" in line for line in lines)


def test_a_search_that_has_not_begun_and_one_of_an_older_version(root: Location) -> None:
    rows_of(root).delete_dir()
    assert "20 pending" in call("status", root).stdout
    (root / "plan.json").fs.delete_file((root / "plan.json").path)
    assert "no trial begun yet" in call("status", root).stdout


def test_report_writes_the_page_of_a_search_and_refuses_what_it_does_not_have(root: Location, tmp_path: Path) -> None:
    result = call("report", root)
    assert result.stdout == f"Report: {root}/report.html\n"
    page = Path(root.path) / "report.html"
    assert "The search is not over." in page.read_text(encoding="utf-8")
    assert call("report", root, "--output", "-").stdout == page.read_text(encoding="utf-8")
    assert call("report", root, "--output", tmp_path / "page.html").exit_code == 0
    assert (tmp_path / "page.html").read_bytes() == page.read_bytes()
    for words in (["--format", "csv"], ["--compare", str(root)]):
        refused = call("report", root, *words)
        assert refused.exit_code == 2
        assert "is a search: it has a page, and neither" in refused.stderr
    assert "it is not over" in call("report", root, "--json").stderr
