"""Following a job to its end: its log as it grows, over connections that are lost and found again."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from raysuite.errors import JobError, RaysuiteError
from raysuite.submission.client import Jobs, UnreachableError
from raysuite.submission.job import Job

LOOK_SECONDS = 2.0
SILENCE_SECONDS = 30.0
"""A log that says nothing for so long may be one whose connection is dead."""
PATIENCE_SECONDS = 300.0


class Patience:
    """How long a cluster that does not answer is asked again."""

    def __init__(self, seconds: float, say: Callable[[str], None]) -> None:
        self._seconds, self._say = seconds, say
        self._since: float | None = None

    def answered(self) -> None:
        """Begin anew: the cluster is there."""
        if self._since is not None:
            self._say("the cluster answers again")
        self._since = None

    def wait(self, error: UnreachableError) -> None:
        """Wait a moment before the next try.

        Raises:
            JobError: It has been silent for too long.
        """
        now = time.monotonic()
        if self._since is None:
            self._since = now
            self._say(f"{error}; trying again for {self._seconds:.0f} s")
        if now - self._since >= self._seconds:
            raise JobError(
                f"{error}, for {self._seconds:.0f} s; if its head is gone, so are its jobs: sent again, to a cluster "
                "that sees the same folders, the job goes on where it was"
            ) from error
        time.sleep(min(LOOK_SECONDS, self._seconds))


def wait(jobs: Jobs, name: str, patience: Patience) -> Job:
    """Wait until a job is over, without its log.

    Raises:
        JobError: There is no such job, or the cluster did not answer for too long.
        ClusterError: The cluster refuses to answer.
    """
    while True:
        try:
            job = jobs.get(name)
        except UnreachableError as error:
            patience.wait(error)
            continue
        patience.answered()
        if job.is_over:
            return job
        time.sleep(LOOK_SECONDS)


def follow(jobs: Jobs, name: str, show: Callable[[str], None], patience: Patience) -> Job:
    """Hand on a job's log from its beginning, each piece once, until the job is over.

    Raises:
        JobError: There is no such job, or the cluster did not answer for too long.
        ClusterError: The cluster refuses to answer.
    """
    log = _Log(show)
    while True:
        try:
            jobs.get(name)
            patience.answered()
            asyncio.run(log.pass_on(jobs, name))
            # Ray ends the log when the job is over and all of it has been read.
            job = jobs.get(name)
        except UnreachableError as error:
            patience.wait(error)
            continue
        if job.is_over:
            return job
        time.sleep(LOOK_SECONDS)


class _Log:
    """How much of a job's log has been shown, over all connections."""

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show, self._shown = show, 0

    async def pass_on(self, jobs: Jobs, name: str) -> None:
        """Show what has not been shown, until the log ends.

        Raises:
            UnreachableError: The connection was lost.
        """
        seen = 0
        pieces = jobs.tail(name)
        waiting: asyncio.Future[str] | None = None
        try:
            while True:
                waiting = waiting or asyncio.ensure_future(anext(pieces))
                done, _ = await asyncio.wait({waiting}, timeout=SILENCE_SECONDS)
                if not done:
                    # It fails if the cluster is gone, and with it the connection that nobody closed.
                    jobs.get(name)
                    continue
                try:
                    piece = waiting.result()
                except StopAsyncIteration:
                    return
                finally:
                    waiting = None
                # Each connection begins at the beginning.
                new = piece[max(0, self._shown - seen) :]
                seen += len(piece)
                if new:
                    self._show(new)
                    self._shown += len(new)
        finally:
            if waiting is not None:
                waiting.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, RaysuiteError):
                    await waiting
            await pieces.aclose()
