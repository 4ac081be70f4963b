import numpy as np
import pytest
from scipy.stats import ttest_rel

from raysuite.tuning.verdict import rank_correlation, verdict

DEFAULT = {("grid", 0): 0.90, ("grid", 1): 0.91, ("grid", 2): 0.60, ("grid", 3): 0.62}


def shifted(*points):
    return {pair: value + point / 100 for (pair, value), point in zip(DEFAULT.items(), points, strict=True)}


def test_seeds_of_a_category_have_the_interval_of_a_paired_t_test():
    winner = shifted(1.0, 2.0, 1.5, 0.8)
    found = verdict(winner, DEFAULT)
    ends = ttest_rel(list(winner.values()), list(DEFAULT.values())).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.outcome == "better"
    assert found.over == "4 seeds"
    assert found.words == "better by 1.3 points, 95 % interval 0.5 to 2.2, over 4 seeds"


def test_pairs_cancel_what_makes_a_seed_hard():
    assert verdict(shifted(1, 1.1, 0.9, 1), DEFAULT).outcome == "better", "seeds differ by 30 points, pairs do not"


def test_of_several_categories_each_is_one_figure_however_many_seeds_it_has():
    means = {"grid": 0.01, "bottle": 0.03, "wood": 0.05}
    winner = {(category, seed): mean + 0.001 * (seed - 2) for category, mean in means.items() for seed in range(5)}
    winner |= {("wood", seed): 0.05 for seed in range(5, 20)}
    found = verdict(winner, dict.fromkeys(winner, 0.0))
    ends = ttest_rel(list(means.values()), [0.0, 0.0, 0.0]).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((ends.low, ends.high))
    assert found.difference == pytest.approx(0.03)
    assert found.by_category == pytest.approx(means)
    assert (found.over, found.pairs) == ("3 categories", 30)
    assert found.words == "no difference shown: +3.0 points, 95 % interval −2.0 to 8.0, over 3 categories"


@pytest.mark.parametrize(("categories", "seeds"), [(1, 5), (2, 3), (6, 3), (15, 3), (40, 3)])
def test_where_there_is_no_difference_one_is_claimed_as_often_as_the_level_says(categories, seeds):
    """Categories favour one side or the other by 5 points, seeds by 0.5."""
    rng, claimed = np.random.default_rng(0), 0
    for _ in range(2000):
        favours = 0.05 * rng.standard_normal(categories) if categories > 1 else [0.0]
        winner = {
            (str(category), seed): favour + 0.005 * rng.standard_normal()
            for category, favour in enumerate(favours) for seed in range(seeds)
        }  # fmt: skip
        claimed += verdict(winner, dict.fromkeys(winner, 0.0)).outcome != "no difference shown"
    assert 0.03 <= claimed / 2000 <= 0.07


def test_worse_is_said_as_plainly_as_better():
    worse = verdict(shifted(-1.0, -2.0, -1.5, -0.8), DEFAULT)
    assert worse.outcome == "worse"
    assert worse.words == "worse by 1.3 points, 95 % interval 0.5 to 2.2, over 4 seeds"


def test_what_may_be_luck_is_not_called_a_difference():
    found = verdict(shifted(3, -1, 2, -0.5), DEFAULT)
    assert found.outcome == "no difference shown"
    assert found.low < 0 < found.high
    assert found.words.startswith("no difference shown: +0.9 points, 95 % interval −")
    assert verdict(DEFAULT, DEFAULT).outcome == "no difference shown"
    many = {("grid", seed): 0.9 for seed in range(20)}
    assert verdict(many, many).outcome == "no difference shown"


@pytest.mark.parametrize(
    ("pairs", "over"),
    [([("grid", 0), ("grid", 1)], "2 seeds"), ([("grid", 0), ("bottle", 0), ("wood", 0)], "3 categories")],
)
def test_figures_that_all_differ_by_the_same_are_no_certainty(pairs, over):
    found = verdict(dict.fromkeys(pairs, 0.9), dict.fromkeys(pairs, 0.8))
    assert (found.outcome, found.low, found.high) == ("unknown", None, None)
    assert found.difference == pytest.approx(0.1)
    assert found.words.startswith(f"nothing can be said: it is +10.0 points in all {over} alike")


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    rng, held = np.random.default_rng(1), 0
    for _ in range(300):
        default = {("grid", seed): value for seed, value in enumerate(0.8 + 0.02 * rng.standard_normal(5))}
        winner = {pair: value + 0.01 + 0.02 * rng.standard_normal() for pair, value in default.items()}
        found = verdict(winner, default)
        held += found.low <= 0.01 <= found.high
    assert 0.91 <= held / 300 <= 0.98


def test_missing_pairs_are_left_out_and_told():
    winner = {**shifted(1.0, 2.0, 1.5, 0.8), ("grid", 3): None, ("extra", 0): 0.5}
    found = verdict(winner, DEFAULT)
    assert found.pairs == 3
    assert found.missing == (("grid", 3), ("extra", 0))
    assert list(found.by_category) == ["grid"]
    assert found.words.endswith("over 3 seeds; 2 of 5 pairs are missing")


def test_one_pair_or_none_says_nothing():
    one = verdict({("grid", 0): 0.9}, {("grid", 0): 0.8})
    assert (one.outcome, one.low, one.pairs) == ("unknown", None, 1)
    assert "+10.0 points" in one.words
    none = verdict({}, {})
    assert (none.outcome, none.difference) == ("unknown", None)


def test_ranks_that_agree_correlate_whatever_the_scale():
    objective = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    agreed = rank_correlation(objective, [value**5 for value in objective])
    assert agreed.rho == pytest.approx(1)
    assert 0.3 < agreed.low < agreed.high == pytest.approx(1)
    assert rank_correlation(objective, objective[::-1]).rho == pytest.approx(-1)


def test_its_interval_holds_the_truth_about_as_often_as_it_says():
    rng, held, pearson = np.random.default_rng(0), 0, 0.6
    truth = 6 / np.pi * np.arcsin(pearson / 2)
    for _ in range(300):
        one = rng.standard_normal(25)
        found = rank_correlation(list(one), list(pearson * one + np.sqrt(1 - pearson**2) * rng.standard_normal(25)))
        held += found.low <= truth <= found.high
    assert 0.91 <= held / 300 <= 0.99


def test_trials_without_one_of_the_figures_are_left_out():
    found = rank_correlation([0.1, 0.2, None, 0.3, 0.4, 0.5, float("nan")], [1, 2, 3, 5, 4, 6, 7])
    assert found.trials == 5
    assert found.rho == pytest.approx(0.9)
    assert "over 5 trials" in found.words


def test_too_few_trials_for_ranks_are_told_in_words_that_hold():
    assert rank_correlation([0.5, 0.5], [1, 2]).words == (
        "no rank correlation over 2 trials: it takes two that differ in both figures"
    )


@pytest.mark.parametrize(("objective", "test"), [([], []), ([0.5], [0.5]), ([0.5, 0.5], [0.1, 0.2]), ([1, 2], [3, 3])])
def test_where_no_ranks_are_nothing_is_claimed(objective, test):
    assert rank_correlation(objective, test).rho is None


def test_few_trials_have_no_interval():
    found = rank_correlation([1, 2, 3], [1, 3, 2])
    assert found.rho == pytest.approx(0.5)
    assert found.low is None
