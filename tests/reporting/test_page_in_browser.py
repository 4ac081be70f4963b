"""What only a browser knows: that charts are drawn under the page's own policy, that what can be clicked does what it
says, with a mouse and with keys, at two widths, and that hostile names do nothing."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from raysuite.reporting.images import encode_webp
from raysuite.reporting.page import write_report
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise
from raysuite.reporting.thresholds import confusion
from raysuite.storage import Location

from .browser import Browser
from .run_folder import SMALL_RUN, FakeCategory, write_run_folder

pytestmark = pytest.mark.browser

MOST_BYTES = 25_000_000
BAD = "<img src=x onerror=\"document.title='owned'\">"
NAMES = (BAD, "</script><script>document.title='owned'</script>", "line\nbreak 'and' \"quotes\"", "齿轮 — Zahnrad")
WIDTHS = (1280, 390)


class Pages(dict[str, Path]):
    """Reports of runs of every sort, by name, made when they are first wanted; their run folders are around them."""

    RUNS: ClassVar = {
        "failures": [FakeCategory("carpet", separation=0.8), *SMALL_RUN[1:]],
        "hostile": [
            *(FakeCategory(name, separation=0.8, hostile_id=name) for name in NAMES),
            FakeCategory(f"{BAD} failed", failed=True),
        ],
        "one": [FakeCategory("carpet")],
        "no masks": [FakeCategory("carpet", masks=False), FakeCategory("wood", masks=False)],
        "nothing finished": [FakeCategory("carpet", failed=True), FakeCategory("wood", failed=True)],
        "15 × 3": [],
    }

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder

    def __missing__(self, name: str) -> Path:
        root, some = Location.of(self.folder / name), self.RUNS[name]
        run = write_run_folder(root, some, gallery=4) if some else large_run(root)
        self[name] = Path(write_report(run).path)
        return self[name]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    return Pages(tmp_path_factory.mktemp("runs"))


def large_run(root: Location) -> Location:
    """15 categories with 3 seeds, and for each as many pictures as an evaluation keeps, of the most bytes there are."""
    categories = [FakeCategory(f"category-{n:02d}", separation=0.5 + n / 10) for n in range(15)]
    write_run_folder(root, categories, seeds=(0, 1, 2), gallery=0)
    rng = np.random.default_rng(0)
    noise = [encode_webp(rng.integers(0, 256, (256, 256, 3), np.uint8), 256) for _ in range(4)]
    for category in categories:
        for seed in range(3):
            where = root / category.name / f"seed-{seed}" / "gallery.parquet"
            rows = [
                {
                    "kind": kind, "id": f"{kind}-{seed}-{n}.png", "defect": "hole" if kind == "miss" else "good",
                    "label": int(kind == "miss"), "score": 0.01 * (n + 1), "threshold": 0.05,
                    **dict(zip(("image", "reconstruction", "map", "mask"), noise, strict=True)),
                }
                for kind in ("miss", "false_alarm", "borderline") for n in range(8)
            ]  # fmt: skip
            where.write_table(pa.Table.from_pylist(rows, schema=where.read_table().schema))
    return root


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", list(Pages.RUNS))
def test_a_page_is_drawn_without_a_complaint_or_a_request_and_is_no_wider_than_the_screen(browser, pages, name, width):
    browser.open(pages[name], width)
    for section in ("curves", "scores", "training", "gallery", "cost", "definitions"):
        browser.run(f"document.getElementById('{section}').scrollIntoView()")
        browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    seen = "[...document.querySelectorAll('.plot')].filter((plot) => plot.offsetParent)"
    browser.wait(f"{seen}.every((plot) => plot.querySelector('.main-svg') || plot.classList.contains('plot-error'))")
    assert browser.run("document.querySelectorAll('.plot-error').length") == 0
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.complaints == []
    assert browser.requests == []


def test_a_report_of_15_categories_and_3_seeds_can_be_mailed(pages):
    assert pages["15 × 3"].stat().st_size < MOST_BYTES
    # The budget is used, not missed by far.
    assert pages["15 × 3"].stat().st_size > MOST_BYTES / 2


def test_hostile_names_are_shown_as_text_and_do_nothing(browser, pages):
    browser.open(pages["hostile"])
    text = browser.run("document.body.textContent")
    assert all(name in text for name in NAMES)
    assert browser.run("document.title") == "hostile · raysuite report"
    assert browser.run("document.querySelectorAll('img:not([src^=\"data:\"])').length") == 0
    browser.see("#figure-0-scores .main-svg")
    assert browser.run("document.title") == "hostile · raysuite report"


@pytest.fixture(params=WIDTHS)
def page(browser, pages, request) -> Browser:
    """The run with failures, at either width."""
    browser.open(pages["failures"], request.param)
    return browser


def test_charts_of_other_categories_wait_until_they_are_picked(page):
    page.see("#figure-0-image_roc .main-svg")
    assert not page.run("document.querySelector('#figure-2-image_roc .main-svg')")
    page.click(".picker [data-pick='2']")
    page.see("#figure-2-image_roc .main-svg")
    assert page.run("document.querySelector('#gallery select[data-filter=category]').value") == "2"
    assert page.run("document.querySelector('#curves .panel.chosen h3').textContent").strip().startswith("screw")


def test_tables_sort_both_ways(page, pages):
    def order() -> list[str]:
        heads = "[...document.querySelectorAll('table.results tbody th[data-value]')]"
        return page.run(f"{heads}.map((th) => th.dataset.value)")

    def click() -> str:
        page.click("table.results thead th:nth-child(2) button")
        return page.run("document.querySelector('table.results th[aria-sort]').getAttribute('aria-sort')")

    sorted_as = {click(): order() for _ in range(2)}
    up, down = sorted_as["ascending"], sorted_as["descending"]
    # What failed has no figure, and is last either way.
    assert up[:-1] == down[-2::-1]
    assert up[-1] == down[-1] == "toothbrush"
    (summary,) = summarise(load_results(Location.of(pages["failures"].parent)))
    assert up[0] == summary.worst("image_auroc").category
    assert set(up) == {"carpet", "leather", "screw", "toothbrush"}


def test_a_false_positive_rate_can_be_logarithmic(page):
    page.see("#figure-0-pro .main-svg")
    page.click("#log-fpr")
    page.wait("document.querySelector('#figure-0-pro')._fullLayout.xaxis.type === 'log'")
    assert page.run("document.querySelector('#figure-0-image_roc')._fullLayout.xaxis.type") == "log"


def choose(page: Browser, name: str, value: str) -> None:
    select = f"document.querySelector('#gallery select[data-filter={name}]')"
    page.run(f"{select}.value = {json.dumps(value)}; {select}.dispatchEvent(new Event('change')); 0")


def shown(page: Browser) -> list[dict[str, str]]:
    return page.run(
        "[...document.querySelectorAll('#gallery article')].filter((one) => one.offsetParent)"
        ".map((one) => ({...one.dataset}))"
    )


def test_the_gallery_is_filtered_by_category_kind_and_defect(page):
    first = shown(page)
    assert first
    assert {one["category"] for one in first} == {"0"}
    choose(page, "category", "")
    everything = shown(page)
    assert len(everything) == page.run("document.querySelectorAll('#gallery article').length")
    choose(page, "kind", "miss")
    misses = [one for one in everything if one["kind"] == "miss"]
    assert shown(page) == misses
    choose(page, "kind", "")
    hole = page.run(
        "[...document.querySelectorAll('[data-filter=defect] option')].find((o) => o.text === 'hole').value"
    )
    choose(page, "defect", hole)
    assert shown(page) == [one for one in everything if one["defect"] == hole]
    assert page.run("document.querySelector('#gallery output').textContent").startswith(f"{len(shown(page))} of ")
    choose(page, "category", "3")
    assert shown(page) == []
    assert page.run("document.querySelector('[data-nothing]').offsetParent !== null")


def told(page: Browser) -> dict[str, str]:
    return page.run(
        "Object.fromEntries([...document.querySelectorAll('#scores .panel.chosen .threshold [data-out]')]"
        ".map((out) => [out.dataset.out, out.textContent]))"
    )


def counts(page: Browser) -> tuple[int, int]:
    return tuple(int(told(page)[name].split()[0]) for name in ("caught", "alarms"))


def test_the_threshold_starts_at_the_detectors_own_and_a_key_moves_one_image(page, pages):
    runs = load_results(Location.of(pages["failures"].parent)).of("carpet")
    slider = "#scores .panel.chosen .threshold input"
    own = confusion(runs[0])
    assert counts(page) == (own.caught, own.false_alarms)
    assert told(page)["recall"] == f"{100 * own.recall:.1f}"
    page.run(f"document.querySelector('{slider}').focus()")
    page.press("ArrowRight")
    moved = counts(page)
    assert sum(moved) == own.caught + own.false_alarms - 1
    assert "recall" in page.run(f"document.querySelector('{slider}').getAttribute('aria-valuetext')")
    page.see("#figure-0-scores .main-svg")
    page.wait("document.querySelector('#figure-0-scores')._fullLayout.shapes.length === 1")
    page.press("End")
    assert counts(page) == (0, 0)
    page.press("Home")
    assert counts(page) == (20, 12)
    page.click("#scores .panel.chosen .threshold button")
    assert counts(page) == (own.caught, own.false_alarms)
    page.wait("document.querySelector('#figure-0-scores')._fullLayout.shapes.length === 0")


def test_each_seed_has_its_own_threshold(page, pages):
    runs = load_results(Location.of(pages["failures"].parent)).of("carpet")
    select = "document.querySelector('#scores .panel.chosen .threshold select')"
    page.run(f"{select}.selectedIndex = 1; {select}.dispatchEvent(new Event('change')); 0")
    second = confusion(runs[1])
    assert counts(page) == (second.caught, second.false_alarms)


def test_a_picture_is_enlarged_by_mouse_and_by_key_and_left_by_escape(page):
    opened = "document.getElementById('enlarged').open"
    caption = "document.querySelector('#enlarged .caption code').textContent"
    page.click("#gallery article .pictures")
    assert page.run(opened)
    first = page.run(caption)
    assert page.run("document.querySelectorAll('#enlarged [data-picture]').length") == 4
    assert page.run("document.querySelectorAll('#enlarged [data-picture=overlay] img').length") >= 2
    page.press("ArrowRight")
    second = page.run(caption)
    assert second != first
    page.press("ArrowLeft")
    assert page.run(caption) == first
    page.press("Escape")
    page.wait(f"!{opened}")
    assert page.run("document.activeElement.closest('article') !== null")
    page.press("Enter")
    assert page.run(opened)
    page.click("#enlarged [data-close]")
    assert not page.run(opened)


def test_every_picture_has_words(page):
    silent = page.run(
        "[...document.querySelectorAll('img')].filter((one) => !one.hasAttribute('alt')"
        " || (one.alt === '' && !one.classList.contains('over'))).length"
    )
    assert silent == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_theme_is_the_machines_until_another_is_chosen_and_charts_follow(browser, pages, scheme):
    browser.open(pages["failures"], scheme=scheme)
    browser.run("localStorage.clear()")
    browser.open(pages["failures"], scheme=scheme)
    look = (
        "[getComputedStyle(document.body).backgroundColor, document.querySelector('#figure-overview')"
        "._fullLayout.font.color, document.querySelector('#theme').textContent]"
    )
    browser.wait("document.querySelector('#figure-overview')?._fullLayout?.font")
    seen = [browser.run(look)]
    for _ in range(3):
        browser.click("#theme")
        seen.append(browser.run(look))
    assert [name for _, _, name in seen] == ["Theme: auto", "Theme: light", "Theme: dark", "Theme: auto"]
    light, dark = seen[1][:2], seen[2][:2]
    assert light[0] == "rgb(255, 255, 255)"
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    assert seen[0][:2] == seen[3][:2] == (light if scheme == "light" else dark)


def test_without_scripts_all_tables_and_pictures_are_there(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["failures"])
        tree = browser.call("DOM.getDocument", depth=-1, pierce=True)
        html = browser.call("DOM.getOuterHTML", nodeId=tree["root"]["nodeId"])["outerHTML"]
        assert 'class="scripted' not in html
        box = browser.call("DOM.querySelectorAll", nodeId=tree["root"]["nodeId"], selector=".panel table, article img")
        seen = [browser.call("DOM.getBoxModel", nodeId=node)["model"]["height"] > 0 for node in box["nodeIds"][:40]]
        assert len(seen) > 20
        assert all(seen)
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_a_printed_page_has_no_buttons_and_a_white_ground(browser, pages):
    browser.open(pages["failures"], scheme="dark")
    browser.call(
        "Emulation.setEmulatedMedia", media="print", features=[{"name": "prefers-color-scheme", "value": "dark"}]
    )
    assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    for selector in (".picker", "#theme", ".filters", ".threshold", ".log-switch"):
        assert browser.run(f"getComputedStyle(document.querySelector('{selector}')).display") == "none"
    seen = "[...document.querySelectorAll('.plot')].filter((plot) => plot.offsetParent)"
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(f"{seen}.every((plot) => plot.querySelector('.main-svg'))")
    # What was drawn for the paper is still there when it is scrolled to.
    browser.run("document.getElementById('cost').scrollIntoView()")
    browser.run("new Promise((done) => setTimeout(done, 200))")
    assert browser.run(f"{seen}.every((plot) => plot.querySelector('.main-svg'))")
