from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from raysuite.metrics.image import ranked
from raysuite.metrics.ranking import Ranking


def test_average_precision_of_mixed_bins_is_that_of_a_random_order():
    # 30 bins of 10 defective pixels each, with ever more good ones, and a clean head.
    good, defective = np.append(np.arange(30)[::-1] * 3 + 3, 0), np.append(np.full(30, 10), 40)
    mixed = Ranking.of_counts(np.arange(31.0), good, defective, np.ones(31, bool)).average_precision()
    tied = Ranking.of_counts(np.arange(31.0), good, defective, np.zeros(31, bool)).average_precision()
    labels = np.repeat([0, 1] * 31, np.stack([good, defective], axis=1).ravel())
    bins = np.repeat(np.arange(31), good + defective)
    rng = np.random.default_rng(0)
    shuffled = np.mean([average_precision_score(labels, bins + 0.9 * rng.random(len(bins))) for _ in range(100)])
    assert abs(mixed - shuffled) < 5e-4
    assert shuffled - tied > 5e-3


def test_average_precision_of_true_ties_is_that_of_ties():
    good, defective = np.array([400, 100, 5]), np.array([30, 60, 20])
    ranking = Ranking.of_counts(np.arange(3.0), good, defective, np.zeros(3, bool))
    assert ranking.average_precision() == pytest.approx((20 * 20 / 25 + 60 * 80 / 185 + 30 * 110 / 615) / 110)


def test_counts_whose_product_passes_an_int64_do_not_overflow():
    many = np.array([10**11, 10**11])
    ranking = Ranking.of_counts(np.arange(2.0), many, many, np.zeros(2, bool))
    assert ranking.auroc() == 0.5


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_pixels_are_ranked_as_scores_are(share: float, ties: bool) -> None:
    rng = np.random.default_rng(3)
    scores_N = rng.lognormal(size=3000).astype(np.float32)
    scores_N[:50] = 0
    if ties:
        scores_N = np.round(scores_N, 1)
    defective_N = rng.random(3000) < share
    fast, exact = Ranking.of_pixels(scores_N, defective_N), ranked(scores_N, defective_N.astype(int))
    np.testing.assert_array_equal(fast.thresholds, exact.thresholds)
    np.testing.assert_array_equal(fast.false_positives, exact.false_positives)
    np.testing.assert_array_equal(fast.true_positives, exact.true_positives)


def test_no_pixels_are_ranked_as_not_defined() -> None:
    assert not Ranking.of_pixels(np.zeros(0, np.float32), np.zeros(0, np.bool_)).is_defined
