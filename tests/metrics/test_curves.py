from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.metrics.curves import Curve

from .synthetic import STABLE


@STABLE
@given(st.integers(2, 60), st.integers(2, 30), st.sampled_from([None, 0.3]), st.integers(0, 9))
def test_thinning_leaves_out_no_point_far_from_a_kept_one(points, max_points, dense_until, seed):
    rng = np.random.default_rng(seed)
    curve = Curve(*(np.sort(rng.random(points) ** 3) for _ in range(2)))
    thin = curve.thinned(max_points, dense_until=dense_until)
    assert len(thin.x) <= max_points
    assert (thin.x[0], thin.y[0], thin.x[-1], thin.y[-1]) == (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1])
    assert {*zip(thin.x, thin.y, strict=True)} <= {*zip(curve.x, curve.y, strict=True)}
    # The whole way is at most 2 long, or 4 when the two zoomed views of x are added.
    step = (2 if dense_until is None else 4) / (max_points - 1)
    nearest = [np.min(np.abs(thin.x - x) + np.abs(thin.y - y)) for x, y in zip(curve.x, curve.y, strict=True)]
    assert max(nearest) <= step + 1e-9


def test_a_curve_with_few_points_stays_as_it_is():
    curve = Curve(np.array([0.0, 0.0, 1.0]), np.array([0.0, 1.0, 1.0]))
    assert curve.thinned(3) is curve


@pytest.mark.parametrize(("until", "area"), [(1.0, 0.75), (0.5, 0.25), (0.25, 0.0625), (0.75, 0.5)])
def test_area_cuts_the_last_piece_by_linear_interpolation(until, area):
    curve = Curve(np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert curve.area(until) == pytest.approx(area)


def test_area_ending_on_a_vertical_step_does_not_depend_on_the_step():
    curve = Curve(np.array([0.0, 0.3, 0.3, 1.0]), np.array([0.5, 0.5, 1.0, 1.0]))
    assert curve.area(0.3) == pytest.approx(0.15)
