"""Which job a person means, what its exit code is, and why it failed."""

from __future__ import annotations

import pytest

from raysuite.errors import JobError
from raysuite.submission.diagnosis import diagnose
from raysuite.submission.job import Job, find


def job(name: str, state: str = "failed", code: int | None = 1, message: str = "", kind: str = "") -> Job:
    return Job(name, state, code, message, kind, 0.0, 60.0, "python -m x", {})


JOBS = [
    job("raysuite-benchmark-0123456789-1"),
    job("raysuite-benchmark-0123456789-10"),
    job("raysuite-benchmark-0123456789-2"),
    job("raysuite-benchmark-abcdef0123-1"),
    job("raysuite-score-0123456789-1"),
    job("somebody-elses"),
]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("raysuite-benchmark-0123456789-1", "raysuite-benchmark-0123456789-1"),
        ("raysuite-benchmark-0123456789", "raysuite-benchmark-0123456789-10"),
        ("benchmark-0123456789-2", "raysuite-benchmark-0123456789-2"),
        ("benchmark-abc", "raysuite-benchmark-abcdef0123-1"),
        ("score", "raysuite-score-0123456789-1"),
        ("somebody-elses", "somebody-elses"),
    ],
)
def test_a_job_is_found_by_as_much_of_its_id_as_is_needed_the_latest_attempt_first(name: str, meant: str) -> None:
    assert find(JOBS, name).id == meant


@pytest.mark.parametrize(
    ("name", "told"), [("benchmark", "may be .*0123456789 or .*abcdef0123"), ("tune", "no job tune")]
)
def test_a_job_that_is_not_meant_clearly_is_refused(name: str, told: str) -> None:
    with pytest.raises(JobError, match=told):
        find(JOBS, name)


def test_the_code_of_a_job_is_that_of_its_command() -> None:
    assert [job("x", *how).code for how in [("succeeded", 0), ("failed", 3), ("failed", -9), ("failed", None)]] == [
        0, 3, 137, 1,
    ]  # fmt: skip
    assert job("x", "stopped", None).code == 130


@pytest.mark.parametrize(
    ("failed", "log", "told", "hopeless"),
    [
        (job("x", "stopped", None), "", "it was stopped", True),
        (job("x", code=1), "No module named 'raysuite'", "has no raysuite of this version", True),
        (job("x", code=1), "/usr/bin/python: No module named raysuite.submission", "has no raysuite", True),
        (job("x", code=127), "sh: 1: python: not found", "no such program", True),
        (job("x", code=1), "ModuleNotFoundError: No module named 'adlfs.core'", "for the module adlfs.core", True),
        (job("x", code=1), "OSError: [Errno 28] No space left on device", "a disk is full", True),
        (job("x", code=None, kind="RUNTIME_ENV_SETUP_FAILURE", message="a\nERROR: no such"), "", "up: ERROR: no", True),
        (job("x", code=None, kind="JOB_SUPERVISOR_ACTOR_UNSCHEDULABLE"), "", "no room for its entry point", False),
        (job("x", code=None, kind="JOB_SUPERVISOR_ACTOR_DIED", message="node died"), "", "lost it: node died", False),
        (job("x", code=1), "[1 s] a\nError: cannot read s3://x: no answer\n", "code 1: cannot read s3://x", False),
        (job("x", code=2), "Error: there is no preset", "code 2: there is no preset", True),
        (job("x", code=3), "screw failed", "its log lists what failed", True),
        (job("x", code=124), "", "longer than its timeout", True),
        (job("x", code=-9), "", "ended with code 137", False),
    ],
)
def test_a_failure_is_told_in_a_sentence_and_not_tried_again_in_vain(
    failed: Job, log: str, told: str, hopeless: bool
) -> None:
    found = diagnose(failed, log)
    assert told in found.sentence
    assert found.hopeless is hopeless
