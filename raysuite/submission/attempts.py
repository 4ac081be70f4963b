"""Sending a job so that it runs once, and sending it again when it fails.

A job runs once in Ray. What makes another attempt worth while is that raysuite's commands go on where they were: the
attempts of a job are jobs of their own, with the same words and a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from raysuite.errors import RaysuiteError
from raysuite.submission.client import Jobs
from raysuite.submission.diagnosis import Diagnosis, diagnose
from raysuite.submission.following import Patience, follow
from raysuite.submission.job import Job
from raysuite.submission.spec import JobSpec


@dataclass(frozen=True, slots=True)
class Sent:
    """A job that is on the cluster.

    Attributes:
        job: The attempt.
        is_new: Whether it was sent now; False if it was at work already.
    """

    job: Job
    is_new: bool


def send(jobs: Jobs, spec: JobSpec, metadata: Mapping[str, str]) -> Sent:
    """Send the next attempt of a job, unless one is pending or running.

    Raises:
        JobError: The cluster refuses it.
        ClusterError: The cluster cannot be reached.
    """
    series = spec.submission_id(1).rpartition("-")[0]
    attempts = [job for job in jobs.all() if job.series == series]
    for job in attempts:
        if not job.is_over:
            return Sent(job, is_new=False)
    name = jobs.send(spec, 1 + max((job.attempt for job in attempts), default=0), metadata)
    return Sent(jobs.get(name), is_new=True)


def see_through(
    jobs: Jobs,
    spec: JobSpec,
    metadata: Mapping[str, str],
    sent: Sent,
    *,
    show: Callable[[str], None],
    say: Callable[[str], None],
    patience: float,
) -> tuple[Job, Diagnosis | None]:
    """Follow a job to its end, and send it again as often as its spec says if it fails for what may pass.

    Args:
        jobs: The cluster.
        spec: The job.
        metadata: What is kept with each attempt.
        sent: Its first attempt.
        show: Takes the log, in pieces.
        say: Takes sentences about the job.
        patience: Seconds for which a cluster that does not answer is asked again.

    Returns:
        The last attempt, and why it failed, if it did.

    Raises:
        JobError: The cluster did not answer for too long, or refuses an attempt.
        ClusterError: The cluster refuses to answer.
    """
    retries = spec.retries
    while True:
        job = follow(jobs, sent.job.id, show, Patience(patience, say))
        if job.state == "succeeded":
            return job, None
        why = reason(jobs, job)
        if why.hopeless or retries == 0:
            return job, why
        retries -= 1
        sent = send(jobs, spec, metadata)
        say(f"{job.id} failed: {why.sentence}; sent again as {sent.job.id}, {retries} more retries are left")


def reason(jobs: Jobs, job: Job) -> Diagnosis:
    """Why a job that is over did not succeed, from its log too where that can be had."""
    try:
        log = jobs.log(job.id)
    except RaysuiteError:
        log = ""
    return diagnose(job, log)
