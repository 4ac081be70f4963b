"""One score of several: as log odds, so that no category outweighs the others by being easy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.detection.selection import log_odds
from raysuite.tuning.steering import LEAST_ODDS, steering_score

SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=6)


@given(SCORES)
def test_it_is_the_mean_of_the_log_odds(scores):
    mean = sum(log_odds(score, LEAST_ODDS) for score in scores) / len(scores)
    assert log_odds(steering_score(scores), LEAST_ODDS / 2) == pytest.approx(mean, abs=1e-9)


@given(st.floats(LEAST_ODDS, 1 - LEAST_ODDS))
def test_of_a_single_score_it_is_that_score(score):
    assert steering_score([score]) == pytest.approx(score)


def test_what_cannot_be_told_from_none_or_all_counts_no_more_than_that():
    assert steering_score([0.0, 1.0]) == pytest.approx(0.5)
    assert steering_score([1.0]) == pytest.approx(1 - LEAST_ODDS)
