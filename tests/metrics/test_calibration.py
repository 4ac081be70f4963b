from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.errors import MetricsError
from raysuite.metrics.calibration import calibrate

from .synthetic import STABLE


@pytest.mark.parametrize(
    ("images", "rate", "alarms"), [(99, 0.01, 0), (99, 0.05, 4), (99, 0.29, 28), (100, 0.05, 4), (19, 0.05, 0)]
)
def test_so_many_held_out_images_lie_above_the_threshold(images, rate, alarms):
    scores = np.random.default_rng(0).permutation(images).astype(float)
    calibration = calibrate(scores, rate)
    assert (scores > calibration.threshold).sum() == alarms
    assert calibration.smallest_rate <= rate


@pytest.mark.parametrize(("images", "rate"), [(1, 0.05), (18, 0.05), (98, 0.01)])
def test_too_few_images_give_the_maximum_and_say_what_they_can_promise(images, rate):
    calibration = calibrate(np.arange(images), rate)
    assert calibration.threshold == images - 1
    assert calibration.smallest_rate == 1 / (images + 1)
    assert calibration.smallest_rate > rate


@STABLE
@given(st.lists(st.sampled_from([0.0, 1.0, 2.0, 3.0]), min_size=1, max_size=30), st.floats(0.01, 0.99))
def test_leaving_any_one_image_out_keeps_the_promise(scores, rate):
    # Exchangeability by enumeration: of n + 1 images each is the new one once.
    if len(scores) < 2 or calibrate(scores[1:], rate).smallest_rate > rate:
        return
    alarms = sum(s > calibrate(scores[:i] + scores[i + 1 :], rate).threshold for i, s in enumerate(scores))
    assert alarms <= rate * len(scores) + 1e-9


@STABLE
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0.01, 0.98))
def test_a_higher_rate_never_raises_the_threshold(scores, rate):
    assert calibrate(scores, rate + 0.01).threshold <= calibrate(scores, rate).threshold


def test_the_promise_holds_on_new_images():
    rng = np.random.default_rng(0)
    rates = [(rng.pareto(1, 500) > calibrate(rng.pareto(1, 50), 0.1).threshold).mean() for _ in range(400)]
    assert np.mean(rates) == pytest.approx(5 / 51, abs=0.01)


@pytest.mark.parametrize("scores", [[], [np.nan], [np.inf, 1.0], [[1.0]], 1.0])
def test_scores_that_calibrate_nothing_are_refused(scores):
    with pytest.raises(MetricsError, match="finite scores of at least one held-out good image"):
        calibrate(scores, 0.05)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, np.nan])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(MetricsError, match="between 0 and 1"):
        calibrate([1.0], rate)
