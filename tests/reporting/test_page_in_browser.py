"""What only a browser knows: that charts are drawn under the page's own policy, and that hostile names do nothing."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from raysuite.reporting.page import write_report
from raysuite.storage import Location

from .run_folder import SMALL_RUN, FakeCategory, write_run_folder

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=10000",
    "--window-size=1280,8000",
)


@pytest.fixture(scope="module")
def dom(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page as it stands after its scripts ran."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    folder = tmp_path_factory.mktemp("browser")
    bad = "<img src=x onerror=\"document.title='owned'\">"
    categories = [FakeCategory("carpet", separation=0.8, hostile_id=bad), *SMALL_RUN[1:], FakeCategory(bad)]
    report = write_report(write_run_folder(Location.of(folder / "run"), categories, gallery=40))
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", Path(report.path).as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return re.sub(r"<script\b.*?</script>", "", done.stdout, flags=re.DOTALL)


def plots(dom: str) -> dict[str, str]:
    parts = re.split(r'<div class="plot[^"]*" id="(figure-[^"]+)"', dom)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_chart_of_the_category_in_view_is_drawn(dom):
    drawn = {name for name, body in plots(dom).items() if "main-svg" in body}
    assert {
        "figure-overview",
        *(f"figure-0-{n}" for n in ("image_roc", "pixel_roc", "pro", "scores", "training")),
    } <= drawn


def test_charts_of_other_categories_wait(dom):
    assert not any("main-svg" in body for name, body in plots(dom).items() if name.startswith("figure-2-"))


def test_nothing_says_error(dom):
    assert "could not be drawn" not in dom
    assert "plot-error" not in re.sub(r"<style\b.*?</style>", "", dom, flags=re.DOTALL)


def test_the_page_script_ran_and_the_hostile_one_did_not(dom):
    assert 'class="scripted"' in dom
    assert "<title>run · raysuite report</title>" in dom
