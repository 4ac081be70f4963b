"""The head of the report: the verdict says what ran and what is wrong, and what stands beside the results is theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysuite.errors import RunError
from raysuite.reporting.page import render_report
from raysuite.reporting.published import published_beside
from raysuite.reporting.results import load_results
from raysuite.reporting.results_view import best_published
from raysuite.reporting.summary import summarise
from raysuite.storage import Location

from .markup import Page
from .run_folder import FakeCategory, write_run_folder


def test_the_verdict_says_what_ran_on_which_data(small_page, small_run):
    text = Page(small_page).visible
    assert "4 categories × 2 seeds × 1 objective (filter)" in text
    assert "fingerprint sha256:" + "ab" * 32 in text
    assert "raysuite benchmark data --run runs/demo" in text
    assert "Fewer than three seeds: too few to quote" in text
    assert "Figures marked † chose their threshold on the test labels" in text


def test_a_run_that_is_compared_shows_both_and_what_differs(tmp_path: Path):
    ours, base = (
        write_run_folder(Location.of(tmp_path / name), [FakeCategory("carpet", separation=s)], seeds, gallery=0)
        for name, s, seeds in (("new", 2.0, (0, 1)), ("<old>", 0.8, (0,)))
    )
    html = render_report(ours, base)
    page = Page(html)
    assert page.unbalanced == []
    assert "Compared with <old>" in page.visible
    assert "<old>" not in html
    assert "What else differs" in page.visible
    assert ["seeds", "0, 1", "0"] in [[cell.strip() for cell in row] for row in page.rows]
    assert "Compared with" not in Page(render_report(ours)).visible


def test_objectives_are_compared_with_the_same_of_the_baseline(compared_run, small_run):
    page = Page(render_report(compared_run, small_run))
    assert "Objective filter" not in page.visible, "the baseline has one of the three, so that there is one comparison"
    assert "Compared with small" in page.visible
    carpet = next(row for row in page.rows if row and row[0].strip().startswith("carpet") and "+0.0" in "".join(row))
    assert "*" not in "".join(carpet)


def test_a_baseline_of_other_categories_is_refused(small_run, tmp_path: Path):
    other = write_run_folder(Location.of(tmp_path / "other"), [FakeCategory("weave")], (0,), gallery=0)
    with pytest.raises(RunError, match="no category in common"):
        render_report(small_run, other)


def test_published_results_stand_beside_those_of_a_known_data_set_alone(small_page, tmp_path: Path):
    assert "Published results" not in Page(small_page).visible
    categories = [FakeCategory("bottle", n_good=20, n_defect=63), FakeCategory("weave")]
    root = write_run_folder(Location.of(tmp_path / "run"), categories, (0,), gallery=0)
    page = Page(render_report(root))
    assert "Published results on MVTec AD" in page.visible
    assert "means over bottle: 1 of its 15 categories" in page.visible
    (found,) = published_beside(summarise(load_results(root))[0])
    row = page.row("NSA (logistic) Schlüter et al., ECCV 2022")
    assert row[1:5] == ["97.7", "98.3", "–", "92.9"]
    own = page.row("This run")
    assert own[1] == f"{100 * found.own['image_auroc']:.1f}"
    assert best_published(found, "image_auroc") == 100.0
