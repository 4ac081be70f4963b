from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from raysuite.errors import MetricsError
from raysuite.metrics import intervals
from raysuite.metrics.image import image_metrics
from raysuite.metrics.intervals import Interval, auroc_interval, mean_auroc_interval


def overlapping(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = np.arange(2 * count) % 2
    return np.round(rng.normal(size=2 * count) + labels, 1), labels


def test_the_interval_agrees_with_resampling_one_by_one():
    scores, labels = overlapping(30)
    rng = np.random.default_rng(1)
    groups = [np.flatnonzero(labels == label) for label in (0, 1)]
    picks = [np.concatenate([rng.choice(group, len(group)) for group in groups]) for _ in range(500)]
    low, high = np.quantile([roc_auc_score(labels[pick], scores[pick]) for pick in picks], [0.025, 0.975])
    interval = auroc_interval(scores, labels, resamples=4000)
    assert interval is not None
    assert (interval.low, interval.high) == (pytest.approx(low, abs=0.015), pytest.approx(high, abs=0.015))


def test_equal_seeds_give_equal_intervals():
    scores, labels = overlapping(30)
    assert auroc_interval(scores, labels, seed=3) == auroc_interval(scores, labels, seed=3)
    assert auroc_interval(scores, labels, seed=3) != auroc_interval(scores, labels, seed=4)


def test_more_images_make_the_interval_narrower_around_the_value():
    widths = []
    for count in (20, 2000):
        scores, labels = overlapping(count)
        interval = auroc_interval(scores, labels, resamples=500)
        assert interval is not None
        assert interval.low <= image_metrics(scores, labels).auroc <= interval.high
        widths.append(interval.high - interval.low)
    assert widths[1] < widths[0] / 5


def test_resampling_in_blocks_covers_all_resamples(monkeypatch):
    monkeypatch.setattr(intervals, "_CELLS", 100)
    scores, labels = overlapping(30)
    interval = auroc_interval(scores, labels, resamples=333)
    assert interval is not None
    assert 0 < interval.low < interval.high < 1


def test_complete_separation_gives_the_point_one():
    assert auroc_interval([0.0, 1.0, 2.0, 3.0], [0, 0, 1, 1]) == Interval(1.0, 1.0)


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_there_is_no_interval_unless_there_are_images_of_both_kinds(labels):
    assert auroc_interval([0.0] * len(labels), labels) is None


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"resamples": 0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(MetricsError, match="a bootstrap needs"):
        auroc_interval([0.0, 1.0], [0, 1], **wrong)


def test_ties_count_one_half():
    assert auroc_interval([1.0, 1.0, 1.0], [0, 0, 1]) == Interval(0.5, 0.5)


def test_the_interval_of_one_category_and_seed_is_that_of_its_auroc():
    scores, labels = overlapping(40)
    one = auroc_interval(scores, labels, resamples=4000)
    mean = mean_auroc_interval([(scores[None], labels)], resamples=4000)
    assert one is not None
    assert mean is not None
    assert (mean.low, mean.high) == (pytest.approx(one.low, abs=0.01), pytest.approx(one.high, abs=0.01))


def test_the_mean_of_many_categories_is_surer_than_each():
    cases = [overlapping(40, seed) for seed in range(9)]
    mean = mean_auroc_interval([(scores[None], labels) for scores, labels in cases])
    alone = [auroc_interval(scores, labels) for scores, labels in cases]
    assert mean is not None
    width = np.mean([one.high - one.low for one in alone if one is not None])
    assert mean.high - mean.low == pytest.approx(width / 3, rel=0.15)
    middle = np.mean([roc_auc_score(labels, scores) for scores, labels in cases])
    assert mean.low < middle < mean.high


def test_a_mean_that_lacks_a_category_has_no_interval():
    scores, labels = overlapping(10)
    assert mean_auroc_interval([]) is None
    assert mean_auroc_interval([(scores[None], labels), (scores[None], np.zeros(20))]) is None
