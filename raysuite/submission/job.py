"""A job as the cluster knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from raysuite.errors import JobError

OVER = ("succeeded", "failed", "stopped")
STOPPED = 130
"""What a shell says of a command that Ctrl-C ended."""
COMMAND, RESULTS, BY, ATTEMPT, VERSION, HELPS = (
    "raysuite_command", "raysuite_results", "raysuite_by", "raysuite_attempt", "raysuite_version", "raysuite_helps",
)  # fmt: skip
"""Keys of a job's metadata."""
_ID = re.compile(r"(raysuite-.+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Job:
    """One attempt of a job.

    Attributes:
        id: Its submission id.
        state: ``pending``, ``running``, ``succeeded``, ``failed`` or ``stopped``.
        exit_code: Of its entry point; None while it is not over, and if none was ever there.
        message: What Ray says of it.
        kind: Ray's name for what failed; empty if nothing did.
        started: When it was sent, seconds since 1970; None if Ray does not tell.
        ended: When it was over.
        entrypoint: The line that it runs.
        metadata: What was sent with it.
        ships: Whether a wheel of raysuite travels with it.
    """

    id: str
    state: str
    exit_code: int | None
    message: str
    kind: str
    started: float | None
    ended: float | None
    entrypoint: str
    metadata: Mapping[str, str]
    ships: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in any way."""
        return self.state in OVER

    @property
    def series(self) -> str:
        """The id without the number of the attempt: the same for every attempt of the same job."""
        match = _ID.fullmatch(self.id)
        return match[1] if match else self.id

    @property
    def attempt(self) -> int:
        """Which attempt it is, from 1; 0 for a job that raysuite did not send."""
        match = _ID.fullmatch(self.id)
        return int(match[2]) if match else 0

    @property
    def is_plain(self) -> bool:
        """Whether somebody has sent it with ``raysuite submit``, and not another program, nor raysuite for itself."""
        return self.attempt > 0 and HELPS not in self.metadata

    @property
    def code(self) -> int:
        """What a command that followed it to its end shall end with."""
        if self.state == "stopped":
            return STOPPED
        if self.exit_code is None:
            return 0 if self.state == "succeeded" else 1
        return self.exit_code if self.exit_code >= 0 else 128 - self.exit_code

    @property
    def command(self) -> str:
        """The command that it was sent with, or the line that it runs."""
        return self.metadata.get(COMMAND, self.entrypoint)

    def as_row(self) -> dict[str, Any]:
        """What ``--json`` prints."""

        def when(seconds: float | None) -> str | None:
            return None if seconds is None else datetime.fromtimestamp(seconds).astimezone().isoformat("T", "seconds")

        return {
            "id": self.id,
            "state": self.state,
            "attempt": self.attempt,
            "exit_code": self.exit_code,
            "command": self.command,
            "results": self.metadata.get(RESULTS),
            "by": self.metadata.get(BY),
            "started": when(self.started),
            "ended": when(self.ended),
            "metadata": {key: value for key, value in self.metadata.items() if not key.startswith("raysuite_")},
        }


def find(jobs: Sequence[Job], name: str) -> Job:
    """The job that is meant by an id, by an id without its attempt (the latest is meant then), or by the start of one.

    Raises:
        JobError: There is none, or they are several.
    """
    for job in jobs:
        if job.id == name:
            return job
    starts = [job for job in jobs if name in {job.series, job.id.removeprefix("raysuite-")}] or [
        job for job in jobs if job.id.startswith((name, f"raysuite-{name}"))
    ]
    several = sorted({job.series for job in starts})
    if len(several) == 1:
        return max(starts, key=lambda job: job.attempt)
    if several:
        raise JobError(f"{name} may be {' or '.join(several[:5])}; write more of it")
    raise JobError(f"the cluster has no job {name}; raysuite jobs list shows those that it has")
