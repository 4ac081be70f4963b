"""From a reconstruction to an anomaly map and an image score.

The map is the channel mean of the squared difference, smoothed by repeated box filters (which tend to a Gaussian), and
divided by what good images show at the same place. Map and score have a smoothing each: localisation wants a wide one,
the score, which is the mean of the highest pixels, a narrow one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

REFERENCE_SIDE = 256
"""Kernels are given in pixels of a picture with this shorter side, and scaled to others."""

TINY = 1e-8
"""Keeps divisors positive where good images are repaired without any error, in squared grey levels."""


def squared_error(images_NCHW: Tensor, repaired_NCHW: Tensor) -> Tensor:
    """Channel mean of the squared difference: (N, H, W) float32, squared grey levels of [0, 1]."""
    return (images_NCHW - repaired_NCHW).square().mean(1)


def smooth(maps_NHW: Tensor, kernel: int, passes: int) -> Tensor:
    """Box filters of ``kernel`` pixels (at a shorter side of 256) applied ``passes`` times; borders are reflected."""
    side = min(maps_NHW.shape[1:])
    scaled = 2 * round((kernel * side / REFERENCE_SIDE - 1) / 2) + 1
    if scaled <= 1 or passes == 0:
        return maps_NHW
    pad = scaled // 2
    out = maps_NHW[:, None]
    for _ in range(passes):
        # A box is separable: two thin averages cost 2k, not k².
        out = F.avg_pool2d(F.pad(out, (pad, pad, 0, 0), mode="reflect"), (1, scaled), 1)
        out = F.avg_pool2d(F.pad(out, (0, 0, pad, pad), mode="reflect"), (scaled, 1), 1)
    return out[:, 0]


def spread(maps_NHW: Tensor, floor: float) -> Tensor:
    """What good images show at each place: mean + 2 standard deviations, never below a share of its own image mean.

    The floor keeps a flat background, where good images hardly differ, from being blown up.

    Args:
        maps_NHW: Smoothed errors of good images, float32.
        floor: Smallest value, as a share of the mean over all places.

    Returns:
        (H, W) float32, positive.
    """
    per_place = maps_NHW.mean(0) + 2 * maps_NHW.std(0, unbiased=False)
    return per_place.clamp(min=float(floor * per_place.mean())) + TINY


def pool(maps_NHW: Tensor, share: float) -> Tensor:
    """Image scores: mean of the highest ``share`` of each map's pixels, at least one; (N,) float32."""
    flat = maps_NHW.flatten(1)
    count = max(1, round(share * flat.shape[1]))
    return torch.topk(flat, count, dim=1).values.mean(1)
