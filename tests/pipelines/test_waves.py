"""Listing ahead: what it finds or raises is there where it is asked for, and nobody waits for it at the end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from raysuite.errors import DatasetError
from raysuite.pipelines.waves import _aside


def test_what_a_listing_finds_or_raises_is_there_where_it_is_asked_for() -> None:
    def broken() -> int:
        raise DatasetError("the folder is gone")

    assert _aside(lambda: [1, 2]).result(timeout=60) == [1, 2]
    with pytest.raises(DatasetError, match="the folder is gone"):
        _aside(broken).result(timeout=60)


def test_a_command_that_ends_waits_for_no_listing() -> None:
    program = "import time; from raysuite.pipelines.waves import _aside; _aside(lambda: time.sleep(500)); print('end')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["end"]
