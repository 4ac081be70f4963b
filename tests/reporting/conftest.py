from collections.abc import Iterator
from pathlib import Path

import pytest

from raysuite.reporting.page import render_report
from raysuite.storage import Location

from .browser import CHROMIUM, Browser
from .run_folder import write_run_folder


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """Two whole categories, one without masks, one that failed; two seeds. Not to be changed."""
    return write_run_folder(Location.of(tmp_path_factory.mktemp("runs") / "small"))


@pytest.fixture(scope="session")
def small_page(small_run: Location) -> str:
    return render_report(small_run)


@pytest.fixture
def fresh_run(tmp_path: Path) -> Location:
    """The same, to be damaged."""
    return write_run_folder(Location.of(tmp_path / "fresh"))


@pytest.fixture(scope="session")
def compared_run(tmp_path_factory: pytest.TempPathFactory) -> Location:
    """The same categories with three objectives. Not to be changed."""
    root = Location.of(tmp_path_factory.mktemp("runs") / "compared")
    return write_run_folder(root, objectives=("filter", "plain", "denoise"), gallery=1)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One Chromium for all tests; each opens the page that it wants, which forgets what was before."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()
