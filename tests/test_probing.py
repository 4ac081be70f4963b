"""The probe of a shared folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysuite.errors import StorageError
from raysuite.probing import Probe


def test_a_probe_reads_and_writes_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept.txt").write_text("kept")
    probe = Probe.begin(str(tmp_path))
    probe.look("one")
    probe.look("two")
    assert [path.name for path in (tmp_path / probe.mark).iterdir()] == ["driver"], "each deletes its own file"
    probe.end()
    assert [path.name for path in tmp_path.iterdir()] == ["kept.txt"]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"there is no folder .*runs; make it, or mount it, first"):
        Probe.begin(str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("there", "words"), [(True, "is another folder than where the command was given"), (False, "is not there, but")]
)
def test_a_folder_that_is_local_to_the_driver_is_told_and_not_written_to(
    tmp_path: Path, there: bool, words: str
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    probe = Probe.begin(str(shared))
    shared.rename(tmp_path / "of the driver")
    if there:
        shared.mkdir()
    with pytest.raises(StorageError, match=words):
        probe.look("one")
    assert shared.exists() == there
    assert not there or not list(shared.iterdir())


def test_what_is_not_what_was_written_is_told(tmp_path: Path) -> None:
    probe = Probe.begin(str(tmp_path))
    (tmp_path / probe.mark / "driver").write_text("stale")
    with pytest.raises(StorageError, match="driver does not hold what was written into it"):
        probe.look("one")
