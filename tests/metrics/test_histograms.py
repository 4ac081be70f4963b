from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite.errors import MetricsError
from raysuite.metrics.histograms import REGION_UNIT, PixelHistograms

from .synthetic import STABLE, collected, few_bins, small_tests, synthetic_maps

ZEROS = np.zeros((3, 4), np.float32)


def test_every_pixel_is_counted_once():
    maps, masks = synthetic_maps("squared", images=4, side=64)
    histograms = collected(maps, masks)
    background, defect, _ = histograms.bins.counts.sum(axis=1)
    assert (background, defect) == (sum((~m).sum() for m in masks), sum(m.sum() for m in masks))
    assert (histograms.images, histograms.missing_masks) == (4, 0)


def test_regions_touching_at_a_corner_are_one():
    mask = np.array([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]], bool)
    histograms = collected([np.zeros((4, 4), np.float32)], [mask])
    assert histograms.regions == 3


def test_every_region_weighs_the_same():
    mask = np.array([[1, 0, 1, 1], [0, 0, 1, 1]], bool)
    histograms = collected([np.array([[5, 0, 7, 7], [0, 0, 7, 7]], np.float32)], [mask])
    assert histograms.bins.counts[2].tolist() == [0, REGION_UNIT, REGION_UNIT]


def test_a_defect_image_without_a_mask_is_only_counted():
    histograms = PixelHistograms.empty()
    histograms.add(ZEROS, None, defect=True)
    assert (histograms.images, histograms.missing_masks, len(histograms.bins.low)) == (0, 1, 0)


def test_a_good_image_needs_no_mask():
    without, with_mask = PixelHistograms.empty(), PixelHistograms.empty()
    without.add(ZEROS, None, defect=False)
    with_mask.add(ZEROS, ZEROS > 0, defect=False)
    assert without.to_bytes() == with_mask.to_bytes()


def test_minus_zero_is_zero():
    minus, plus = PixelHistograms.empty(), PixelHistograms.empty()
    minus.add(-ZEROS, None, defect=False)
    plus.add(ZEROS, None, defect=False)
    assert minus.to_bytes() == plus.to_bytes()


def test_views_with_strides_are_read_right():
    rng = np.random.default_rng(0)
    big, mask = rng.random((8, 6), np.float32), rng.random((8, 6)) > 0.5
    views = collected([big.T[::2]], [mask.T[::2]])
    copies = collected([big.T[::2].copy()], [mask.T[::2].copy()])
    assert views.to_bytes() == copies.to_bytes()


@pytest.mark.parametrize("bad", [-1.0, -1e-45, np.nan, -np.nan, np.inf, -np.inf])
def test_a_score_that_is_negative_or_not_finite_is_refused(bad):
    histograms = collected([ZEROS], [ZEROS > 0])
    before = histograms.to_bytes()
    scores = ZEROS.copy()
    scores[1, 2] = bad
    with pytest.raises(MetricsError, match="1 of its 12 scores"):
        histograms.add(scores, None, defect=False)
    assert histograms.to_bytes() == before


@pytest.mark.parametrize(
    "bad",
    [ZEROS[0], ZEROS[None], ZEROS[:0], ZEROS.astype(np.float64), ZEROS.astype(np.uint8)],
    ids=lambda a: str(a.dtype),
)
def test_a_map_of_a_wrong_shape_or_dtype_is_refused(bad):
    with pytest.raises(MetricsError, match="must be float32 of shape"):
        PixelHistograms.empty().add(bad, None, defect=False)


@pytest.mark.parametrize("bad", [np.zeros((4, 3), bool), np.zeros((3, 4), np.uint8), np.zeros((3, 4, 1), bool)])
def test_a_mask_of_a_wrong_shape_or_dtype_is_refused(bad):
    with pytest.raises(MetricsError, match="a mask must be bool"):
        PixelHistograms.empty().add(ZEROS, bad, defect=True)


def test_a_good_image_with_defect_pixels_is_refused():
    with pytest.raises(MetricsError, match="labelled good has 12 defect pixels"):
        PixelHistograms.empty().add(ZEROS, ZEROS == 0, defect=False)


def test_too_many_regions_are_refused_before_a_weight_can_overflow():
    many = PixelHistograms(regions=1 << 20)
    with pytest.raises(MetricsError, match="look like noise"):
        many.add(ZEROS, ZEROS == 0, defect=True)
    with pytest.raises(MetricsError, match="look like noise"):
        many + PixelHistograms(regions=1)


