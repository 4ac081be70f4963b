"""How far a repaired image is from the image, pixel by pixel: what maps and scores are made of.

The squared error alone takes a small misplacement at a strong edge, such as a highlight, for more than a faint stain on
plain ground. The structural similarity of Wang, Bovik, Sheikh & Simoncelli, *Image quality assessment: from error
visibility to structural similarity*, IEEE TIP 13(4), 2004, counts a change by how much structure there is around it,
but knows little of how strong it is. Their geometric mean has something of both.
"""

from __future__ import annotations

import math

from torch import Tensor

from raysuite.detection.maps import box_side, boxed

KERNEL = 11
"""Side of the box that the structure around a pixel is seen in, in pixels at a shorter side of 256; as of the window of
Wang et al., which is Gaussian."""

LUMINANCE, CONTRAST = 0.01**2, 0.03**2
"""The constants of Wang et al., for grey levels of [0, 1]: differences far below their roots do not count."""

ROUNDING = 1 / (12 * 255**2)
"""Mean squared error of rounding to 8 bits, in squared grey levels of [0, 1]: less says nothing about the object."""


def difference(images_NCHW: Tensor, repaired_NCHW: Tensor, error: str) -> Tensor:
    """How far each pixel is from what it should be.

    Args:
        images_NCHW: Images, float32, grey levels of [0, 1].
        repaired_NCHW: The same, repaired.
        error: ``squared`` for `squared_error`, ``ssim`` for `dissimilarity`, ``geometric`` for the root of their
            product.

    Returns:
        (N, H, W) float32, 0 or more.
    """
    if error == "squared":
        return squared_error(images_NCHW, repaired_NCHW)
    structural_NHW = dissimilarity(images_NCHW, repaired_NCHW)
    if error == "ssim":
        return structural_NHW
    return (structural_NHW * squared_error(images_NCHW, repaired_NCHW)).sqrt()


def squared_error(images_NCHW: Tensor, repaired_NCHW: Tensor) -> Tensor:
    """Channel mean of the squared difference: (N, H, W) float32, squared grey levels of [0, 1]."""
    return (images_NCHW - repaired_NCHW).square().mean(1)


def dissimilarity(images_NCHW: Tensor, repaired_NCHW: Tensor) -> Tensor:
    """Channel mean of (1 − SSIM) / 2 over boxes of `KERNEL` pixels: (N, H, W) float32 in [0, 1]; 0 where they agree.

    With m the means, v the variances in the box, and w the variance of the difference, both factors of SSIM are one
    less a share: luminance 1 − a with a = (m₁ − m₂)² / (m₁² + m₂² + c₁), contrast and structure together 1 − b with
    b = w / (v₁ + v₂ + c₂). So it is (a + b − a·b) / 2, which needs no difference of two numbers of about one.
    """
    first_MHW, second_MHW = images_NCHW.flatten(0, 1), repaired_NCHW.flatten(0, 1)

    # In less than three pixels nothing has a structure.
    side = max(3, box_side(KERNEL, min(images_NCHW.shape[2:])))

    def average(values_MHW: Tensor) -> Tensor:
        return boxed(values_MHW, side, 1)

    mean_MHW, other_MHW = average(first_MHW), average(second_MHW)
    squares_MHW = mean_MHW.square() + other_MHW.square()
    apart_MHW = (mean_MHW - other_MHW).square()
    variance_MHW = (average(first_MHW.square() + second_MHW.square()) - squares_MHW).clamp(min=0)
    change_MHW = (average((first_MHW - second_MHW).square()) - apart_MHW).clamp(min=0)
    luminance_MHW = apart_MHW / (squares_MHW + LUMINANCE)
    structure_MHW = change_MHW / (variance_MHW + CONTRAST)
    found_MHW = (luminance_MHW + structure_MHW - luminance_MHW * structure_MHW) / 2
    return found_MHW.reshape(images_NCHW.shape).mean(1)


def rounding(error: str) -> float:
    """What rounding an image to 8 bits makes of a plain grey one: less says nothing about the object."""
    structural = ROUNDING / CONTRAST / 2
    if error == "geometric":
        return math.sqrt(ROUNDING * structural)
    return structural if error == "ssim" else ROUNDING
