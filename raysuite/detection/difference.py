"""How far a repaired image is from the image, pixel by pixel: what maps and scores are made of.

The squared error alone takes a small misplacement at a strong edge, such as a highlight, for more than a faint stain on
plain ground. The structural similarity of Wang, Bovik, Sheikh & Simoncelli, *Image quality assessment: from error
visibility to structural similarity*, IEEE TIP 13(4), 2004, counts a change by how much structure there is around it,
but knows little of how strong it is. Their geometric mean has something of both.
"""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import Tensor

from raysuite.config.detection import Error
from raysuite.detection.maps import box_side, boxed_channels

KERNEL = 11
"""Side of the box that the structure around a pixel is seen in, in pixels at a shorter side of 256. The window of Wang
et al. is as wide, and Gaussian."""

LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""The constants of Wang et al., for grey levels of [0, 1]: differences far below their roots do not count."""


def difference(images_NCHW: Tensor, repaired_NCHW: Tensor, kind: Error) -> Tensor:
    """How far each pixel is from what it should be.

    Args:
        images_NCHW: Images, float32, grey levels of [0, 1].
        repaired_NCHW: The same, repaired.
        kind: ``squared`` for `squared_error`, ``ssim`` for `dissimilarity`, ``geometric`` for the root of their
            product.

    Returns:
        (N, H, W) float32, 0 or more.
    """
    match kind:
        case "squared":
            return squared_error(images_NCHW, repaired_NCHW)
        case "ssim":
            return dissimilarity(images_NCHW, repaired_NCHW)
        case "geometric":
            return (dissimilarity(images_NCHW, repaired_NCHW) * squared_error(images_NCHW, repaired_NCHW)).sqrt()
        case _:
            assert_never(kind)


def squared_error(images_NCHW: Tensor, repaired_NCHW: Tensor) -> Tensor:
    """Channel mean of the squared difference: (N, H, W) float32, squared grey levels of [0, 1]."""
    return _mean_square(images_NCHW - repaired_NCHW)


def _mean_square(values_NCHW: Tensor) -> Tensor:
    # OpenVINO takes a square for a power, which is slow.
    return (values_NCHW * values_NCHW).mean(1)


def dissimilarity(images_NCHW: Tensor, repaired_NCHW: Tensor) -> Tensor:
    """(1 − SSIM) / 2 over boxes of `KERNEL` pixels: (N, H, W) float32 in [0, 1]; 0 where they agree.

    Each moment is the mean over the channels, so that no channel counts for more where it is dark or plain, and a
    change of hue alone is one; for grey pictures that is the paper's formula. With m the means, v the variances in the
    box, and w the variance of the difference, both factors of SSIM are one less a share: luminance 1 − a with
    a = (m₁ − m₂)² / (m₁² + m₂² + c₁), contrast and structure together 1 − b with b = w / (v₁ + v₂ + c₂). So it is
    (a + b − a·b) / 2, which needs no difference of two numbers of about one.

    Repaired images are limited to [0, 1] for it: with darker ones than black a and b exceed 1, and two wrongs would
    make a right.
    """
    channels, repaired_NCHW = images_NCHW.shape[1], repaired_NCHW.clamp(0, 1)
    squares_NHW = _mean_square(images_NCHW) + _mean_square(repaired_NCHW)
    changes_NHW = squared_error(images_NCHW, repaired_NCHW)
    # K is what is averaged: the channels of both, and their mean squares.
    values_NKHW = torch.cat([images_NCHW, repaired_NCHW, squares_NHW[:, None], changes_NHW[:, None]], 1)
    # In less than three pixels nothing has a structure.
    side = max(3, box_side(KERNEL, min(images_NCHW.shape[2:])))
    means_NKHW = boxed_channels(values_NKHW, side, 1)
    of_means_NHW = 2 * _mean_square(means_NKHW[:, : 2 * channels])
    apart_NHW = squared_error(means_NKHW[:, :channels], means_NKHW[:, channels : 2 * channels])
    variances_NHW = (means_NKHW[:, -2] - of_means_NHW).clamp(min=0)
    change_NHW = (means_NKHW[:, -1] - apart_NHW).clamp(min=0)
    luminance_NHW = apart_NHW / (of_means_NHW + LUMINANCE)
    structure_NHW = change_NHW / (variances_NHW + CONTRAST)
    return (luminance_NHW + structure_NHW - luminance_NHW * structure_NHW) / 2


def rounding_noise(kind: Error) -> float:
    """What rounding to 8 bits makes `difference` on plain grey ground: less says nothing about the object."""
    squared = 1 / (12 * 255**2)
    structural = squared / CONTRAST / 2
    match kind:
        case "squared":
            return squared
        case "ssim":
            return structural
        case "geometric":
            return math.sqrt(squared * structural)
        case _:
            assert_never(kind)
