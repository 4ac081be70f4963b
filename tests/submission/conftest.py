"""One cluster of two nodes for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.submission.clusters import RAY, Cluster, short_folder


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes with one CPU each, and a dashboard that wants a token."""
    if not Path(RAY).is_file():
        pytest.skip("the ray command is not installed beside this Python")
    with short_folder() as temp, Cluster(tmp_path_factory.mktemp("home"), Path(temp)) as made:
        yield made
