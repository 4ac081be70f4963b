import math

import pytest

from raysuite.training.progress import Progress, what_is_wrong


def line(loss, kept=None, repaired=0.0):
    return Progress(1, loss, loss if kept is None else kept, repaired, 0.0, 1e-3, 1.0, 1.0)


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_no_number_is_wrong_at_once(loss):
    assert what_is_wrong(line(loss), []) == "is no longer a number"


def test_a_first_line_may_be_large():
    assert what_is_wrong(line(1e6), []) is None


def test_an_unlucky_batch_is_no_divergence():
    """Far above the best, yet better than a grey picture."""
    assert what_is_wrong(line(0.2), [line(0.1), line(1e-5)]) is None


def test_a_bad_start_is_no_divergence():
    assert what_is_wrong(line(3.0), [line(2.0), line(0.5)]) is None


def test_worse_than_grey_after_having_been_good_is_divergence():
    assert what_is_wrong(line(0.3), [line(0.5), line(0.01)]) == "diverges (0.3, after 0.01 at its best)"
    assert what_is_wrong(line(0.2, kept=0.1, repaired=0.3), [line(0.01)]) is not None


def test_a_large_penalty_alone_is_no_divergence():
    assert what_is_wrong(line(5.0, kept=0.01), [line(0.01)]) is None


def test_a_training_that_never_was_good_is_ended_by_its_second_line_or_at_its_end():
    hopeless = line(1e5)
    assert (
        what_is_wrong(hopeless, [line(6e8)])
        == "diverges (a squared error of 1e+05; a plain grey picture has 0.25 at most)"
    )
    assert what_is_wrong(hopeless, [], last=True) is not None
    assert what_is_wrong(line(1e5, kept=0.01), [], last=True) is None, "a penalty alone"
    assert what_is_wrong(line(3.0), [], last=True) is None
