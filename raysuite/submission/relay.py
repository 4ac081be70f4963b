"""Bringing results here that only the cluster sees: a small job reads them and prints them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from raysuite.errors import JobError
from raysuite.submission import attempts
from raysuite.submission.client import Jobs
from raysuite.submission.diagnosis import diagnose
from raysuite.submission.fetching import Fetched
from raysuite.submission.following import PATIENCE_SECONDS, Patience, wait
from raysuite.submission.job import HELPS, Job
from raysuite.submission.pack import unpack
from raysuite.submission.shipping import build_wheel
from raysuite.submission.spec import ENTRY, JobSpec

PACK = "raysuite.submission.pack"


def relay(jobs: Jobs, of: Job, place: str, to: Path, patterns: Sequence[str], *, everything: bool) -> Fetched:
    """Fetch files of a folder through a job, which lists of jobs leave out.

    Args:
        jobs: The cluster.
        of: The job whose results they are; the same Python reads them.
        place: The folder, as the cluster names it.
        to: Where the files go.
        patterns: Which; all that are of use without any.
        everything: Whether shards and checkpoints are wanted too.

    Raises:
        JobError: The job failed, as the folder is not there or too large.
        ClusterError: The cluster cannot be reached.
    """
    python = shlex.split(of.entrypoint)[0] if f" -m {ENTRY} " in of.entrypoint else "python"
    options = [word for pattern in patterns for word in ("--file", pattern)] + ["--all"] * everything
    words = (python, "-m", PACK, *options, "--", place)
    wheel = str(build_wheel()) if of.ships else ""
    spec = JobSpec(name="fetch", command=words, allow_command=True, wheel=wheel)
    sent = attempts.send(jobs, spec, {HELPS: of.id})
    job = wait(jobs, sent.job.id, Patience(PATIENCE_SECONDS, lambda _: None))
    log = jobs.log(job.id)
    if job.state != "succeeded":
        raise JobError(f"{job.id} could not read {place}: {diagnose(job, log).sentence}")
    # It is not deleted: Ray, which still writes down its end, would list it again as one that failed.
    return unpack(log, to)
