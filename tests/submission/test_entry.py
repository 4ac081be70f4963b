"""What a job runs on the cluster: another version is refused, and a command that takes too long is ended cleanly."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from raysuite import __version__
from raysuite.submission.entry import TIMED_OUT, WRONG_VERSION

ENTRY = [sys.executable, "-m", "raysuite.submission.entry"]


def test_another_version_is_refused_with_both_and_what_to_do() -> None:
    done = subprocess.run(
        [*ENTRY, "--version", "9.9", "--", "report", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == WRONG_VERSION
    assert f"the cluster has raysuite {__version__}" in done.stderr
    assert "raysuite 9.9" in done.stderr
    assert "--ship" in done.stderr


def test_the_exit_code_is_the_commands_and_its_words_are_left_as_they_are(tmp_path: Path) -> None:
    words = ["--version", __version__, "--", "report", str(tmp_path / "no such run")]
    done = subprocess.run([*ENTRY, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"raysuite {__version__}, Python" in done.stderr
    assert "no such run" in done.stderr


def test_a_command_that_takes_too_long_is_interrupted_even_where_that_was_ignored(tmp_path: Path) -> None:
    words = [
        "--version",
        __version__,
        "--timeout",
        "1.5",
        "--",
        "data",
        "synth",
        str(tmp_path / "d"),
        "--train",
        "9999999",
    ]
    done = subprocess.run(
        [*ENTRY, *words], capture_output=True, text=True, check=False, timeout=60,
        # As a shell does with what it starts in the background.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
    )  # fmt: skip
    assert done.returncode == TIMED_OUT
    assert "it took longer than its timeout of 1.5 s" in done.stderr
    assert "the same command goes on from there" in done.stderr
