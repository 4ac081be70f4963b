from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.pixel import PixelMetrics, pixel_curves, pixel_metrics

from .oracles import Exact, exact_metrics
from .synthetic import STABLE, TAILS, collected, few_bins, small_tests, synthetic_maps

BOUNDS = {"auroc": "error_bound", "ap": "ap_error_bound", "f1_max": "f1_error_bound", "aupro": "aupro_error_bound"}
ROUNDING = 1e-9


def assert_within_bounds(metrics: PixelMetrics, exact: Exact) -> None:
    for name, bound in BOUNDS.items():
        assert abs(getattr(metrics, name) - getattr(exact, name)) <= getattr(metrics, bound) + ROUNDING, name


@pytest.mark.parametrize("tail", TAILS)
def test_realistic_maps_are_within_a_hundred_thousandth_of_exact(tail):
    maps, masks = synthetic_maps(tail, images=6, side=200)
    metrics, exact = pixel_metrics(collected(maps, masks)), exact_metrics(maps, masks)
    assert metrics.auroc == pytest.approx(exact.auroc, abs=1e-5)
    assert metrics.ap == pytest.approx(exact.ap, abs=1e-5)
    assert metrics.aupro == pytest.approx(exact.aupro, abs=1e-5)
    assert_within_bounds(metrics, exact)


@STABLE
@given(small_tests(), st.sampled_from([1, 2, 5, 16, 1 << 17]))
def test_no_exact_value_is_beyond_its_bound_however_few_the_bins(images, bins):
    maps, masks = images
    with few_bins(bins):
        metrics = pixel_metrics(collected(maps, masks))
    defects = np.concatenate([mask.ravel() for mask in masks])
    if defects.all() or not defects.any():
        assert metrics == PixelMetrics()
        return
    assert_within_bounds(metrics, exact_metrics(maps, masks))
    if bins > defects.size:
        assert {getattr(metrics, bound) for bound in BOUNDS.values()} == {0.0}


@pytest.mark.parametrize("tail", ["narrow", "ties"])
def test_scores_of_few_values_are_exact(tail):
    histograms = collected(*synthetic_maps(tail, images=6, side=200))
    metrics = pixel_metrics(histograms)
    assert histograms.bins.shift == 0
    assert {getattr(metrics, bound) for bound in BOUNDS.values()} == {0.0}


def test_a_mass_of_exact_zeros_does_not_loosen_the_bounds():
    metrics = pixel_metrics(collected(*synthetic_maps("zeros", images=6, side=200)))
    assert metrics.error_bound < 1e-5
    assert metrics.ap_error_bound < 1e-4


def test_one_hot_pixel_does_not_flatten_the_curve():
    maps, masks = synthetic_maps("squared", images=4, side=128)
    cool = pixel_metrics(collected(maps, masks))
    maps[0][0, 0] = 3e38
    hot = pixel_metrics(collected(maps, masks))
    assert hot.auroc == pytest.approx(cool.auroc, abs=1e-4)
    assert hot.aupro == pytest.approx(cool.aupro, abs=1e-3)
    assert hot.error_bound < 1e-5


def test_a_worked_example_by_hand():
    # Two regions, of 1 and 2 pixels, and 4 background pixels; FPR and PRO rise 9: (0, 1/2), 8: (1/4, 1/2),
    # 7: (1/4, 3/4), 3: (1/2, 3/4), 1: (1, 3/4), 0: (1, 1).
    scores = np.array([[9, 8, 7, 0, 3, 1, 1]], np.float32)
    mask = np.array([[1, 0, 1, 1, 0, 0, 0]], bool)
    metrics = pixel_metrics(collected([scores], [mask]))
    assert metrics.auroc == pytest.approx((4 + 3 + 0) / 12)
    assert metrics.ap == pytest.approx((1 / 1 + 2 / 3 + 3 / 7) / 3)
    assert metrics.f1_max == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert metrics.f1_threshold == 7
    assert metrics.aupro == pytest.approx((0.25 * 0.5 + 0.05 * 0.75) / 0.3)


def test_a_perfect_map_scores_one_and_a_constant_map_scores_chance():
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    perfect = pixel_metrics(collected([mask.astype(np.float32)], [mask]))
    assert (perfect.auroc, perfect.ap, perfect.f1_max, perfect.aupro) == (1, 1, 1, pytest.approx(1))
    constant = pixel_metrics(collected([np.ones((8, 8), np.float32)], [mask]))
    assert (constant.auroc, constant.ap, constant.aupro) == (0.5, 4 / 64, pytest.approx(0.15))


@pytest.mark.parametrize("tail", ["squared", "exponential"])
def test_the_f1_threshold_reproduces_the_f1(tail):
    maps, masks = synthetic_maps(tail, images=4, side=200)
    metrics = pixel_metrics(collected(maps, masks))
    predicted = np.concatenate([a.ravel() for a in maps]) >= np.float32(metrics.f1_threshold)
    assert f1_score(np.concatenate([b.ravel() for b in masks]), predicted) == pytest.approx(metrics.f1_max, abs=1e-12)


def test_nothing_is_defined_without_defects_without_background_or_without_pixels():
    zeros = np.zeros((4, 4), np.float32)
    only_missing = PixelHistograms.empty()
    only_missing.add(zeros, None, defect=True)
    for histograms in (
        PixelHistograms.empty(),
        only_missing,
        collected([zeros], [zeros > 0]),
        collected([zeros], [zeros == 0]),
    ):
        assert pixel_metrics(histograms) == PixelMetrics()
        assert pixel_curves(histograms) == {}


def test_unmasked_defect_images_do_not_move_the_metrics():
    maps, masks = synthetic_maps("squared", images=4, side=64)
    histograms = collected(maps, masks)
    before = pixel_metrics(histograms)
    histograms.add(np.full((64, 64), 99, np.float32), None, defect=True)
    assert pixel_metrics(histograms) == before


def test_thinned_curves_keep_their_area_and_are_dense_where_aupro_looks():
    histograms = collected(*synthetic_maps("exponential", images=4, side=200))
    metrics = pixel_metrics(histograms)
    curves = pixel_curves(histograms, max_points=300)
    assert set(curves) == {"pixel_roc", "pixel_pr", "pro"}
    assert all(len(curve.x) <= 300 for curve in curves.values())
    assert curves["pixel_roc"].area() == pytest.approx(metrics.auroc, abs=1e-3)
    assert curves["pro"].area(0.3) / 0.3 == pytest.approx(metrics.aupro, abs=1e-3)
    for name in ("pixel_roc", "pro"):
        x, y = curves[name].x, curves[name].y
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert np.mean(x <= 0.3) > 0.5


def test_a_narrow_range_beside_a_very_wide_one_is_coarse_and_says_so():
    rng = np.random.default_rng(0)
    scores = 1 + 0.001 * rng.random((512, 512))
    wide = rng.random(scores.shape) < 0.8
    scores[wide] = np.exp(rng.uniform(-40, 40, wide.sum()))
    mask = np.zeros(scores.shape, bool)
    mask[50:150, 50:150] = True
    scores[mask] = 1.0004 + 0.0005 * rng.random(mask.sum())
    maps, masks = [scores.astype(np.float32)], [mask]
    metrics = pixel_metrics(collected(maps, masks))
    exact = exact_metrics(maps, masks)
    assert metrics.error_bound > abs(metrics.auroc - exact.auroc) > 0.01
    assert_within_bounds(metrics, exact)
