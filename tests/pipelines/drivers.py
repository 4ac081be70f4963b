"""Commands in processes that may be killed, forked from one that has everything imported: a start costs no seconds.

As a program it reads the words of a command a line, in JSON, and prints the process's number; at an empty line it waits
for the process, and prints how it ended.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType


class Drivers:
    """Starts one command after another. Use it as a context manager."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self._environment, self.log = environment, log

    def __enter__(self) -> Drivers:
        root = str(Path(__file__).parents[2])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.pipelines.drivers", str(self.log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**self._environment, "PYTHONPATH": root},
            cwd=root,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate(timeout=60)

    def start(self, *words: object) -> int:
        """Start ``raysuite`` with these words; its process's number."""
        return int(self._asked(json.dumps([str(word) for word in words])))

    def wait(self) -> int:
        """Wait for the command: its exit code, or the signal that killed it, negative."""
        return int(self._asked(""))

    def _asked(self, line: str) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(line, file=self._process.stdin, flush=True)
        return self._process.stdout.readline()


def main() -> None:
    from raysuite.cli.main import main as command
    from raysuite.pipelines import scoring  # noqa: F401 -- the command imports it when it begins

    pid = 0
    for line in sys.stdin:
        if not line.strip():
            print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            command(json.loads(line))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
