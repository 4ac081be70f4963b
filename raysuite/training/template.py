"""What training images look like on average, place by place: seen beside each image by nets of things that lie alike.

A convolution does not know where it is. On a part that always lies the same way it would have to find out from what is
around a hole what belongs into it; the mean of the good images tells it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from raysuite.errors import ConfigError
from raysuite.training.augmentation import FEWEST, Augmentation
from raysuite.training.batches import draw_batch

ALIKE = 0.05
"""Images lie alike if they vary about their mean by at most this share of what the mean varies by from place to place.

Of parts that lie a little differently each time the mean is a blur, which tells a net less than it misleads it.
"""

MOST_IMAGES = 256
"""At most so many images are looked at, evenly spread over all."""

DRAWS = 256
"""So many augmented images are averaged: a change that leaves the category in kind is made to the template as well."""

BATCH = 4
"""Few at once: large images shall not need more memory here than in a step of training."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template, or why there is none.

    Attributes:
        image_CHW: (3, H, W) float32 in [0, 1], on the images' device; ``None`` for none.
        reason: A few words.
    """

    image_CHW: Tensor | None
    reason: str


def make_template(
    setting: Literal["auto", "on", "off"], images_NCHW: Tensor, crop: int, augmentation: Augmentation
) -> Template:
    """The mean of augmented training images, where it is of use.

    Args:
        setting: ``model.template``. With ``auto`` there is one if training sees images whole, as it does square ones,
            and they lie alike.
        images_NCHW: Good training images, uint8.
        crop: Side of the square crops that training sees.
        augmentation: What is done to them.

    Raises:
        ConfigError: One is asked for, but training sees crops, which have no place.
    """
    height, width = images_NCHW.shape[2:]
    whole = crop >= max(height, width)
    if setting == "on" and not whole:
        raise ConfigError(
            f"model.template is on, but training sees crops of {crop} × {crop} of images of {height} × {width}: "
            "it must be off or auto; only square images are seen whole"
        )
    if setting == "off":
        return Template(None, "set to off")
    if not whole:
        return Template(None, f"training sees crops of {crop} × {crop}, which have no place")
    if setting == "on":
        return Template(_mean(images_NCHW, crop, augmentation), "set to on")
    if len(images_NCHW) < FEWEST:
        return Template(None, f"fewer than {FEWEST} images")
    share = unlikeness(images_NCHW)
    reason = f"images vary about their mean by {share:.3f} of what it varies by, limit {ALIKE}"
    return Template(_mean(images_NCHW, crop, augmentation) if share <= ALIKE else None, reason)


def unlikeness(images_NCHW: Tensor) -> float:
    """The variance of images about their mean image, over that of the mean image from place to place; as they are.

    0 for images that are all the same, and large for a texture, whose mean is plain.

    Args:
        images_NCHW: uint8, one or more.
    """
    picks = torch.linspace(0, len(images_NCHW) - 1, min(MOST_IMAGES, len(images_NCHW))).round().long()
    # One at a time and on the CPU: large images need little memory so, and every machine decides alike.
    sums_CHW, squares_CHW = torch.zeros((2, *images_NCHW.shape[1:]), dtype=torch.float64)
    for pick in picks.tolist():
        image_CHW = images_NCHW[pick].cpu().double() / 255
        sums_CHW += image_CHW
        squares_CHW += image_CHW.square()
    mean_CHW = sums_CHW / len(picks)
    about = (squares_CHW / len(picks) - mean_CHW.square()).mean()
    across = mean_CHW.var((1, 2), unbiased=False).mean()
    return float(about / across.clamp(min=1e-9))


def _mean(images_NCHW: Tensor, crop: int, augmentation: Augmentation) -> Tensor:
    # A generator of its own, always the same: several workers, and a training that goes on, see one template.
    generator = torch.Generator(images_NCHW.device).manual_seed(0)
    total_CHW = torch.zeros(images_NCHW.shape[1:], device=images_NCHW.device)
    for _ in range(DRAWS // BATCH):
        total_CHW += draw_batch(images_NCHW, BATCH, crop, augmentation, generator).sum(0)
    return total_CHW / DRAWS
