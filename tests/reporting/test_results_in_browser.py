"""The tables of results in a browser: they sort with keys, unfold into seeds without scripts, and fit a telephone."""

import json
from pathlib import Path

import pytest

from raysuite.reporting.contrast import contrast
from raysuite.reporting.definitions import METRICS
from raysuite.reporting.loaded import LoadedRun
from raysuite.reporting.page import render_report
from raysuite.storage import Location

from .browser import Browser
from .run_folder import FakeCategory, write_run_folder

pytestmark = pytest.mark.browser

CATEGORIES = (
    FakeCategory("carpet", separation=1.6),
    FakeCategory("bottle", separation=0.7, n_good=20, n_defect=63),
    FakeCategory("grid", separation=2.4, n_good=21, n_defect=57),
    FakeCategory("zipper", failed=True),
)
TABLE = "document.querySelector('#results table.results')"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Location]:
    home = tmp_path_factory.mktemp("runs")
    weaker = [FakeCategory(c.name, separation=c.separation / 2, n_good=c.n_good, n_defect=c.n_defect)
              for c in CATEGORIES]  # fmt: skip
    return {
        "here": write_run_folder(Location.of(home / "here"), CATEGORIES, (0, 1), gallery=0),
        "there": write_run_folder(Location.of(home / "there"), weaker, (0, 1), gallery=0),
    }


@pytest.fixture(scope="module")
def file(runs: dict[str, Location]) -> Path:
    """The report of a run that is compared with another and has published results beside it."""
    target = runs["here"] / "report.html"
    target.write_text(render_report(runs["here"], runs["there"]))
    return Path(target.path)


def means(run: Location, key: str) -> dict[str, float]:
    rows = [row for row in (run / "metrics.parquet").read_table().to_pylist() if row[key] is not None]
    names = {row["category"] for row in rows}
    return {name: sum(row[key] for row in rows if row["category"] == name) / 2 for name in names}


def order(browser: Browser) -> list[str]:
    return browser.run(f"[...{TABLE}.tBodies].map((body) => body.rows[0].cells[0].textContent.trim())")


@pytest.mark.parametrize("key", ["image_auroc", "aupro"])
def test_the_keyboard_sorts_by_the_metric_both_ways_with_failures_last_and_seeds_with_their_category(
    browser, runs, file, key
):
    browser.open(file)
    column = 1 + [metric.key for metric in METRICS].index(key)
    rising = sorted(found := means(runs["here"], key), key=found.__getitem__)
    browser.run(f"{TABLE}.tHead.rows[0].cells[{column}].querySelector('button').focus()")
    for direction, expected in (("ascending", rising), ("descending", rising[::-1])):
        browser.press("Enter")
        heads = browser.run(f"[...{TABLE}.tHead.rows[0].cells].map((head) => head.getAttribute('aria-sort'))")
        assert [head for head in heads if head] == [direction]
        assert heads[column] == direction
        assert order(browser) == [*expected, "zipper"]
        seeds = browser.run(f"[...{TABLE}.tBodies].map((b) => [...b.rows].slice(1).map((r) => r.cells[0].textContent))")
        assert seeds == [["seed 0", "seed 1"]] * 4
    assert browser.run(f"{TABLE}.lastElementChild.tagName") == "TFOOT"
    assert browser.complaints == []


def test_the_figures_of_the_table_are_those_of_the_run(browser, runs, file):
    browser.open(file)
    shown = json.loads(
        browser.run(
            f"JSON.stringify([...{TABLE}.tBodies].map((body) => [...body.rows].map((row) => [...row.cells]"
            ".map((cell) => cell.dataset.value ?? cell.textContent.trim()))))"
        )
    )
    rows = {(row["category"], row["seed"]): row for row in (runs["here"] / "metrics.parquet").read_table().to_pylist()}
    for (name, *figures), *seeds in shown:
        for column, metric in enumerate(METRICS):
            if name == "zipper":
                assert figures[column] == "failed"
                continue
            assert float(figures[column]) == pytest.approx(means(runs["here"], metric.key)[name], abs=1e-15)
            for seed, row in enumerate(seeds):
                assert float(row[1 + column]) == rows[name, seed][metric.key]


def test_seeds_unfold_and_figures_stand_without_any_script(browser, file):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(file)
        visible = "[...document.querySelectorAll('tr.seed')].filter((row) => row.offsetParent).length"
        assert browser.run(visible) == 0
        browser.click(".seed-switch input")
        assert browser.run(visible) == 8
        assert order(browser) == ["bottle", "carpet", "grid", "zipper"]
        assert browser.run(f"{TABLE}.querySelectorAll('button').length") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_differences_are_shown_with_their_sign_and_their_significance(browser, runs, file):
    browser.open(file)
    found = contrast(LoadedRun.at(runs["here"]), LoadedRun.at(runs["there"]), "filter", "filter")
    shown = browser.run(
        "Object.fromEntries([...document.querySelectorAll('#contrast tbody tr')].map((row) =>"
        " [row.cells[0].firstChild.textContent.trim(), [row.cells[3]?.dataset.value, row.cells[3]?.textContent]]))"
    )
    for change in found.categories:
        value, text = shown[change.category]
        if change.category == "zipper":
            assert "failed in the run" in change.note
            continue
        auroc = change.changes["image_auroc"]
        assert float(value) == auroc.value
        assert text.startswith(f"{100 * auroc.value:+.1f}")
        assert ("*" in text) == auroc.significant
    assert browser.run("document.querySelector('#verdict .delta').textContent").startswith("+")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_the_sections_fit_the_screen_and_the_first_column_stays_in_sight(browser, file, width, scheme):
    browser.open(file, width, scheme=scheme)
    assert browser.run("document.documentElement.scrollWidth") <= width
    for section in ("results", "contrast", "published"):
        browser.run(f"document.querySelector('#{section} .scroll').scrollTo(9999, 0)")
        left = browser.run(f"document.querySelector('#{section} tbody th').getBoundingClientRect().left")
        if width == 390:
            assert 0 <= left < 20
    assert browser.complaints == []
    assert browser.requests == []
