import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.tuning.ranking import Reached, best_of_each, by_mean_rank


def at(score, steps=100):
    return None if score is None else Reached(steps, score)


def standings(**of):
    return {category: {number: at(score) for number, score in enumerate(scores)} for category, scores in of.items()}


def test_each_category_has_its_own_best_and_the_earlier_of_equals():
    best = best_of_each(standings(grid=[0.5, 0.9, 0.9], bottle=[None, 0.1, 0.7], none=[None, None], empty=[]))
    assert best == {"grid": 1, "bottle": 2, "none": None, "empty": None}


def test_a_trial_that_was_stopped_early_is_behind_those_that_went_on():
    of = {"grid": {0: Reached(300, 0.6), 1: Reached(100, 0.99)}}
    assert best_of_each(of) == {"grid": 0}
    assert [one.number for one in by_mean_rank(of)] == [0, 1]


def test_one_category_with_large_scores_does_not_outweigh_two_others():
    ranked = by_mean_rank(standings(a=[0.9, 0.1, 0.5], b=[0.5, 0.51, 0.1], c=[0.5, 0.51, 0.1], d=[0.5, 0.51, 0.1]))
    assert [one.number for one in ranked] == [1, 0, 2]
    assert ranked[0].ranks == {"a": 3, "b": 1, "c": 1, "d": 1}
    assert ranked[0].mean_rank == pytest.approx(1.5)


def test_ties_share_their_rank_and_the_higher_mean_score_decides():
    ranked = by_mean_rank(standings(a=[0.5, 0.5, 0.1], b=[0.2, 0.2, 0.9]))
    assert ranked[1].ranks == ranked[2].ranks == {"a": 1.5, "b": 2.5}
    assert {one.mean_rank for one in ranked} == {2.0}
    assert [one.number for one in ranked] == [2, 0, 1], "0.5, 0.35, 0.35"


def test_settings_without_a_score_are_last_there_and_share_that_rank():
    ranked = by_mean_rank(standings(a=[0.9, None, None, 0.3], b=[0.5, 0.9, 0.1, 0.2]))
    of = {one.number: one for one in ranked}
    assert of[1].ranks["a"] == of[2].ranks["a"] == 3.5
    assert of[1].missing == ("a",)
    assert ranked[0].number == 0
    failed_everywhere = by_mean_rank(standings(a=[0.9, None], b=[0.5, None]))
    assert [one.number for one in failed_everywhere] == [0]
    assert by_mean_rank({}) == by_mean_rank(standings(a=[None])) == []


@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=4, max_size=4), min_size=1, max_size=4))
def test_ranks_are_as_counted_by_hand(table):
    of = standings(**{f"c{i}": [None if s is None else s / 5 for s in row] for i, row in enumerate(table)})
    ranked = by_mean_rank(of)
    numbers = [one.number for one in ranked]
    assert numbers == sorted(numbers, key=numbers.index)
    assert set(numbers) == {n for row in table for n, s in enumerate(row) if s is not None}
    for one in ranked:
        for i, row in enumerate(table):
            values = {n: -1 if row[n] is None else row[n] for n in numbers}
            above = sum(value > values[one.number] for value in values.values())
            equal = sum(value == values[one.number] for value in values.values())
            assert one.ranks[f"c{i}"] == above + (equal + 1) / 2
    means = [one.mean_rank for one in ranked]
    assert means == sorted(means) or np.allclose(means, sorted(means))
