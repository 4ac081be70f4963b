"""What a job runs on the cluster: looks whether the right raysuite is there, runs the command, and ends it in time.

python -m raysuite.submission.entry --version 0.1.0 --timeout 3600 -- report s3://bucket/runs/parts
"""

from __future__ import annotations

import argparse
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence

from raysuite import __version__
from raysuite.submission.spec import STOP_SECONDS

WRONG_VERSION = 2
TIMED_OUT = 124


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command behind ``--`` and hand back its exit code; 2 for another version, 124 after the timeout."""
    parser = argparse.ArgumentParser(prog="raysuite.submission.entry", allow_abbrev=False)
    parser.add_argument("--version", required=True, help="the raysuite that sent the job")
    parser.add_argument("--timeout", type=float, help="seconds")
    parser.add_argument("command", nargs="+", help="the words after raysuite")
    options = parser.parse_args(arguments)
    if options.version != __version__:
        _say(
            f"Error: the cluster has raysuite {__version__} (at {sys.prefix} on {platform.node()}), but the job was "
            f"sent by raysuite {options.version}; install that one on all nodes, or send it along with --ship"
        )
        return WRONG_VERSION
    _say(f"raysuite {__version__}, Python {platform.python_version()}, on {platform.node()}")
    return _run(options.command, options.timeout)


def _run(command: Sequence[str], timeout: float | None) -> int:
    # Ray interrupts every process of a job that it stops, so this one waits for the command and says nothing itself.
    # A handler, and not SIG_IGN, because that would be handed on; so would a block, or an ignoring that was inherited.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    process = subprocess.Popen([sys.executable, "-m", "raysuite.cli.main", *command])  # noqa: S603 -- no shell
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        _say(
            f"Error: stopped, as it took longer than its timeout of {timeout:g} s; sent again, it goes on where it was"
        )
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        return TIMED_OUT
    return code if code >= 0 else 128 - code


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