@STABLE
@given(small_tests(), st.integers(1, 12), st.data())
def test_merging_any_split_equals_one_pass_exactly(images, bins, data):
    maps, masks = images
    with few_bins(bins):
        whole = collected(maps, masks)
        cut = data.draw(st.integers(0, len(maps)))
        left, right = collected(maps[:cut], masks[:cut]), collected(maps[cut:], masks[cut:])
        shipped = PixelHistograms.from_bytes(right.to_bytes())
        assert (left + shipped).to_bytes() == (shipped + left).to_bytes() == whole.to_bytes()


def test_merging_realistic_maps_in_any_order_equals_one_pass_exactly():
    maps, masks = synthetic_maps("exponential", images=6, side=200)
    whole = collected(maps, masks)
    assert whole.bins.shift > 0
    parts = [collected([a], [b]) for a, b in zip(maps, masks, strict=True)]
    assert sum(parts[::-1], PixelHistograms.empty()).to_bytes() == whole.to_bytes()


@STABLE
@given(small_tests())
def test_bytes_keep_everything(images):
    histograms = collected(*images)
    histograms.missing_masks = 3
    read = PixelHistograms.from_bytes(histograms.to_bytes())
    assert (read.regions, read.images, read.missing_masks) == (histograms.regions, histograms.images, 3)
    assert read.bins.shift == histograms.bins.shift
    for name in ("low", "mixed", "counts"):
        ours, theirs = getattr(histograms.bins, name), getattr(read.bins, name)
        assert ours.dtype == theirs.dtype
        assert np.array_equal(ours, theirs)


def test_empty_histograms_survive_bytes_and_merge():
    empty = PixelHistograms.from_bytes(PixelHistograms.empty().to_bytes())
    whole = collected([ZEROS], [ZEROS > 0])
    assert (empty + whole).to_bytes() == whole.to_bytes()


def test_memory_does_not_grow_with_the_number_of_images():
    maps, masks = synthetic_maps("pareto", images=6, side=256)
    histograms = collected(maps, masks)
    bins = histograms.bins
    assert bins.low.nbytes + bins.mixed.nbytes + bins.counts.nbytes < 4 * 2**20


@pytest.mark.parametrize("data", [b"", b"nothing of ours", b"PAR1" * 9])
def test_bytes_of_something_else_are_refused(data):
    with pytest.raises(MetricsError, match="no pixel histograms"):
        PixelHistograms.from_bytes(data)


def test_another_version_is_refused():
    data = collected([ZEROS], [ZEROS > 0]).to_bytes()
    table = pa.ipc.open_stream(data).read_all()
    newer = table.replace_schema_metadata({**table.schema.metadata, b"version": b"2"})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, newer.schema) as writer:
        writer.write_table(newer)
    with pytest.raises(MetricsError, match="unknown format or version"):
        PixelHistograms.from_bytes(sink.getvalue().to_pybytes())


@STABLE
@given(st.data())
def test_damaged_bytes_are_refused_or_read_but_never_crash(data):
    good = bytearray(collected(*synthetic_maps("ties", images=2, side=32)).to_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        good[data.draw(st.integers(0, len(good) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(good[: data.draw(st.integers(0, len(good)))])
    try:
        read = PixelHistograms.from_bytes(damaged)
    except MetricsError:
        return
    assert (read.bins.counts >= 0).all()


@pytest.mark.parametrize("masked", [False, True])
def test_images_counted_together_count_as_one_by_one(masked: bool) -> None:
    rng = np.random.default_rng(5)
    maps_NHW = rng.random((5, 24, 30), dtype=np.float32)
    # Regions reach the borders: those of two images shall not grow together.
    masks_NHW = rng.random((5, 24, 30)) < 0.3 if masked else None
    together, apart = PixelHistograms.empty(), PixelHistograms.empty()
    together.add_all(maps_NHW, masks_NHW)
    for at, map_HW in enumerate(maps_NHW):
        apart.add(map_HW, None if masks_NHW is None else masks_NHW[at], defect=masked)
    assert together.to_bytes() == apart.to_bytes()
    together.add_all(maps_NHW[:0], None)
    assert together.images == 5
