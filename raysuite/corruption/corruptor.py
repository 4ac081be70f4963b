"""Clean batch → corrupted batch and mask: shapes × fills × opacity, then noise that the target shares.

The formula is x̂ = x + α·M ⊙ (y − x): the picture y is seen through the soft mask M with opacity α (Bauer et al.,
arXiv 2206.11723, with M real-valued; opacity and preserved noise as in arXiv 2511.07233).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from raysuite.config import FILLS, SHAPES, CorruptionConfig
from raysuite.corruption import fills, shapes
from raysuite.corruption.noise import normal, uniform

# A spot nobody could see is no lesson: below 8 of 255 grey levels it is left out.
VISIBLE = 8.0 / 255.0


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A corrupted batch.

    Attributes:
        inputs_NCHW: What the net is given: float32, noise included, not clipped.
        targets_NCHW: What it must give back: the clean images with the same noise, float32.
        mask_N1HW: Where the input was changed: bool.
    """

    inputs_NCHW: Tensor
    targets_NCHW: Tensor
    mask_N1HW: Tensor


class Corruptor:
    """Draws corruptions by the weights and ranges of a `CorruptionConfig`."""

    def __init__(self, config: CorruptionConfig) -> None:
        self.config = config
        self._shape_weights = torch.tensor(config.shapes)
        self._fill_weights = torch.tensor(config.fills)
        # Counts 1, 2, 3 … with halving probability: one defect an image is the common case in practice.
        self._count_weights = torch.tensor([0.5**k for k in range(config.max_count)])

    def __call__(self, images_NCHW: Tensor, generator: Generator) -> Corrupted:
        """Corrupt a batch on its own device.

        Args:
            images_NCHW: Clean images, float32 in [0, 1].
            generator: On the images' device; the same state gives the same corruption.
        """
        config, n = self.config, len(images_NCHW)
        counts = 1 + torch.multinomial(self._count_weights.to(generator.device), n, True, generator=generator)
        counts = torch.where(uniform((n,), 0.0, 1.0, generator) < config.clean_share, 0, counts)
        corrupted = images_NCHW.clone()
        mask_N1HW = torch.zeros_like(images_NCHW[:, :1], dtype=torch.bool)
        for spot in range(config.max_count):
            chosen = torch.nonzero(counts > spot).flatten()
            if len(chosen) == 0:
                break
            before = corrupted[chosen]
            after, where = self._spots(before, images_NCHW, generator)
            corrupted[chosen] = after
            mask_N1HW[chosen] |= where
        sigma = uniform((n, 1, 1, 1), 0.0, config.noise, generator)
        noise_NCHW = sigma * normal(tuple(images_NCHW.shape), generator)
        return Corrupted(corrupted + noise_NCHW, images_NCHW + noise_NCHW, mask_N1HW)

    def _spots(self, images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """One more spot on every image given: the images after it, and where it can be seen."""
        config, n = self.config, len(images_NCHW)
        size = (images_NCHW.shape[2], images_NCHW.shape[3])
        device = generator.device
        areas = torch.exp(uniform((n,), math.log(config.min_area), math.log(config.max_area), generator))
        shape_of = torch.multinomial(self._shape_weights.to(device), n, True, generator=generator)
        fill_of = torch.multinomial(self._fill_weights.to(device), n, True, generator=generator)
        masks_NHW = torch.zeros(n, *size, device=device)
        pictures_NCHW = torch.empty_like(images_NCHW)
        for index, name in enumerate(SHAPES):
            rows = torch.nonzero(shape_of == index).flatten()
            if len(rows):
                masks_NHW[rows] = shapes.BY_NAME[name](size, areas[rows], generator)
        for index, name in enumerate(FILLS):
            rows = torch.nonzero(fill_of == index).flatten()
            if len(rows):
                pictures_NCHW[rows] = fills.BY_NAME[name](images_NCHW[rows], pool_NCHW, generator)
        # On a grey category a coloured spot would be given away by its colour alone.
        grey = (images_NCHW.amax(1) - images_NCHW.amin(1)).amax((1, 2)) < 2 / 255
        pictures_NCHW = torch.where(grey.view(-1, 1, 1, 1), pictures_NCHW.mean(1, keepdim=True), pictures_NCHW)
        opaque = uniform((n, 1, 1, 1), 0.0, 1.0, generator) < config.opaque_share
        opacity = torch.where(opaque, 1.0, uniform((n, 1, 1, 1), config.min_opacity, 1.0, generator))
        masks_N1HW = masks_NHW[:, None]
        change_NCHW = opacity * masks_N1HW * (pictures_NCHW - images_NCHW)
        visible = change_NCHW.abs().amax((1, 2, 3)).view(-1, 1, 1, 1) >= VISIBLE
        return images_NCHW + change_NCHW * visible, (masks_N1HW > 0.1) & visible
