"""Tiles cover every pixel, their weights sum to one, and what they find joins without a seam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.config.detection import Error
from raysuite.detection.maps import pool, smooth
from raysuite.detection.tiled import check_tiles, is_larger, score_tiled
from raysuite.detection.tiles import Axis, Smoother, Tiling, blended
from raysuite.errors import DetectorError
from raysuite.models.autoencoder import build

SIDES = st.integers(1, 40)
OVERLAPS = st.floats(0, 0.95)


def filtered(tiles_NCHW: torch.Tensor, reach: int) -> torch.Tensor:
    """A net's stand-in: how much the darkest and the lightest pixel within ``reach`` differ, with zeros around."""
    grey = tiles_NCHW.float().mean(1, keepdim=True)
    side = 2 * reach + 1
    padded = F.pad(grey, (reach,) * 4)
    return (F.max_pool2d(padded, side, 1) + F.max_pool2d(-padded, side, 1))[:, 0]


@given(tile=SIDES, more=st.integers(0, 200), overlap=OVERLAPS)
def test_every_pixel_is_covered_and_weights_sum_to_one(tile: int, more: int, overlap: float) -> None:
    axis = Axis.of(tile + more, tile, overlap)
    assert axis.starts[0] == 0
    assert axis.starts[-1] == more
    wanted = min(int(np.ceil(overlap * tile)), tile - 1)
    assert all(wanted <= one + tile - other < tile for one, other in zip(axis.starts, axis.starts[1:], strict=False))
    total = torch.zeros(axis.length, dtype=torch.float64)
    assert (axis.weights >= 0).all()
    for start, weights in zip(axis.starts, axis.weights, strict=True):
        total[start : start + tile] += weights
    assert torch.allclose(total, torch.ones_like(total), atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), tile=st.tuples(SIDES, SIDES), more=st.tuples(st.integers(0, 70), st.integers(0, 70)))
