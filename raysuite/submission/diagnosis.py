"""Why a job failed, in one sentence, where its exit code or its log tell."""

from __future__ import annotations

import re
from dataclasses import dataclass

from raysuite.submission.entry import TIMED_OUT
from raysuite.submission.job import Job

FINAL = {0, 2, 3, 126, 127, TIMED_OUT}
"""Exit codes after which the same command would end in the same way, or has done all that it can."""
_NO_RAYSUITE = re.compile(r"No module named '?raysuite\b")
_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_ERROR = re.compile(r"^Error: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a failure.

    Attributes:
        sentence: Why, and what to do.
        hopeless: Whether the same job, sent again, would fail in the same way.
    """

    sentence: str
    hopeless: bool


def diagnose(job: Job, log: str) -> Diagnosis:
    """Why a job that is over did not succeed.

    Args:
        job: The job.
        log: What it printed, or the end of that.
    """
    text = f"{log}\n{job.message}"
    if job.state == "stopped":
        return Diagnosis("it was stopped; sent again, it goes on where it was", hopeless=True)
    if job.kind == "RUNTIME_ENV_SETUP_FAILURE":
        return Diagnosis(f"its runtime environment could not be set up: {_last(job.message)}", hopeless=True)
    if job.kind in {"JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE", "JOB_SUPERVISOR_ACTOR_START_TIMEOUT"}:
        return Diagnosis(
            "the cluster had no room for its entry point in time; lower the spec's resources, or wait until there is",
            hopeless=False,
        )
    if "No space left on device" in text:
        return Diagnosis(
            "a disk is full on the cluster: No space left on device; make room where the job writes, and on the head "
            "below Ray's --temp-dir, and send it again",
            hopeless=True,
        )
    if _NO_RAYSUITE.search(text):
        return Diagnosis(
            "the Python that the cluster runs jobs with has no raysuite of this version; use an image that has it, "
            "start Ray in the environment that has it, name that with --python, or send raysuite along with --ship",
            hopeless=True,
        )
    if job.exit_code == 127:
        return Diagnosis(
            "the cluster has no such program in its PATH; start Ray in an active environment, or name its Python with "
            "--python",
            hopeless=True,
        )
    if missing := _MODULE.search(text):
        return Diagnosis(
            f"the cluster has no package for the module {missing[1]}; install it on all nodes, or name it in the "
            "spec's runtime_env.pip",
            hopeless=True,
        )
    if job.exit_code is None:
        return Diagnosis(f"the cluster lost it: {_last(job.message)}", hopeless=False)
    if job.exit_code == TIMED_OUT:
        return Diagnosis("it took longer than its timeout; sent again, it goes on where it was", hopeless=True)
    if job.exit_code == 3:
        return Diagnosis("it ended, and its log lists what failed", hopeless=True)
    errors = _ERROR.findall(log)
    told = f": {errors[-1]}" if errors else "; raysuite jobs logs shows why"
    return Diagnosis(f"it ended with code {job.code}{told}", hopeless=job.exit_code in FINAL)


def _last(text: str) -> str:
    """The last line that says something, which is where Python and pip put it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:500] if lines else "no reason given"
