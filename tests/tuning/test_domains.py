import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.tuning.domains import Choice, Float, Int, label_of


@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e3), st.booleans(), st.integers(0, 99))
def test_what_a_range_gives_lies_in_it_and_spreads_from_end_to_end(low, factor, log, seed):
    domain = Float(low, low * factor, log)
    assert domain.problem() is None
    assert domain.contains(domain.draw(random.Random(seed)))
    spread = domain.spread(5)
    assert (spread[0], spread[-1]) == (domain.low, domain.high)
    assert [domain.share(value) for value in spread] == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=1e-6)


@given(st.integers(1, 300), st.integers(1, 300), st.booleans(), st.integers(0, 99), st.integers(1, 12))
def test_whole_numbers_stay_whole_and_inside(low, width, log, seed, count):
    domain = Int(low, low + width, log)
    value = domain.draw(random.Random(seed))
    assert isinstance(value, int)
    assert domain.contains(value)
    spread = domain.spread(count)
    assert (spread[0], spread[-1]) == (domain.low, domain.high)
    assert len(set(spread)) == len(spread) <= max(count, 2)


def test_both_ends_of_whole_numbers_are_as_likely_as_the_rest():
    rng = random.Random(0)
    drawn = [Int(1, 4).draw(rng) for _ in range(4000)]
    assert all(900 < drawn.count(value) < 1100 for value in (1, 2, 3, 4))
    log = [Int(1, 100, log=True).draw(rng) for _ in range(4000)]
    assert 0.4 < sum(value <= 10 for value in log) / 4000 < 0.65, "half of them below the geometric mean"


@pytest.mark.parametrize(
    ("domain", "told"),
    [
        (Float(2, 1), "from 2 to 1 is empty"),
        (Float(1, 1), "is empty"),
        (Int(5, 5), "is empty"),
        (Float(0, 1, log=True), "must start above 0"),
        (Int(-1, 4, log=True), "must start above 0"),
        (Float(math.nan, 1), "must be numbers"),
        (Float(0, math.inf), "must be numbers"),
        (Float("a", 2), "must be numbers"),
        (Int(1.5, 3), "must be whole"),
        (Int(True, 3), "must be whole"),
        (Choice(()), "no choices"),
        (Choice((1, 2, 1)), "1 is there twice"),
    ],
)
def test_what_is_no_domain_says_why(domain, told):
    assert told in domain.problem()


def test_lists_are_choices_by_their_content():
    choice = Choice(([1, 2], (4,), ()))
    assert choice.labels == ("1, 2", "4", "empty")
    assert choice.contains([1, 2])
    assert not choice.contains([2, 1])
    assert choice.of_label("1, 2") == (1, 2)
    assert Choice((True, False)).labels == ("true", "false")
    assert label_of(2.0) == label_of(2)
