"""The pages of a search and of a scored archive in a real browser: drawn, quiet, and no wider than the screen."""

from pathlib import Path

import pytest

from raysuite.reporting.archive_page import write_archive_page
from raysuite.reporting.search_page import write_search_report
from raysuite.storage import Location

from .archive_folder import write_archive
from .browser import Browser
from .search_folder import write_search_folder

pytestmark = pytest.mark.browser

BAD = ("<img src=x onerror=\"document.title='owned'\">", "</script><script>document.title='owned'</script>\n缺陷 'b'")
SEEN = "[...document.querySelectorAll('.plot')].filter((plot) => plot.offsetParent)"


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("pages")
    searches = {
        "search": {"categories": BAD, "oracle": True, "reason": BAD[0], "node": BAD[1]},
        "each": {"categories": BAD, "per_category": True, "is_over": False},
    }
    found = {
        name: write_search_report(write_search_folder(Location.of(home / name), **given))
        for name, given in searches.items()
    }
    found["archive"] = write_archive_page(write_archive(home / "archive"))
    return {name: Path(page.path) for name, page in found.items()}


def scroll_through(browser: Browser) -> None:
    """Charts are drawn when they come into view."""
    for place in range(12):
        browser.run(f"scrollTo(0, document.body.scrollHeight * {place} / 11)")
        browser.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    browser.wait(f"{SEEN}.every((plot) => plot.querySelector('.main-svg') || plot.classList.contains('plot-error'))")


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
@pytest.mark.parametrize("name", ["search", "each", "archive"])
def test_a_page_is_drawn_without_a_complaint_or_a_request_and_is_no_wider_than_the_screen(
    browser, pages, name, width, scheme
):
    browser.open(pages[name], width, scheme=scheme)
    scroll_through(browser)
    assert browser.run("document.querySelectorAll('.plot .main-svg').length") >= 2
    assert browser.run("document.querySelectorAll('.plot-error').length") == 0
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("document.title") != "owned"
    assert browser.complaints == []
    assert browser.requests == []


def test_names_are_shown_as_text(browser, pages):
    browser.open(pages["search"])
    assert all(name in browser.run("document.body.textContent") for name in BAD)


def test_one_search_is_shown_at_a_time_and_trials_are_sorted(browser, pages):
    browser.open(pages["each"])
    panels = "[...document.querySelectorAll('.panel')].map((panel) => panel.offsetParent !== null)"
    assert browser.run(panels) == [True, False]
    browser.click("[data-pick='1']")
    assert browser.run(panels) == [False, True]
    browser.run("document.querySelector('#trials details').open = true")
    for down in (False, True):
        browser.click("#trials thead th:nth-child(5) button")
        cells = "[...document.querySelectorAll('#trials tbody tr')].map((row) => row.cells[4].textContent)"
        scores = [float(text) for text in browser.run(cells) if text[0].isdigit()]
        assert len(scores) > 40
        assert scores == sorted(scores, reverse=down)


def test_the_theme_can_be_chosen(browser, pages):
    browser.open(pages["archive"])
    shade = "getComputedStyle(document.body).backgroundColor"
    light = browser.run(shade)
    browser.click("#theme")
    browser.click("#theme")
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    assert browser.run(shade) != light
    browser.click("#theme")


def test_an_archive_is_readable_without_scripts(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(pages["archive"])
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert browser.run("[...document.querySelectorAll('.panel')].every((panel) => panel.offsetParent !== null)")
    assert browser.run("document.querySelectorAll('#worst tbody tr').length") == 20


def test_paper_has_the_light_theme_and_charts_that_fit_and_the_screen_has_its_own_again(browser, pages):
    browser.open(pages["search"], scheme="dark")
    scroll_through(browser)
    widths = "[...document.querySelectorAll('.plot .main-svg:first-child')].map((one) => one.clientWidth)"
    inks = "[...document.querySelectorAll('.plot .legendtext')].map((one) => getComputedStyle(one).fill)"
    before = browser.run(widths), browser.run(inks)
    assert max(before[0]) > 700
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert max(browser.run(widths)) == 700
    assert set(browser.run(inks)) == {"rgb(27, 31, 36)"}
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert (browser.run(widths), browser.run(inks)) == before
