"""Clean batch → corrupted batch and mask: shapes × fills × opacity, then noise that the target shares.

The formula is x̂ = x + α·M ⊙ (y − x): the picture y is seen through the soft mask M with opacity α (Bauer et al.,
arXiv 2206.11723, with M real-valued; opacity and preserved noise as in arXiv 2511.07233).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from raysuite.config import FILLS, SHAPES, CorruptionConfig
from raysuite.corruption import fills, shapes
from raysuite.corruption.noise import choices, log_uniform, normal, on_device, uniform
from raysuite.corruption.textures import Photographs

# A spot nobody could see is no lesson: below 8 of 255 grey levels it is left out.
VISIBLE = 8.0 / 255.0


@dataclass(frozen=True, slots=True)
class Corrupted:
    """A corrupted batch.

    Attributes:
        inputs_NCHW: What the net is given: float32, noise included, not clipped.
        targets_NCHW: What it must give back, float32: the clean images, with the same noise if that is preserved.
        mask_N1HW: Where the input was changed, noise apart: bool.
    """

    inputs_NCHW: Tensor
    targets_NCHW: Tensor
    mask_N1HW: Tensor


class Corruptor:
    """Draws corruptions by the weights and ranges of a `CorruptionConfig`."""

    def __init__(self, config: CorruptionConfig) -> None:
        """Get ready; photographs for textures are read here.

        Raises:
            ConfigError: Textures are to come from a folder that has no photograph.
        """
        self.config = config
        self._shape_weights = [getattr(config.shapes, name).weight for name in SHAPES]
        self._fill_weights = [getattr(config.fills, name).weight for name in FILLS]
        # Counts 1, 2, 3 … with halving probability: one defect an image is the common case in practice.
        halving = [0.5**k for k in range(config.max_count)]
        share = (1 - config.clean_share) / sum(halving)
        self._count_weights = [config.clean_share, *(share * weight for weight in halving)]
        self._fills = dict(fills.BY_NAME)
        if config.fills.texture.folder and config.fills.texture.weight > 0:
            self._fills["texture"] = Photographs(config.fills.texture.folder)

    def __call__(self, images_NCHW: Tensor, generator: Generator) -> Corrupted:
        """Corrupt a batch on its own device.

        Args:
            images_NCHW: Clean images, float32 in [0, 1].
            generator: On the images' device; the same state gives the same corruption.
        """
        config, n = self.config, len(images_NCHW)
        corrupted_NCHW, mask_N1HW = self._spotted(images_NCHW, generator)
        if config.noise == "none":
            return Corrupted(corrupted_NCHW, images_NCHW, mask_N1HW)
        sigma = uniform((n, 1, 1, 1), 0.0, config.noise_level, generator)
        noise_NCHW = normal(tuple(images_NCHW.shape), generator).mul_(sigma)
        targets_NCHW = images_NCHW + noise_NCHW if config.noise == "preserved" else images_NCHW
        return Corrupted(corrupted_NCHW.add_(noise_NCHW), targets_NCHW, mask_N1HW)

    def _spotted(self, images_NCHW: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """The images with all their spots, and where those can be seen.

        The spots of the whole batch are drawn at once, family by family, and laid on in rounds: each image's first
        spot, each one's second, and so on.
        """
        config, device = self.config, images_NCHW.device
        corrupted_NCHW = images_NCHW.clone()
        mask_N1HW = torch.zeros_like(images_NCHW[:, :1], dtype=torch.bool)
        counts = choices(self._count_weights, len(images_NCHW), generator)
        rounds = [[image for image, count in enumerate(counts) if count > done] for done in range(max(counts))]
        rows = [image for in_round in rounds for image in in_round]
        if not rows:
            return corrupted_NCHW, mask_N1HW
        size = (images_NCHW.shape[2], images_NCHW.shape[3])
        areas_S = log_uniform((len(rows),), config.min_area, config.max_area, generator)
        rows_S = on_device(rows, device)

        def drawn(weights: list[float], draw: Callable[[int, Tensor], Tensor]) -> Tensor:
            """Every spot's mask or picture, family by family, in the order of the spots."""
            family_of = choices(weights, len(rows), generator)
            by_family = sorted(range(len(rows)), key=family_of.__getitem__)
            order = on_device(by_family, device)
            groups = torch.split(order, [family_of.count(family) for family in range(len(weights))])
            parts = [draw(family, group) for family, group in enumerate(groups) if len(group)]
            out = torch.empty((len(rows), *parts[0].shape[1:]), device=device)
            return out.index_copy_(0, order, torch.cat(parts))

        def mask(family: int, spots_n: Tensor) -> Tensor:
            name = SHAPES[family]
            return shapes.BY_NAME[name](getattr(config.shapes, name), size, areas_S[spots_n], generator)

        def picture(family: int, spots_n: Tensor) -> Tensor:
            name = FILLS[family]
            return self._fills[name](getattr(config.fills, name), images_NCHW, rows_S[spots_n], generator)

        masks_S1HW = drawn(self._shape_weights, mask)[:, None]
        pictures_SCHW = drawn(self._fill_weights, picture)
        # On a grey category a coloured spot would be given away by its colour alone. One channel, not the mean of
        # three: means would crowd about the middle, and black and white spots be missing.
        grey_N = (images_NCHW.amax(1) - images_NCHW.amin(1)).amax((1, 2)) < 2 / 255
        pictures_SCHW = torch.where(grey_N[rows_S].view(-1, 1, 1, 1), pictures_SCHW[:, :1], pictures_SCHW)
        opaque_S = uniform((len(rows),), 0.0, 1.0, generator) < config.opaque_share
        opacity_S = uniform((len(rows),), config.min_opacity, 1.0, generator).masked_fill_(opaque_S, 1.0)
        sizes = [len(in_round) for in_round in rounds]
        parts = (rows_S, masks_S1HW, pictures_SCHW, opacity_S.view(-1, 1, 1, 1))
        spots = zip(*(torch.split(part, sizes) for part in parts), strict=True)
        for images_n, masks_n1HW, pictures_nCHW, opacity_n111 in spots:
            before_nCHW = corrupted_NCHW[images_n]
            change_nCHW = (pictures_nCHW - before_nCHW).mul_(opacity_n111 * masks_n1HW)
            visible = change_nCHW.abs().amax((1, 2, 3)).view(-1, 1, 1, 1) >= VISIBLE
            corrupted_NCHW[images_n] = before_nCHW.addcmul_(change_nCHW, visible.float())
            mask_N1HW[images_n] |= (masks_n1HW > 0.1) & visible
        return corrupted_NCHW, mask_N1HW
