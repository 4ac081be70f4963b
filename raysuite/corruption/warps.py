"""Fills that move pixels: the content of this or another good image, bent, from elsewhere, or in another order."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from raysuite.config.fills import Elastic, Other, Same, Shuffle
from raysuite.corruption.noise import choices, log_uniform, on_device, smooth_fields, uniform


def elastic(settings: Elastic, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """The image's own content under a smooth displacement."""
    n, size = len(rows_n), (batch_NCHW.shape[2], batch_NCHW.shape[3])
    cells_n2 = uniform((n, 1), 4.0, 10.0, generator).expand(n, 2)
    shift_n2HW = smooth_fields(cells_n2, 10, 2, size, generator)
    shift_n2HW *= uniform((n, 1, 1, 1), 0.25 * settings.max_shift, settings.max_shift, generator)
    grid = F.affine_grid(torch.eye(2, 3, device=rows_n.device).expand(n, 2, 3), [n, 1, *size], align_corners=False)
    return _read(batch_NCHW[rows_n], grid + shift_n2HW.permute(0, 2, 3, 1))


def same(settings: Same, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """Content from elsewhere in the same image, shifted, turned and scaled."""
    return _elsewhere(batch_NCHW[rows_n], settings.max_scale, generator)


def other(settings: Other, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """Content of another image of the batch, shifted, turned and scaled; of the same one in a batch of one."""
    count = len(batch_NCHW)
    ahead = torch.randint(1, max(2, count), (len(rows_n),), generator=generator, device=generator.device)
    return _elsewhere(batch_NCHW[(rows_n + ahead) % count], settings.max_scale, generator)


def shuffle(settings: Shuffle, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """The image's own tiles in another order: rows of tiles change places, and columns of tiles."""
    n, channels, (height, width) = len(rows_n), batch_NCHW.shape[1], batch_NCHW.shape[2:]
    picked = choices([1.0] * len(settings.tiles), n, generator)
    tiles_n1 = on_device([settings.tiles[index] for index in picked], rows_n.device)[:, None]
    down, across = (_shuffled(tiles_n1, min(settings.tiles), length, generator) for length in (height, width))
    index = (down[:, :, None] * width + across[:, None, :]).flatten(1)
    tiles = batch_NCHW[rows_n].flatten(2).gather(2, index[:, None].expand(n, channels, -1))
    return tiles.view(n, channels, height, width)


def _shuffled(tiles_n1: Tensor, least: int, length: int, generator: Generator) -> Tensor:
    """(n, length) places 0 … length − 1 in runs of ``tiles_n1``, the runs in random order."""
    device = tiles_n1.device
    most = -(-length // least)
    order = torch.rand((len(tiles_n1), most), generator=generator, device=device)
    # Runs that do not exist sort behind those that do.
    order += (torch.arange(most, device=device) * tiles_n1 >= length).float()
    places = torch.arange(length, device=device)
    run = order.argsort(1).gather(1, places // tiles_n1)
    return (run * tiles_n1 + places % tiles_n1).clamp(max=length - 1)


def _elsewhere(images_nCHW: Tensor, max_scale: float, generator: Generator) -> Tensor:
    n, _, height, width = images_nCHW.shape
    scale = log_uniform((n,), 1 / max_scale, max_scale, generator)
    quarter = torch.randint(4, (n,), generator=generator, device=generator.device) * (math.pi / 2)
    free = uniform((n,), -math.pi, math.pi, generator)
    # Half keep to quarter turns: a turned grid is easy to spot, the same grid out of place is not.
    angle = torch.where(uniform((n,), 0.0, 1.0, generator) < 0.5, quarter, free)
    move = uniform((n, 2), -0.9, 0.9, generator)
    return _read(images_nCHW, affine_grid(scale, angle, move, (height, width), (height, width)))


def affine_grid(
    scale_n: Tensor, angle_n: Tensor, move_n2: Tensor, size: tuple[int, int], source: tuple[int, int]
) -> Tensor:
    """Where pixels of pictures of ``size`` are read in a ``source``: turned, ``scale`` pixels apart, and shifted.

    Returns:
        (n, H, W, 2) as `torch.nn.functional.grid_sample` takes it.
    """
    cos, sin = torch.cos(angle_n) * scale_n, torch.sin(angle_n) * scale_n
    (height, width), (source_height, source_width) = size, source
    theta = torch.stack(
        [
            torch.stack([cos * width / source_width, -sin * height / source_width, move_n2[:, 0]], 1),
            torch.stack([sin * width / source_height, cos * height / source_height, move_n2[:, 1]], 1),
        ],
        1,
    )
    return F.affine_grid(theta, [len(theta), 1, height, width], align_corners=False)


def _read(images_nCHW: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images_nCHW, grid, padding_mode="reflection", align_corners=False)
