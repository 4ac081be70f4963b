"""The promise: of exchangeable good images no more are called anomalous than was asked for, by so few as there are."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from raysuite.errors import ConfigError
from raysuite.metrics.calibration import calibrate
from raysuite.metrics.conformal import Decision, allowed_rank, drift


def decision(good: np.ndarray, rate: float | None) -> Decision:
    return Decision.of(good, 0.0, rate, 0.1, "tile")


@pytest.mark.parametrize(("images", "rate"), [(19, 0.05), (20, 0.1), (57, 0.05), (99, 0.01), (150, 0.29)])
def test_coverage_over_many_calibrations_is_what_is_promised(images: int, rate: float) -> None:
    rng = np.random.default_rng(images)
    splits, fresh = 4000, 50
    rates = []
    for _ in range(splits):
        made = decision(rng.lognormal(size=images), rate)
        rates.append(made.anomalous(rng.lognormal(size=fresh)).mean())
    exact = allowed_rank(images, rate) / (images + 1)
    # Of one calibration the rate is Beta-distributed; of fresh images it is binomial: the mean of all has this error.
    spread = stats.betabinom(fresh, exact * (images + 1), (1 - exact) * (images + 1)).std() / fresh / np.sqrt(splits)
    assert abs(np.mean(rates) - exact) < 4 * spread
    assert exact <= rate


def test_the_band_holds_the_true_rate_of_single_calibrations() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        made = decision(rng.uniform(size=60), 0.05)
        low, high = made.band(0.9)
        inside += low <= 1 - made.threshold <= high
    assert abs(inside / 2000 - 0.9) < 0.03


def test_p_values_and_the_threshold_of_the_detector_agree() -> None:
    rng = np.random.default_rng(2)
    for images in (5, 12, 40, 101):
        good, new = rng.normal(size=images), rng.normal(size=500)
        for rate in (0.2, 0.25, 0.3, 0.5):
            made, old = decision(good, rate), calibrate(good, rate)
            if old.smallest_rate > rate:
                continue
            assert made.threshold == old.threshold
            assert (made.anomalous(new) == (new > old.threshold)).all()
            assert (made.anomalous(new) == (made.p_values(new) <= rate + 1e-12)).all()


def test_equal_scores_count_against_an_alarm() -> None:
    made = decision(np.full(50, 2.0), 0.1)
    assert not made.anomalous([2.0]).any()
    assert made.p_values([2.0, 2.1]).tolist() == [1.0, 1 / 51]


def test_too_few_images_say_what_is_possible() -> None:
    with pytest.raises(ConfigError, match=r"tile has 12 .* 0\.01: the smallest possible is 1/13 = 0\.0769"):
        decision(np.arange(12.0), 0.01)
    usual = Decision.of(np.arange(5.0), 0.0, None, 0.01, "tile")
    assert usual.rate == 1 / 6
    assert usual.anomalous([4.5, 3.5]).tolist() == [True, False]


def test_a_detector_without_scores_keeps_its_threshold_and_promises_nothing_else() -> None:
    made = Decision.of([], 3.0, None, 0.01, "tile")
    assert made.p_values([1.0]) is None
    assert made.anomalous([2.9, 3.0, 3.1]).tolist() == [False, False, True]
    with pytest.raises(ConfigError, match="keeps no scores"):
        Decision.of([], 3.0, 0.05, 0.01, "tile")


def counts(made: Decision, scores: np.ndarray) -> np.ndarray:
    return np.bincount(made.ranks(scores), minlength=len(made.good_N) + 2)


def test_drift_is_the_two_sample_test_below_the_threshold() -> None:
    rng = np.random.default_rng(3)
    good, archive = rng.normal(size=60), rng.normal(0.4, size=5000)
    made = decision(good, 0.05)
    found = drift(counts(made, archive), made.rank)
    assert found is not None
    wanted = stats.ks_2samp(good[good < made.threshold], archive[archive <= made.threshold])
    assert found.distance == pytest.approx(wanted.statistic)
    assert found.p_value == pytest.approx(wanted.pvalue)
    assert found.is_higher
    many = drift(counts(made, np.tile(archive, 3)), made.rank)
    assert many is not None
    assert many.p_value == pytest.approx(found.p_value, rel=0.1), "beyond so many it is approximated"


@pytest.mark.parametrize(("good", "archive"), [(2, 1), (2, 10), (6, 1), (6, 3), (20, 1), (20, 2), (20, 10)])
def test_few_images_are_no_drift_but_by_chance(good: int, archive: int) -> None:
    rng, warned = np.random.default_rng(good + archive), 0
    for _ in range(2000):
        made = Decision.of(rng.normal(size=good), 0.0, None, 0.01, "tile")
        found = drift(counts(made, rng.normal(size=archive)), made.rank)
        warned += found is not None and found.is_drift
    assert warned <= 8  # 2 expected; more with a chance below 1e-3


def test_drift_is_told_of_shifted_archives_alone() -> None:
    rng = np.random.default_rng(4)
    warned = {0.0: 0, 1.0: 0, -1.0: 0}
    for _ in range(200):
        made = decision(rng.normal(size=80), 0.05)
        for shift in warned:
            # A fifth of the archive are defects: they are none of drift's business.
            archive = np.concatenate([rng.normal(shift, size=2000), rng.normal(9, size=500)])
            found = drift(counts(made, archive), made.rank)
            assert found is not None
            warned[shift] += found.is_drift
    assert warned[0.0] <= 2
    assert min(warned[1.0], warned[-1.0]) >= 195


def test_nothing_below_the_threshold_is_no_drift() -> None:
    made = decision(np.arange(20.0), 0.1)
    assert drift(counts(made, np.full(5, 100.0)), made.rank) is None
