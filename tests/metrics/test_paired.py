"""Differences of two detectors on the same images or categories: against other methods, and with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from raysuite.errors import MetricsError
from raysuite.metrics import resampling
from raysuite.metrics.paired import Difference, auroc_difference, holm, mean_difference


def two_detectors(count: int, gain: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores of two detectors that see the same difficulty in each image; the first one is better by ``gain``."""
    rng = np.random.default_rng(seed)
    labels = np.arange(2 * count) % 2
    shared = rng.normal(size=2 * count) + labels
    ours, theirs = (shared + 0.3 * rng.normal(size=2 * count) + more * labels for more in (gain, 0.0))
    return ours[None], theirs[None], labels


def delong_error(ours: np.ndarray, theirs: np.ndarray, labels: np.ndarray) -> float:
    """Standard error of the difference of two AUROCs on the same images: DeLong et al., Biometrics 44 (1988)."""
    wins = [(s[labels == 1][None] > s[labels == 0][:, None]).astype(float) for s in (ours, theirs)]
    difference = wins[0] - wins[1]
    by_good, by_defective = difference.mean(axis=1), difference.mean(axis=0)
    return float(np.sqrt(by_good.var(ddof=1) / len(by_good) + by_defective.var(ddof=1) / len(by_defective)))


def test_the_value_is_the_difference_of_the_mean_aurocs_with_other_numbers_of_seeds():
    rng = np.random.default_rng(5)
    labels = np.arange(60) % 2
    ours, theirs = (np.round(rng.normal(size=(seeds, 60)) + labels, 1) for seeds in (3, 2))
    found = auroc_difference(ours, theirs, labels, resamples=50)
    expected = [np.mean([roc_auc_score(labels, row) for row in rows]) for rows in (ours, theirs)]
    assert found is not None
    assert found.value == pytest.approx(expected[0] - expected[1], abs=1e-12)


def test_the_interval_agrees_with_the_asymptotic_one_of_delong():
    ours, theirs, labels = two_detectors(200, 0.2)
    found = auroc_difference(ours, theirs, labels, resamples=4000)
    assert found is not None
    reach = stats.norm.ppf(0.975) * delong_error(ours[0], theirs[0], labels)
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach), abs=0.1 * reach)


def test_the_interval_agrees_with_resampling_one_by_one():
    ours, theirs, labels = two_detectors(25, 0.5)
    rng = np.random.default_rng(1)
    groups = [np.flatnonzero(labels == label) for label in (0, 1)]
    picks = [np.concatenate([rng.choice(group, len(group)) for group in groups]) for _ in range(600)]
    drawn = [roc_auc_score(labels[p], ours[0][p]) - roc_auc_score(labels[p], theirs[0][p]) for p in picks]
    found = auroc_difference(ours, theirs, labels, resamples=4000)
    assert found is not None
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.015)


def test_pairing_finds_what_two_separate_intervals_hide():
    ours, theirs, labels = two_detectors(100, 0.25)
    found = auroc_difference(ours, theirs, labels)
    assert found is not None
    assert found.p_value < 0.01
    alone = [roc_auc_score(labels, row) for row in (ours[0], theirs[0])]
    assert alone[0] - alone[1] < 0.06, "each interval by itself is about 0.1 wide"


def test_no_difference_is_found_significant_as_often_as_the_level_says():
    found = [auroc_difference(*two_detectors(40, 0.0, seed), resamples=400) for seed in range(300)]
    below = sum(one.p_value < 0.05 for one in found if one is not None)
    assert 3 <= below <= 30  # 15 expected; beyond these ends with a chance below 1e-3


