"""What shapes have in common: coordinates of their own, and soft rims."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from raysuite.corruption.noise import uniform


def local_frame(size: tuple[int, int], n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a random axis through a random point: two (n, H, W), in units of the short side."""
    short, device = min(size), generator.device
    rows = (torch.arange(size[0], device=device) + 0.5) / short - uniform((n, 1), 0.0, size[0] / short, generator)
    columns = (torch.arange(size[1], device=device) + 0.5) / short - uniform((n, 1), 0.0, size[1] / short, generator)
    angle = uniform((n, 1), 0.0, 2 * math.pi, generator)
    cos, sin = torch.cos(angle), torch.sin(angle)
    along = (cos * columns)[:, None, :] + (sin * rows)[:, :, None]
    across = (cos * rows)[:, :, None] - (sin * columns)[:, None, :]
    return along, across


def in_short_sides(areas_n: Tensor, size: tuple[int, int]) -> Tensor:
    """Areas as shares of the image → areas in squared short sides, shaped (n, 1, 1)."""
    return (areas_n * (size[0] * size[1] / min(size) ** 2)).view(-1, 1, 1)


def soft(signed_nHW: Tensor, fade: Tensor) -> Tensor:
    """1 where the signed field is well above 0, 0 well below, linear over a rim of relative width ``fade``."""
    return torch.addcmul(signed_nHW.new_full((), 0.5), signed_nHW, 1 / fade).clamp_(0.0, 1.0)