def test_tiles_equal_the_whole_image_where_the_filter_reaches_no_edge(
    data: st.DataObject, tile: tuple[int, int], more: tuple[int, int]
) -> None:
    tiling = Tiling.of((tile[0] + more[0], tile[1] + more[1]), tile, data.draw(OVERLAPS))
    size = tiling.rows.length, tiling.columns.length
    image_HW3 = np.random.default_rng(data.draw(st.integers(0, 9))).integers(0, 256, (*size, 3), dtype=np.uint8)
    least = min(
        axis.tile - (other - one)
        for axis in (tiling.rows, tiling.columns)
        for one, other in [*zip(axis.starts, axis.starts[1:], strict=False), (0, 0)]
    )
    reach = min(least // 4, *(side // 2 for side in tile))
    strips = list(blended(image_HW3, tiling, lambda tiles: filtered(tiles, reach), data.draw(st.integers(1, 5))))
    found_HW = torch.cat(strips)
    whole_HW = filtered(torch.from_numpy(image_HW3).permute(2, 0, 1)[None], reach)[0]
    assert found_HW.shape == whole_HW.shape
    assert torch.allclose(found_HW, whole_HW, atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(
    data=st.data(), kernel=st.integers(0, 6).map(lambda k: 2 * k + 1), passes=st.integers(0, 3),
    width=st.integers(8, 30), height=st.integers(8, 90),
)  # fmt: skip
def test_strips_are_smoothed_as_the_whole_map(
    data: st.DataObject, kernel: int, passes: int, width: int, height: int
) -> None:
    whole_HW = torch.rand(height, width, generator=torch.Generator().manual_seed(kernel + height))
    side = min(height, width)
    smoother, found, at = Smoother(kernel * 256 // side, passes, side), [], 0
    if 2 * round((kernel * 256 // side * side / 256 - 1) / 2) + 1 > side:
        return
    while at < height:
        rows = data.draw(st.integers(1, height))
        found.append(smoother.add(whole_HW[at : at + rows]))
        at += rows
    found.append(smoother.end())
    wanted = smooth(whole_HW[None], kernel * 256 // side, passes)[0]
    assert torch.allclose(torch.cat([rows for rows in found if len(rows)]), wanted, atol=1e-5)


def test_no_pixel_near_an_inner_edge_counts() -> None:
    axis = Axis.of(70, 40, 0.25)
    assert axis.starts == (0, 30)
    assert axis.weights[0, 37:].eq(0).all()
    assert axis.weights[1, :3].eq(0).all()
    assert axis.weights[0, :30].eq(1).all()


class TestScore:
    """With a real detector."""

    @pytest.fixture
    def even(self, detector):
        """The same detector, with what good images show the same at all places."""
        spread_HW = torch.full(detector.size, float(detector.score_spread_HW.median()))
        return replace(detector, map_spread_HW=spread_HW, score_spread_HW=spread_HW)

    def test_an_image_of_one_tile_has_the_detectors_own_score_and_map(self, even, good_NCHW) -> None:
        image_HW3 = good_NCHW[30].permute(1, 2, 0).numpy()
        own = even.score([image_HW3])
        found = score_tiled(even, image_HW3, overlap=0.25, batch_size=3, longest=64)
        assert not is_larger(image_HW3.shape[:2], even.size)
        assert found.tiles == 1
        assert found.score == pytest.approx(float(own.scores[0]), rel=1e-5)
        assert np.allclose(found.map_HW, own.maps[0], rtol=1e-4)

    @pytest.mark.parametrize("size", [(200, 300), (32, 65), (20, 90), (33, 10), (1, 1)])
    @pytest.mark.parametrize("pooling", ["top", "max", "mean"])
    def test_the_score_is_that_of_the_worst_frame_of_the_whole_map(self, even, size, pooling) -> None:
        even = replace(even, detection=replace(even.detection, pooling=pooling))
        image_HW3 = np.random.default_rng(1).integers(90, 160, (*size, 3), dtype=np.uint8)
        found = score_tiled(even, image_HW3, overlap=0.3, batch_size=3, longest=max(size))
        padded = np.pad(image_HW3, [(0, max(0, t - s)) for t, s in zip(even.size, size, strict=True)] + [(0, 0)],
                        mode="symmetric")  # fmt: skip
        tiling = Tiling.of(padded.shape[:2], even.size, 0.3)
        error_HW = torch.cat(list(blended(padded, tiling, even.error, 8)))
        # The kernels are those of the detector's frame, however large the image is.
        scale = min(error_HW.shape) / min(even.size)
        config = even.detection
        score_HW = smooth(error_HW[None], config.score_kernel / scale, config.score_passes)[0]  # type: ignore[arg-type]
        height, width = even.size
        frames = [
            score_HW[y : y + height, x : x + width] / even.score_spread_HW
            for y in tiling.rows.starts for x in tiling.columns.starts
        ]  # fmt: skip
        assert found.tiles == len(frames)
        assert found.score == pytest.approx(
            float(pool(torch.stack(frames), pooling, config.score_share).max()), rel=1e-4
        )
        assert found.map_HW.shape == size

    # SSIM finds an untrained net's errors nearly as bad everywhere; squared errors differ more.
    @pytest.mark.parametrize(("error", "times"), [("squared", 5), ("geometric", 2)])
    def test_a_small_defect_scores_in_a_large_image_as_in_a_tile_and_shows_on_the_map(
        self, even, error: Error, times: int
    ) -> None:
        even = replace(even, detection=replace(even.detection, error=error))
        image_HW3 = np.random.default_rng(2).integers(120, 126, (320, 640, 3), dtype=np.uint8)
        clean = score_tiled(even, image_HW3, overlap=0.25, batch_size=8).score
        image_HW3[200:206, 410:416] = 255
        found = score_tiled(even, image_HW3, overlap=0.25, batch_size=8, longest=160)
        alone = float(even.score([image_HW3[187:219, 380:444]]).scores[0])
        assert found.score > times * clean
        assert found.score == pytest.approx(alone, rel=0.3)
        row, column = np.unravel_index(int(found.map_HW.argmax()), found.map_HW.shape)
        assert found.map_HW.shape == (80, 160)
        assert abs(4 * row - 203) <= 8
        assert abs(4 * column - 413) <= 8

    def test_memory_is_for_one_row_of_tiles(self, even) -> None:
        """The largest tensors that are passed on, of an image as wide and four times as high."""
        seen: list[int] = []

        def watched(tiles_NCHW: torch.Tensor) -> torch.Tensor:
            seen.append(len(tiles_NCHW))
            return tiles_NCHW.float().mean(1)

        image_HW3 = np.zeros((2000, 640, 3), dtype=np.uint8)
        strips = [
            len(strip) for strip in blended(image_HW3, Tiling.of((2000, 640), even.size, 0.25), watched, batch_size=4)
        ]
        assert max(seen) == 4
        assert max(strips) <= even.size[0]
        assert sum(strips) == 2000

    def test_a_detector_that_knows_places_is_refused(self, detector, even) -> None:
        check_tiles(even)
        spread_HW = detector.score_spread_HW.clone()
        spread_HW[10:24, 16:48] *= 4
        with pytest.raises(DetectorError, match=r"cannot score tiles: its score .* differs [4-9]"):
            check_tiles(replace(even, score_spread_HW=spread_HW))

    def test_a_detector_with_a_template_is_refused(self, even) -> None:
        net = build(even.net.config, 0, torch.rand(3, *even.size)).eval()
        with pytest.raises(DetectorError, match=r"cannot score tiles: .*model\.template=off"):
            check_tiles(replace(even, net=net))

    def test_a_score_that_is_no_number_is_told_and_not_lost(self, even) -> None:
        def broken(tiles_NCHW: torch.Tensor) -> torch.Tensor:
            return torch.full(tiles_NCHW[:, 0].shape, torch.nan)

        found = score_tiled(
            even, np.zeros((90, 90, 3), np.uint8), overlap=0.25, batch_size=4, error=broken
        )  # fmt: skip
        assert np.isnan(found.score)
