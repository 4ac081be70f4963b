from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from raysuite.metrics.bins import LARGEST_PATTERN, MAX_BINS, Bins

from .synthetic import STABLE, few_bins

PATTERNS = hnp.arrays(np.uint32, st.integers(1, 40), elements=st.integers(0, LARGEST_PATTERN))


def counted(patterns: np.ndarray) -> Bins:
    ordered = np.sort(patterns)
    return Bins.grouped(0, ordered, np.zeros(len(ordered), bool), np.ones((1, len(ordered)), np.int64))


def same(a: Bins, b: Bins) -> bool:
    return a.shift == b.shift and all(
        np.array_equal(getattr(a, name), getattr(b, name)) for name in ("low", "mixed", "counts")
    )


@STABLE
@given(PATTERNS, st.integers(1, 8), st.data())
def test_any_split_and_order_gives_the_table_of_one_pass(patterns, bins, data):
    with few_bins(bins):
        whole = counted(patterns)
        assert len(whole.low) <= bins
        cuts = sorted(data.draw(st.lists(st.integers(0, len(patterns)), max_size=3)))
        parts = data.draw(st.permutations(np.split(patterns, cuts)))
        merged = Bins.empty(1)
        for part in parts:
            merged += counted(part)
        assert same(merged, whole)
        right = Bins.empty(1)
        for part in reversed(parts):
            right = counted(part) + right
        assert same(right, whole)


@STABLE
@given(PATTERNS, st.integers(1, 8))
def test_the_shift_is_the_smallest_that_fits(patterns, bins):
    with few_bins(bins):
        table = counted(patterns)
    assert len(np.unique(patterns >> table.shift)) <= bins
    assert table.shift == 0 or len(np.unique(patterns >> (table.shift - 1))) > bins


@STABLE
@given(PATTERNS, st.integers(1, 8))
def test_bins_know_their_smallest_value_and_whether_it_is_the_only_one(patterns, bins):
    with few_bins(bins):
        table = counted(patterns)
    for low, mixed, count in zip(table.low, table.mixed, table.counts[0], strict=True):
        inside = patterns[patterns >> table.shift == low >> table.shift]
        assert (inside.min(), len(set(inside.tolist())) > 1, len(inside)) == (low, mixed, count)


def test_bins_never_exceed_their_number_on_the_widest_data():
    rng = np.random.default_rng(0)
    table = counted(rng.integers(0, LARGEST_PATTERN, 4 * MAX_BINS).astype(np.uint32))
    assert MAX_BINS / 2 < len(table.low) <= MAX_BINS


@pytest.mark.parametrize("values", [[0.0], [0.0, 1e-45, 3.4e38]])
def test_thresholds_are_scores_that_were_met(values):
    table = counted(np.array(values, np.float32).view(np.uint32))
    assert table.thresholds.tolist() == np.array(values, np.float32).tolist()
