"""Anomaly maps with the shapes of score distribution that detectors produce."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from raysuite.metrics import bins
from raysuite.metrics.histograms import PixelHistograms

STABLE = settings(derandomize=True, database=None, deadline=None, max_examples=60)
TAILS = ("squared", "exponential", "lognormal", "pareto", "ties", "narrow", "hot", "zeros")


def synthetic_maps(
    tail: str, images: int = 4, side: int = 128, seed: int = 0
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """float32 maps and bool masks; every second image has defects."""
    rng = np.random.default_rng(seed)
    maps, masks = [], []
    for i in range(images):
        mask = np.zeros((side, side), bool)
        if i % 2:
            for _ in range(4):
                y, x = rng.integers(0, side - 8, 2)
                height, width = rng.integers(2, max(3, side // 6), 2)
                mask[y : y + height, x : x + width] = True
        maps.append(_shaped(rng, tail, ndimage.gaussian_filter(rng.normal(size=mask.shape), 2) * 6 + mask * 1.5))
        masks.append(mask)
    return maps, masks


def _shaped(rng: np.random.Generator, tail: str, normal: np.ndarray) -> np.ndarray:
    scores = {
        "squared": lambda: normal**2,
        "exponential": lambda: np.exp(normal) * rng.exponential(size=normal.shape),
        "lognormal": lambda: np.exp(4 * normal),
        "pareto": lambda: np.exp(normal) * rng.pareto(0.5, size=normal.shape),
        "ties": lambda: np.round(np.abs(normal) * 8) / 8,
        "narrow": lambda: 1 + 0.001 / (1 + np.exp(-normal)),
        "hot": lambda: normal**2,
        "zeros": lambda: np.maximum(normal, 0),
    }[tail]().astype(np.float32)
    if tail == "hot":
        scores[0, 0] = 3e38
    return scores


def collected(maps: list[np.ndarray], masks: list[np.ndarray]) -> PixelHistograms:
    """The histograms of images that are labelled as their masks say."""
    histograms = PixelHistograms.empty()
    for map_HW, mask_HW in zip(maps, masks, strict=True):
        histograms.add(map_HW, mask_HW, defect=bool(mask_HW.any()))
    return histograms


def small_tests() -> st.SearchStrategy[tuple[list[np.ndarray], list[np.ndarray]]]:
    """A few tiny images with any scores a float32 can be, mixed with many ties."""
    scores = st.one_of(
        st.sampled_from([0.0, 1.0, 2.0]),
        st.floats(0, 1, width=32),
        st.floats(0, float(np.finfo(np.float32).max), width=32),
    )
    sides = st.tuples(st.integers(1, 6), st.integers(1, 6))
    image = sides.flatmap(
        lambda shape: st.tuples(hnp.arrays(np.float32, shape, elements=scores), hnp.arrays(np.bool_, shape))
    )
    return st.lists(image, min_size=1, max_size=4).map(lambda images: tuple(map(list, zip(*images, strict=True))))


@contextmanager
def few_bins(count: int) -> Iterator[None]:
    """Bins so few that tiny images must share them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bins, "MAX_BINS", count)
        yield
