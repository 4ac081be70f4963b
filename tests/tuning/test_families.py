from collections import Counter

import pytest

from raysuite.corruption import unseen
from raysuite.tuning.families import HELD_BACK, rotated


@pytest.mark.parametrize("seed", [0, 1, 7, 12345])
def test_no_family_both_steers_and_judges_and_none_is_forgotten(seed):
    families = rotated(seed)
    assert set(families.steering) | set(families.judging) == set(unseen.BY_NAME)
    assert not set(families.steering) & set(families.judging)
    assert len(families.judging) == HELD_BACK
    assert families == rotated(seed)


def test_each_family_judges_equally_often_over_the_seeds():
    turns = Counter(name for seed in range(len(unseen.BY_NAME)) for name in rotated(seed).judging)
    assert set(turns) == set(unseen.BY_NAME)
    assert set(turns.values()) == {HELD_BACK}
