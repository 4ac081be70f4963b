"""Flips and crops of training images, and the question whether a category may be flipped at all."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SYMMETRIES = ("mirror", "flip", "turn")
"""Left-right, top-bottom, and a quarter turn."""


def find_symmetries(images_NCHW: Tensor, tolerance: float = 1.15) -> tuple[str, ...]:
    """Which symmetries leave the category in kind, judged from good images alone.

    An image is allowed to be mirrored, say, if mirrored images lie about as near to the others as images do: the
    median distance of a mirrored image to its nearest other image is at most ``tolerance`` times that of the image as
    it is. A regular texture passes; a part that always lies the same way does not.

    Args:
        images_NCHW: Good images, uint8; at most 64 of them are looked at, at 32 pixels a side.
        tolerance: Largest ratio of the two distances.

    Returns:
        Names out of `SYMMETRIES`, in that order. A quarter turn needs square images.
    """
    if len(images_NCHW) < 3:
        return ()
    picks = torch.linspace(0, len(images_NCHW) - 1, min(64, len(images_NCHW))).long()
    small = F.interpolate(images_NCHW[picks].float() / 255, size=(32, 32), mode="area")

    def nearest(candidates: Tensor) -> Tensor:
        distances = torch.cdist(candidates.flatten(1), small.flatten(1))
        distances.fill_diagonal_(torch.inf)
        return distances.amin(1).median()

    as_is = nearest(small).clamp(min=1e-6)
    square = images_NCHW.shape[2] == images_NCHW.shape[3]
    changed = {"mirror": small.flip(3), "flip": small.flip(2), "turn": small.transpose(2, 3).flip(3)}
    return tuple(
        name for name in SYMMETRIES if (name != "turn" or square) and bool(nearest(changed[name]) / as_is <= tolerance)
    )


def draw_batch(images_NCHW: Tensor, count: int, crop: int, symmetries: tuple[str, ...], generator: Generator) -> Tensor:
    """Random images as float32 in [0, 1], cropped to at most ``crop`` a side and turned by allowed symmetries.

    Args:
        images_NCHW: All training images, uint8, on the generator's device.
        count: How many to draw, with replacement.
        crop: Side of the square crop; sides shorter than it are kept whole.
        symmetries: As from `find_symmetries`; each is applied to an image with probability ½.
        generator: On the images' device.
    """
    device = generator.device
    _, _, height, width = images_NCHW.shape
    picks = torch.randint(len(images_NCHW), (count,), generator=generator, device=device)
    rows, columns = min(crop, height), min(crop, width)
    # One place for the whole batch: batches are many, and a single slice copies fastest.
    top = int(torch.randint(height - rows + 1, (1,), generator=generator, device=device))
    left = int(torch.randint(width - columns + 1, (1,), generator=generator, device=device))
    batch = images_NCHW[:, :, top : top + rows, left : left + columns][picks].float() / 255
    turned = torch.rand((len(SYMMETRIES), count), generator=generator, device=device) < 0.5
    for name, chosen in zip(SYMMETRIES, turned, strict=True):
        if name not in symmetries or (name == "turn" and rows != columns):
            continue
        if name == "mirror":
            changed = batch.flip(3)
        else:
            changed = batch.flip(2) if name == "flip" else batch.transpose(2, 3).flip(3)
        batch = torch.where(chosen.view(-1, 1, 1, 1), changed, batch)
    return batch
