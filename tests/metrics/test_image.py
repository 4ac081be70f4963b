from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score, roc_curve

from raysuite.errors import MetricsError
from raysuite.metrics.image import ImageMetrics, image_curves, image_metrics

from .synthetic import STABLE

LABELLED = st.lists(
    st.tuples(st.one_of(st.sampled_from([-1.0, 0.0, 7.0]), st.floats(-1e300, 1e300)), st.integers(0, 1)),
    min_size=2,
    max_size=40,
).filter(lambda rows: {label for _, label in rows} == {0, 1})


@STABLE
@given(LABELLED)
def test_image_metrics_agree_with_scikit_learn(rows):
    scores, labels = map(np.array, zip(*rows, strict=True))
    metrics = image_metrics(scores, labels)
    assert metrics.auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert metrics.ap == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert metrics.f1_max == pytest.approx((2 * precision * recall / (precision + recall + 1e-300)).max(), abs=1e-12)
    assert f1_score(labels, scores >= metrics.f1_threshold) == pytest.approx(metrics.f1_max, abs=1e-12)


@STABLE
@given(LABELLED)
def test_image_curves_agree_with_scikit_learn(rows):
    scores, labels = map(np.array, zip(*rows, strict=True))
    curves = image_curves(scores, labels)
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert np.allclose([curves["image_roc"].x, curves["image_roc"].y], [fpr, tpr])
    precision, recall, _ = precision_recall_curve(labels, scores)
    assert np.allclose([curves["image_pr"].x, curves["image_pr"].y], [recall[::-1], precision[::-1]])


def test_scores_beyond_one_are_not_clamped():
    assert image_metrics([100.0, 200.0, 300.0, 250.0], [0, 0, 1, 1]).auroc == 1.0


@pytest.mark.parametrize("labels", [[], [0, 0], [1, 1]])
def test_nothing_is_defined_unless_there_are_images_of_both_kinds(labels):
    scores = np.arange(len(labels), dtype=float)
    assert image_metrics(scores, labels) == ImageMetrics()
    assert image_curves(scores, labels) == {}


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        ([1.0, 2.0], [0], "one label for each score"),
        ([[1.0]], [[1]], "one label for each score"),
        ([1.0, np.nan], [0, 1], "1 of 2 image scores are not finite"),
        ([1.0, np.inf], [0, 1], "not finite"),
        ([1.0, 2.0], [0, 2], "must be 0"),
        ([1.0, 2.0], [0, None], "must be 0"),
    ],
)
def test_what_cannot_be_ranked_is_refused(scores, labels, message):
    with pytest.raises(MetricsError, match=message):
        image_metrics(scores, labels)
