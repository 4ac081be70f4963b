"""A signal in the middle of a training: a clean end, word on how to go on, and nothing half-written taken for done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from raysuite.runs import Run

pytestmark = pytest.mark.ray

WORDS = ["--preset", "tiny", "--image-size", "64", "--set", "model.dilations=[1,2]", "--steps", "1000000"]


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_training_ends_cleanly_and_says_how_to_go_on(
    small_benchmark: Path, tmp_path: Path, number: signal.Signals, expected: int
) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-m", "raysuite.cli.main", "train", str(small_benchmark), "--run", str(run), *WORDS]
    log = tmp_path / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [*command, "--category", "weave"], stderr=sink, stdout=sink, env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # Tests that were started in the background ignore Ctrl-C, and would hand that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- it takes no lock
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 400
        while "images/s" not in log.read_text() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.5)
        assert "images/s" in log.read_text(), log.read_text()
        process.send_signal(number)
        code = process.wait(timeout=120)
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert code == expected, said
    assert "the same command goes on" in said
    assert "Traceback" not in said
    assert "SIGTERM" not in said
    member = Run.open(str(run)).member("weave", 0)
    assert not member.is_trained
    assert member.status()["state"] == "training"
