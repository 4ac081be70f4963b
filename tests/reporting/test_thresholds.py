import numpy as np
import pytest

from raysuite.reporting.results import Score, SeedResult, load_results
from raysuite.reporting.thresholds import MOST, confusion, sliding


def test_counts_at_the_own_threshold_are_those_of_the_scores(small_run):
    for run in load_results(small_run).runs:
        if not run.done:
            continue
        counts = confusion(run)
        (one,) = sliding([run])
        assert counts.caught == sum(score > one["threshold"] for score in one["defect"])
        assert counts.false_alarms == sum(score > one["threshold"] for score in one["good"])
        assert counts.caught + counts.missed == one["n_defect"]
        assert counts.recall == counts.caught / one["n_defect"]


def test_shares_of_nothing_are_not_defined():
    counts = confusion(SeedResult("a", 0, "filter", "done"))
    assert (counts.recall, counts.precision, counts.false_alarm_rate) == (None, None, None)


def scored(n_good: int, n_defect: int, threshold: float | None = 0.5) -> SeedResult:
    values = np.random.default_rng(0).random(n_good + n_defect).astype(np.float32)
    scores = tuple(
        Score(f"{n}.png", None, int(n >= n_good), float(value), None, None) for n, value in enumerate(values)
    )
    return SeedResult("a", 0, "filter", "done", scores=scores, values={"threshold": threshold})


@pytest.mark.parametrize("run", [scored(3, 0), scored(0, 3), scored(3, 3, threshold=None)])
def test_what_cannot_be_slid_is_left_out(run):
    assert sliding([run]) == []


def test_of_very_many_scores_some_stand_for_all():
    (one,) = sliding([scored(25_000, 3)])
    assert len(one["good"]) <= MOST
    assert one["n_good"] == 25_000
    share = sum(score > 0.9 for score in one["good"]) / len(one["good"])
    assert share == pytest.approx(0.1, abs=0.005)


def test_no_two_scores_of_float32_become_one():
    low = np.float32(0.1)
    high = np.nextafter(low, np.float32(1))
    scores = tuple(Score("x", None, label, float(v), None, None) for label, v in ((0, low), (1, high)))
    (one,) = sliding([SeedResult("a", 0, "filter", "done", scores=scores, values={"threshold": float(low)})])
    assert one["good"] < one["defect"]
