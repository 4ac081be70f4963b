"""Why a lane ended: what its workers say, and whose word counts."""

from __future__ import annotations

import pytest

from raysuite.errors import TrainingError
from raysuite.pipelines.lanes import End, _told_by_workers

pytestmark = pytest.mark.ray


def died() -> Exception:
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    return WorkerHealthCheckFailedError("A worker health check failed.", RuntimeError("the actor died"))


def raised(error: Exception) -> Exception:
    from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

    return UserExceptionWithTraceback(error, "Traceback (most recent call last): ...")


def test_a_gang_that_misses_a_dead_worker_says_that_it_died_and_may_have_lost_its_node() -> None:
    end = _told_by_workers([raised(RuntimeError("Connection closed by peer")), died()], 2)
    assert end == End("its worker died: it was killed, as for want of memory, or crashed")
    assert not _told_by_workers([raised(RuntimeError("Connection closed by peer"))], 2).told, (
        "the dead one is not known"
    )


def test_our_own_reason_counts_more_than_what_the_others_made_of_it() -> None:
    errors = [
        raised(RuntimeError("Connection closed by peer")),
        raised(TrainingError("the loss is not a number")),
        died(),
    ]
    assert _told_by_workers(errors, 3) == End("the loss is not a number", told=True)


def test_a_worker_alone_that_raised_was_not_killed() -> None:
    assert _told_by_workers([raised(ValueError("no\nsuch"))], 1) == End("ValueError: no", told=True)
