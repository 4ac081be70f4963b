"""The fill `texture`: pictures that have nothing to do with the image, drawn or taken out of photographs."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from raysuite.config.fills import Texture
from raysuite.corruption.noise import choices, log_uniform, normal, pixel_grid, smooth_fields, uniform
from raysuite.corruption.photographs import SIDE, load_photographs
from raysuite.corruption.warps import affine_grid

Size = tuple[int, int]


def texture(settings: Texture, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """A drawn texture of random colours: grain, clouds, stripes or cells."""
    size = (batch_NCHW.shape[2], batch_NCHW.shape[3])
    drawn = choices([1.0] * len(_DRAWN), len(rows_n), generator)
    # Which texture falls to which spot is all the same, so that spots of one kind may stand together.
    fields = [draw(drawn.count(kind), size, generator) for kind, draw in enumerate(_DRAWN) if kind in drawn]
    field_n1HW = torch.cat(fields)[:, None]
    contrast = log_uniform((len(rows_n), 1, 1, 1), 0.7, 4.0, generator)
    share = field_n1HW.mul_(contrast).sigmoid_()
    first, second = (uniform((len(rows_n), 3, 1, 1), 0.0, 1.0, generator) for _ in range(2))
    return torch.addcmul(first, share, second - first)


def _grain(n: int, size: Size, generator: Generator) -> Tensor:
    """White noise, of one to three pixels a grain."""
    coarse = 1 + choices([2.0, 1.0, 1.0], 1, generator)[0]
    field = normal((n, -(-size[0] // coarse), -(-size[1] // coarse)), generator)
    return field.repeat_interleave(coarse, 1).repeat_interleave(coarse, 2)[:, : size[0], : size[1]].contiguous()


def _clouds(n: int, size: Size, generator: Generator) -> Tensor:
    """Octaves of smooth noise, the finer the fainter."""
    field = torch.zeros(n, *size, device=generator.device)
    for octave in range(1, 6):
        cells_n2 = torch.full((n, 2), 2.0**octave, device=generator.device)
        field += smooth_fields(cells_n2, 2.0**octave, 1, size, generator)[:, 0] / octave
    return field / 1.2


def _stripes(n: int, size: Size, generator: Generator) -> Tensor:
    """Waves of one direction, slightly bent."""
    along, _ = _bent(n, size, generator)
    return 1.4 * along.sin_()


def _cells(n: int, size: Size, generator: Generator) -> Tensor:
    """Waves of two directions, multiplied."""
    along, across = _bent(n, size, generator)
    return 2.0 * along.sin_() * across.sin_()


def _bent(n: int, size: Size, generator: Generator) -> tuple[Tensor, Tensor]:
    """Phases of two crossing waves of 4 to 40 periods a shorter side, at most one in four pixels: (n, H, W) each."""
    rows, columns = pixel_grid(*size, generator.device)
    angle = uniform((n, 1, 1), 0.0, math.pi, generator)
    most = max(4.0, min(40.0, min(size) / 4))
    frequency = 2 * math.pi * log_uniform((n, 1, 1), 4.0, most, generator)
    cells_n2 = torch.full((n, 2), 4.0, device=generator.device)
    bend = smooth_fields(cells_n2, 4, 1, size, generator)[:, 0] * uniform((n, 1, 1), 0.0, 1.5, generator)
    cos, sin = frequency * angle.cos(), frequency * angle.sin()
    return cos * rows + sin * columns + bend, cos * columns - sin * rows + bend


_DRAWN = (_grain, _clouds, _stripes, _cells)


class Photographs:
    """The fill `texture` out of a folder of photographs, which it keeps on the device that it is used on."""

    def __init__(self, folder: str) -> None:
        """Read the folder.

        Raises:
            ConfigError: The folder is missing or has no photograph that can be read.
        """
        self._photographs = torch.from_numpy(load_photographs(folder))

    def __call__(self, settings: Texture, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:  # noqa: ARG002
        """Pieces of photographs, turned, scaled and mirrored, in other colours, a fifth of them inverted."""
        n, device = len(rows_n), batch_NCHW.device
        self._photographs = self._photographs.to(device)
        size, source = (batch_NCHW.shape[2], batch_NCHW.shape[3]), (SIDE, SIDE)
        picked = torch.randint(len(self._photographs), (n,), generator=generator, device=device)
        photographs = self._photographs[picked].permute(0, 3, 1, 2).float() / 255
        mirrored = uniform((n, 1, 1, 1), 0.0, 1.0, generator) < 0.5
        photographs = torch.where(mirrored, photographs.flip(3), photographs)
        scale, angle = log_uniform((n,), 0.5, 2.0, generator), uniform((n,), -math.pi, math.pi, generator)
        grid = affine_grid(scale, angle, uniform((n, 2), -0.9, 0.9, generator), size, source)
        pieces = F.grid_sample(photographs, grid, padding_mode="reflection", align_corners=False)
        gain = log_uniform((n, 1, 1, 1), 0.7, 1.4, generator)
        gain = torch.where(uniform((n, 1, 1, 1), 0.0, 1.0, generator) < 0.2, -gain, gain)
        # Contrast turns about the middle, so that an inverted piece stays in range.
        tint = uniform((n, 3, 1, 1), -0.15, 0.15, generator)
        return torch.addcmul(0.5 + tint, pieces - 0.5, gain).clamp_(0.0, 1.0)
