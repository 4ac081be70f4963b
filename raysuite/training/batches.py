"""Random batches of training images: cropped, shifted, turned and flipped on their device."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from raysuite.training.augmentation import Augmentation
from raysuite.training.sources import Source, as_source, whole_numbers
from raysuite.training.turning import SYMMETRIES, reach, sample_turned

TURNED_SHARE = 0.5
"""Share of images that are turned by an odd angle. Interpolation blurs a little; the others stay as sharp as the images
that the finished detector will see."""


def draw_batch(
    images: Tensor | Source, count: int, crop: int, augmentation: Augmentation, generator: Generator
) -> Tensor:
    """Random images as float32 in [0, 1], cropped to at most ``crop`` a side, each at a place of its own, and changed.

    A shift is by whole pixels and so are flips and quarter turns: only turning by an odd angle interpolates, and only
    in a share of the images. Where a turned crop fits into the image, it is moved until it does.

    Args:
        images: Where images are taken from; or all of them, uint8, on the generator's device.
        count: How many to draw.
        crop: Side of the square crop; sides shorter than it are kept whole.
        augmentation: As from `raysuite.training.augmentation.choose_augmentation`; each of its flips is applied to an
            image with probability ½. A quarter turn is left out where crops are not square.
        generator: On the images' device.
    """
    device = generator.device
    # All that is random in one draw of a fixed shape: the same seed picks the same images whatever is done to them, and
    # a GPU is never waited for.
    picked, top, left, down, right, angle, turned, *flipped = torch.rand(
        (7 + len(SYMMETRIES), count), generator=generator, device=device
    )
    whole_NCHW = as_source(images).take(picked)
    height, width = whole_NCHW.shape[2:]
    rows, columns = min(crop, height), min(crop, width)
    top, left = whole_numbers(top, height - rows + 1), whole_numbers(left, width - columns + 1)
    down = (augmentation.shift * height * (2 * down - 1)).round().long()
    right = (augmentation.shift * width * (2 * right - 1)).round().long()
    if (rows, columns) == (height, width) and augmentation.shift == 0:
        batch = whole_NCHW.float() / 255
    else:
        batch = _cut(whole_NCHW, top + down, left + right, (rows, columns), augmentation.padding).float() / 255
    if augmentation.angle > 0:
        angles_N = math.radians(augmentation.angle) * (2 * angle - 1)
        box_height, box_width = reach((rows, columns), angles_N)
        centres_N2 = torch.stack(
            [
                _inside(top + rows / 2, box_height, height) + down,
                _inside(left + columns / 2, box_width, width) + right,
            ],
            dim=1,
        )
        changed = sample_turned(whole_NCHW.float() / 255, centres_N2, angles_N, (rows, columns), augmentation.padding)
        batch = torch.where((turned < TURNED_SHARE).view(-1, 1, 1, 1), changed, batch)
    for (name, change), chance in zip(SYMMETRIES.items(), flipped, strict=True):
        if name in augmentation.flips and (name != "turn" or rows == columns):
            batch = torch.where((chance < 0.5).view(-1, 1, 1, 1), change(batch), batch)
    return batch


def _cut(images_NCHW: Tensor, top_N: Tensor, left_N: Tensor, size: tuple[int, int], padding: str) -> Tensor:
    """An upright rectangle of each image, which may reach beyond it by less than the image's side."""
    count, channels, height, width = images_NCHW.shape
    rows_NH = _beyond(top_N[:, None] + torch.arange(size[0], device=top_N.device), height, padding)
    columns_NW = _beyond(left_N[:, None] + torch.arange(size[1], device=left_N.device), width, padding)
    pixels_N1P = (rows_NH[:, :, None] * width + columns_NW[:, None, :]).view(count, 1, -1)
    cut_NCP = images_NCHW.flatten(2).gather(2, pixels_N1P.expand(-1, channels, -1))
    return cut_NCP.view(count, channels, *size)


def _beyond(index: Tensor, side: int, padding: str) -> Tensor:
    """Pixel numbers that may lie outside 0..side-1, replaced by those that stand for them."""
    if padding == "reflection":
        index = torch.where(index < 0, -1 - index, index)
        index = torch.where(index >= side, 2 * side - 1 - index, index)
    return index.clamp(0, side - 1)


def _inside(centre_N: Tensor, box_N: Tensor, side: int) -> Tensor:
    """Centres moved so that boxes lie inside the image; in its middle if they are larger than it."""
    return centre_N.clamp(min=(box_N / 2).clamp(max=side / 2)).clamp(max=(side - box_N / 2).clamp(min=side / 2))
