"""A head whose disk is full, and one that dies in the middle of a job: each a sentence and an exit code."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.submission.clusters import RAY, Cluster, short_folder

pytestmark = pytest.mark.ray

MEGABYTES = 64


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of its own for what Ray keeps on the head."""
    with short_folder() as folder:
        command = ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except OSError as error:
            pytest.skip(f"no small file system can be made here: {error}")
        if done.returncode:
            pytest.skip(f"no small file system can be made here: {done.stderr.strip()}")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True)


@contextlib.contextmanager
def head(home: Path, temp: Path) -> Iterator[Cluster]:
    """A head by itself."""
    if not Path(RAY).is_file():
        pytest.skip("the ray command is not installed beside this Python")
    with Cluster(home, temp, nodes=1) as made:
        yield made


@contextlib.contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill a file system to its last byte for as long as this lasts."""
    filler = folder / "filler"
    try:
        with filler.open("wb", buffering=0) as sink, contextlib.suppress(OSError):
            while True:
                sink.write(bytes(2**16))
        yield
    finally:
        filler.unlink()


def test_a_full_disk_on_the_head_is_told(small_disk: Path, tmp_path: Path) -> None:
    with head(tmp_path, small_disk) as doomed, full(small_disk):
        assert os.statvfs(small_disk).f_bavail == 0
        done = doomed.raysuite("submit", "--patience", "20s", "--", "report", "s3://bucket/run")
    assert done.code == 1, done.said
    # Ray's dashboard, which would say so, may be the first to die of it.
    assert ("disk" in done.said and "is full" in done.said) or "cannot reach the cluster" in done.said
    assert "Traceback" not in done.said


@pytest.fixture
def doomed(tmp_path: Path) -> Iterator[Cluster]:
    """A head by itself."""
    with short_folder() as folder, head(tmp_path, Path(folder)) as made:
        yield made


def test_a_head_that_dies_in_the_middle_is_told_and_the_job_can_go_on_elsewhere(
    doomed: Cluster, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    words = ("submit", "--allow-command", "--patience", "3s", "--", "sh", "-c", "echo it has begun; sleep 600")
    process = doomed.begin(log, *words)
    try:
        deadline = time.monotonic() + 60
        while "it has begun\n" not in log.read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "it has begun\n" in log.read_text()
        doomed.kill()
        code = process.wait(60)
    finally:
        process.kill()
    said = log.read_text()
    assert code == 1, said
    assert "trying again for 3 s" in said
    assert "if its head is gone, so are its jobs" in said
    assert "Traceback" not in said
