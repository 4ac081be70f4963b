"""A trial of a net without labels: its errors on good images it has not learned from, and on the same with defects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from raysuite.corruption import unseen

BATCH = 16

MOST_IMAGES = 24
"""Each good image is seen once for each family of defects too, so this bounds what a trial costs."""

MOST_PIXELS = MOST_IMAGES * 512 * 512
"""Of the good images together: larger ones are fewer, but never fewer than `LEAST_IMAGES`."""

LEAST_IMAGES = 6


@dataclass(frozen=True, slots=True)
class Defects:
    """Images with defects of one family.

    Attributes:
        error_nHW: Unsmoothed errors, float32; only images on which the defect is visible.
        mask_nHW: Where it is, bool.
        good_n: Which of the good images each of them was, int64.
    """

    error_nHW: Tensor
    mask_nHW: Tensor
    good_n: Tensor


@dataclass(frozen=True, slots=True)
class Trial:
    """What a net leaves of good and of defective images.

    Attributes:
        good_NHW: Unsmoothed errors of good images, float32.
        families: By name of the family; none that is not visible on any image.
    """

    good_NHW: Tensor
    families: dict[str, Defects]


def hold_trial(error: Callable[[Tensor], Tensor], validation_NCHW: Tensor, seed: int) -> Trial:
    """Show a net good images and all families of unseen defects on them.

    The defects depend on the images and the seed alone, not on the device that the net computes on: detectors of one
    category and seed are judged on the same ones.

    Args:
        error: From (N, 3, H, W) uint8 to unsmoothed errors, (N, H, W) float32.
        validation_NCHW: Good images, uint8, at least one; at most `MOST_IMAGES` of them are used.
        seed: Of the defects.
    """
    height, width = validation_NCHW.shape[2:]
    most = min(MOST_IMAGES, max(LEAST_IMAGES, MOST_PIXELS // (height * width)))
    picks = torch.linspace(0, len(validation_NCHW) - 1, min(most, len(validation_NCHW))).long()
    good_NCHW = validation_NCHW[picks].cpu()
    good_NHW = torch.cat([error(batch) for batch in torch.split(good_NCHW, BATCH)])
    return Trial(good_NHW, dict(_families(error, good_NCHW, torch.Generator().manual_seed(seed))))


def _families(
    error: Callable[[Tensor], Tensor], good_NCHW: Tensor, generator: torch.Generator
) -> Iterator[tuple[str, Defects]]:
    for name, family in unseen.BY_NAME.items():
        images_NCHW, masks_NHW = family(good_NCHW.float() / 255, generator)
        shown = torch.nonzero(masks_NHW.flatten(1).any(1)).flatten()
        if len(shown) == 0:
            continue
        images_nCHW = (images_NCHW[shown] * 255).round().to(torch.uint8)
        error_nHW = torch.cat([error(batch) for batch in torch.split(images_nCHW, BATCH)])
        yield name, Defects(error_nHW, masks_NHW[shown], shown)