@given(seed=st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_changing_sides_changes_the_sign_alone(seed):
    ours, theirs, labels = two_detectors(15, 0.3, seed)
    ours, theirs = np.round(ours, 1), np.round(theirs, 1)
    one, other = (auroc_difference(*pair, labels, resamples=200) for pair in ((ours, theirs), (theirs, ours)))
    assert one is not None
    assert other is not None
    assert (other.value, other.low, other.high) == pytest.approx((-one.value, -one.high, -one.low), abs=1e-12)
    assert other.p_value == one.p_value


@given(seed=st.integers(0, 2**16), scale=st.sampled_from([0.5, 4.0, 1024.0]))
@settings(max_examples=15, deadline=None)
def test_only_the_order_of_the_scores_counts(seed, scale):
    ours, theirs, labels = two_detectors(15, 0.3, seed)
    assert auroc_difference(ours, theirs, labels, resamples=200) == auroc_difference(
        ours * scale, np.exp(theirs), labels, resamples=200
    )


def test_a_detector_does_not_differ_from_itself():
    ours, _, labels = two_detectors(30, 0.0)
    assert auroc_difference(ours, np.concatenate([ours, ours, ours]), labels) == Difference(0.0, 0.0, 0.0, 1.0)


def test_going_through_the_pairs_in_blocks_gives_the_same(monkeypatch):
    case = two_detectors(30, 0.3)
    whole = auroc_difference(*case, resamples=200)
    monkeypatch.setattr(resampling, "_CELLS", 100)
    parts = auroc_difference(*case, resamples=200)
    assert whole is not None
    assert parts is not None
    assert (parts.value, parts.low, parts.high) == pytest.approx((whole.value, whole.low, whole.high), abs=1e-12)
    assert parts.p_value == whole.p_value


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_there_is_no_difference_unless_there_are_images_of_both_kinds(labels):
    scores = [[0.0] * len(labels)]
    assert auroc_difference(scores, scores, labels) is None


@pytest.mark.parametrize(
    ("ours", "theirs", "labels"),
    [
        ([[1.0, 2.0]], [[1.0]], [0, 1]),
        ([1.0, 2.0], [[1.0, 2.0]], [0, 1]),
        ([[1.0, np.nan]], [[1.0, 2.0]], [0, 1]),
        ([[1.0, 2.0]], [[1.0, 2.0]], [0, 2]),
        (np.zeros((0, 2)), [[1.0, 2.0]], [0, 1]),
    ],
)
def test_what_cannot_be_paired_is_refused(ours, theirs, labels):
    with pytest.raises(MetricsError):
        auroc_difference(ours, theirs, labels)


@pytest.mark.parametrize("more", [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}])
def test_impossible_numbers_are_refused(more):
    with pytest.raises(MetricsError, match="bootstrap needs"):
        mean_difference([0.1, 0.2], **more)


def test_of_many_normal_differences_the_mean_is_tested_as_by_students_t():
    values = np.random.default_rng(2).normal(0.01, 0.05, size=60)
    found = mean_difference(values)
    oracle = stats.ttest_1samp(values, 0.0)
    interval = oracle.confidence_interval(0.95)
    assert found is not None
    assert found.value == pytest.approx(values.mean())
    assert found.p_value == pytest.approx(oracle.pvalue, abs=0.015)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), abs=0.0015)


@pytest.mark.parametrize("count", [5, 15])
def test_the_interval_of_few_values_covers_the_truth_nearly_as_often_as_it_says(count):
    rng = np.random.default_rng(count)
    hits = 0
    for _ in range(300):
        found = mean_difference(rng.normal(0.02, 0.03, size=count), resamples=500)
        assert found is not None
        hits += found.low is None or found.low <= 0.02 <= found.high
    assert hits >= 270


@given(st.lists(st.floats(-0.5, 0.5).map(lambda x: round(x, 3)), min_size=4, max_size=15))
@settings(max_examples=40, deadline=None)
def test_the_interval_leaves_out_zero_where_the_p_value_is_small(values):
    found = mean_difference(values, resamples=500)
    assert found is not None
    assert 0 < found.p_value <= 1
    if found.low is not None and found.high is not None:
        assert found.low <= found.value <= found.high
        outside = found.low > 1e-9 or found.high < -1e-9
        if found.p_value < 0.045:
            assert outside or found.value == pytest.approx(0)
        if found.p_value > 0.055:
            assert not outside


@pytest.mark.parametrize(
    "values", [[0.05, 0.06, 0.07], [0.05, 0.05], [0.05] * 3, [0.0, 0.0], [0.05] * 5, [-0.1 - 0.2, -0.3, -0.3, -0.3]]
)
def test_three_categories_or_any_that_are_all_the_same_claim_nothing(values):
    found = mean_difference(values)
    assert found is not None
    assert found.value == pytest.approx(np.mean(values))
    assert (found.low, found.high) == (None, None)
    assert found.p_value > 0.05


def test_nothing_has_no_mean_and_one_value_no_interval():
    assert mean_difference([]) is None
    assert mean_difference([0.25]) == Difference(0.25, None, None, 1.0)
    assert mean_difference([0.0] * 6) == Difference(0.0, 0.0, 0.0, 1.0)


def test_holm_of_a_known_case():
    # The three smallest are multiplied by 4, 3, 2; what follows is never below what went before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx((0.03, 0.06, 0.06, 0.02))
    assert holm([]) == ()


@given(st.lists(st.floats(0.0001, 1.0), max_size=12))
def test_holm_keeps_the_order_and_lies_between_the_value_and_bonferroni(p_values):
    adjusted = holm(p_values)
    for value, after in zip(p_values, adjusted, strict=True):
        assert value <= after <= min(1.0, len(p_values) * value) + 1e-12
    order = np.argsort(p_values, kind="stable")
    assert sorted(adjusted) == [adjusted[at] for at in order]
