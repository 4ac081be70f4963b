"""Anomaly maps with the shapes of score distribution that detectors produce."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

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
