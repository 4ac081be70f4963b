"""Pictures of any size to the net's input, and the size a category's pictures share."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from raysuite.errors import DetectorError

LONGEST = 4
"""Longest input, in units of the shorter side; longer pictures are squeezed."""


def choose_size(sizes: Sequence[tuple[int, int]], short_side: int, stride: int) -> tuple[int, int]:
    """Height and width that a category's pictures are resized to.

    The shorter side is ``short_side`` and the longer one follows the median shape of the category, both as multiples of
    ``stride``, so that one size serves pictures that differ by some pixels.

    Args:
        sizes: (height, width) of the category's good images.
        short_side: Shorter side, in pixels.
        stride: Both sides are multiples of this.
    """
    aspect = median(width / height for height, width in sizes)
    aspect = min(max(aspect, 1 / LONGEST), LONGEST)
    short = -(-short_side // stride) * stride
    long = round(short * max(aspect, 1 / aspect) / stride) * stride
    long = max(long, short)
    return (short, long) if aspect >= 1 else (long, short)


def to_input(image_HWC: NDArray[np.uint8], size: tuple[int, int]) -> Tensor:
    """Resize one picture with an anti-aliased bilinear filter.

    Args:
        image_HWC: uint8 RGB of any size.
        size: Height and width wanted.

    Returns:
        (3, height, width) uint8.

    Raises:
        DetectorError: The array is not (H, W, 3) uint8.
    """
    if image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or image_HWC.size == 0 or image_HWC.dtype != np.uint8:
        raise DetectorError(
            f"an image must be (height, width, 3) uint8, not {tuple(image_HWC.shape)} {image_HWC.dtype}"
        )
    # A copy, because arrays out of Arrow are read-only and torch would warn.
    image_1CHW = torch.from_numpy(image_HWC.copy()).permute(2, 0, 1)[None]
    if tuple(image_1CHW.shape[2:]) != size:
        image_1CHW = F.interpolate(image_1CHW, size=size, mode="bilinear", antialias=True)
    return image_1CHW[0]
