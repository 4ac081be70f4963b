"""From a reconstruction to an anomaly map and an image score.

The map is the difference from the reconstruction (`raysuite.detection.difference`), smoothed by repeated box filters
(which tend to a Gaussian), and divided by what good images show at the same place. Map and score have a smoothing each:
localisation wants a wide one, the score, which is the mean of the highest pixels, a narrow one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

REFERENCE_SIDE = 256
"""Kernels are given in pixels of a picture with this shorter side, and scaled to others."""

EVEN = (11, 3)
"""Kernel and passes that even out the divisor from place to place, whatever filter the map has."""


def box_side(kernel: int, side: int) -> int:
    """A kernel's side, odd, in pixels of a picture whose shorter side has ``side`` of them."""
    return 2 * round((kernel * side / REFERENCE_SIDE - 1) / 2) + 1


def smooth(maps_NHW: Tensor, kernel: int, passes: int) -> Tensor:
    """Box filters of ``kernel`` pixels (at a shorter side of 256) applied ``passes`` times; borders are reflected."""
    return boxed(maps_NHW, box_side(kernel, min(maps_NHW.shape[1:])), passes)


def boxed(maps_NHW: Tensor, side: int, passes: int) -> Tensor:
    """Box filters of ``side`` pixels, as they are, applied ``passes`` times; borders are reflected."""
    return boxed_channels(maps_NHW[:, None], side, passes)[:, 0]


def boxed_channels(maps_NCHW: Tensor, side: int, passes: int) -> Tensor:
    """Box filters, as `boxed`, of several maps an image: runtimes that compute channels in blocks gain by it."""
    if side <= 1 or passes == 0:
        return maps_NCHW
    # On a CPU sums of shifted maps are torch's average in a tenth of its time, and map by map they stay in its cache. A
    # GPU would have to start a kernel for each, and a traced graph to hold them.
    if maps_NCHW.device.type == "cpu" and not torch.compiler.is_compiling():
        single = maps_NCHW.reshape(-1, 1, 1, *maps_NCHW.shape[2:])
        return torch.cat([_filtered(one, side, passes, _shifted) for one in single]).reshape(maps_NCHW.shape)
    return _filtered(maps_NCHW, side, passes, _pooled)


def _filtered(maps_NCHW: Tensor, side: int, passes: int, average: Callable[[Tensor, int, int], Tensor]) -> Tensor:
    pad = side // 2
    for _ in range(passes):
        # A box is separable: two thin averages cost 2k, not k².
        maps_NCHW = average(F.pad(maps_NCHW, (pad, pad, 0, 0), mode="reflect"), side, 3)
        maps_NCHW = average(F.pad(maps_NCHW, (0, 0, pad, pad), mode="reflect"), side, 2)
    return maps_NCHW


def _pooled(padded_NCHW: Tensor, side: int, axis: int) -> Tensor:
    """The mean of each ``side`` neighbours along an axis: (…, side - 1 fewer)."""
    return F.avg_pool2d(padded_NCHW, (1, side) if axis == 3 else (side, 1), 1)


def _shifted(padded_NCHW: Tensor, side: int, axis: int) -> Tensor:
    """The same, from sums of 1, 2, 4, … neighbours, each of which is two of the one before: 11 = 1 + 2 + 8."""
    length = padded_NCHW.shape[axis] - side + 1
    total_NCHW = padded_NCHW.narrow(axis, 0, length).clone()  # the side is odd
    sums_NCHW, width, done = padded_NCHW, 1, 1
    while done < side:
        left = sums_NCHW.shape[axis] - width
        sums_NCHW = sums_NCHW.narrow(axis, 0, left) + sums_NCHW.narrow(axis, width, left)
        width *= 2
        if side & width:
            total_NCHW += sums_NCHW.narrow(axis, done, length)
            done += width
    return total_NCHW / side


def divisor(usual_HW: Tensor, normalise: str, floor: float, least: float) -> Tensor:
    """What errors are divided by, so that 1 is about the largest error that good images show.

    Args:
        usual_HW: What good images show at each place (`usual_errors`), float32.
        normalise: ``place`` divides by it, evened out; ``image`` by its mean over all places; ``none`` by 1.
        floor: Of ``place``: smallest divisor, as a share of that mean. It keeps a flat background, where good images
            hardly differ, from being blown up.
        least: What says nothing about the object (`raysuite.detection.difference.rounding_noise`), and is added.

    Returns:
        (H, W) float32, positive.
    """
    if normalise == "none":
        return torch.ones_like(usual_HW)
    mean = usual_HW.mean()
    if normalise == "image":
        return torch.full_like(usual_HW, float(mean)) + least
    return smooth(torch.maximum(usual_HW, floor * mean)[None], *EVEN)[0] + least


def usual_errors(errors: Iterable[Tensor], filters: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Tensor]:
    """What good images show at each place: mean + 2 standard deviations of their smoothed errors.

    Args:
        errors: Batches of unsmoothed errors of good images, (N, H, W) float32; passed over once, at least one.
        filters: Kernels and passes to smooth them with.

    Returns:
        For each filter (H, W) float32, 0 or more.
    """
    count, sums = 0, dict[tuple[int, int], Tensor]()
    for error_NHW in errors:
        count += len(error_NHW)
        for filter_ in filters:
            smoothed_NHW = smooth(error_NHW, *filter_).double()
            added_2HW = torch.stack([smoothed_NHW.sum(0), smoothed_NHW.square().sum(0)])
            sums[filter_] = sums[filter_] + added_2HW if filter_ in sums else added_2HW
    usual = {}
    for filter_, sums_2HW in sums.items():
        mean_HW, square_HW = sums_2HW / count
        usual[filter_] = (mean_HW + 2 * (square_HW - mean_HW.square()).clamp(min=0).sqrt()).float()
    return usual


def pool(maps_NHW: Tensor, pooling: str, share: float) -> Tensor:
    """Image scores, (N,) float32: each map's highest pixel, the mean of all, or that of the highest ``share``.

    Args:
        maps_NHW: Maps, float32.
        pooling: ``max``, ``mean`` or ``top``.
        share: Of ``top``: share of the pixels, at least one pixel.
    """
    flat = maps_NHW.flatten(1)
    if pooling == "mean":
        return flat.mean(1)
    count = 1 if pooling == "max" else max(1, round(share * flat.shape[1]))
    return torch.topk(flat, count, dim=1).values.mean(1)
