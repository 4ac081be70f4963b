"""Where a corruption lies: soft masks, each shape one function.

A shape takes the number of masks to make, their size, the wanted area of each as a share of the image, and a generator;
it gives (n, H, W) float32 masks in [0, 1], 1 inside, fading over a soft rim. All are analytic in the pixels'
coordinates, so that a batch costs a few element-wise passes on any device.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from raysuite.corruption.noise import pixel_grid, smooth_field, uniform

Shape = Callable[[tuple[int, int], Tensor, Generator], Tensor]


def _local_frame(size: tuple[int, int], n: int, generator: Generator) -> tuple[Tensor, Tensor]:
    """Coordinates along and across a random axis through a random point: two (n, H, W), in units of the short side."""
    rows, columns = pixel_grid(*size, generator.device)
    short = min(size)
    centre_row = uniform((n, 1, 1), 0.0, size[0] / short, generator)
    centre_column = uniform((n, 1, 1), 0.0, size[1] / short, generator)
    angle = uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
    dr, dc = rows - centre_row, columns - centre_column
    return torch.cos(angle) * dc + torch.sin(angle) * dr, torch.cos(angle) * dr - torch.sin(angle) * dc


def _in_short_sides(areas_n: Tensor, size: tuple[int, int]) -> Tensor:
    """Areas as shares of the image → areas in squared short sides, shaped (n, 1, 1)."""
    return (areas_n * (size[0] * size[1] / min(size) ** 2)).view(-1, 1, 1)


def _soft(signed_NHW: Tensor, fade: Tensor) -> Tensor:
    """1 where the signed field is well above 0, 0 well below, linear over a rim of relative width ``fade``."""
    return (signed_NHW / fade + 0.5).clamp(0.0, 1.0)


def disc(size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A soft disc seen through a smooth random displacement, as in Bauer's template of one warped disc."""
    n = len(areas_n)
    u, v = _local_frame(size, n, generator)
    radius = (_in_short_sides(areas_n, size) / math.pi).sqrt()
    u, v = u / radius, v / radius
    strength = uniform((n, 1, 1), 0.1, 0.5, generator)
    for _ in range(3):
        # A few plane waves in the disc's own frame: the smaller the disc, the finer its distortion.
        du, dv = (uniform((n, 1, 1), -2.5, 2.5, generator) for _ in range(2))
        phase = uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
        turn = uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
        wave = strength * torch.sin(du * u + dv * v + phase)
        u, v = u + torch.cos(turn) * wave, v + torch.sin(turn) * wave
    return _soft(1.0 - (u * u + v * v).sqrt(), uniform((n, 1, 1), 0.05, 0.4, generator))


def stain(size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """An ellipse with a wavy border and a sharp rim."""
    n = len(areas_n)
    u, v = _local_frame(size, n, generator)
    aspect = torch.exp(uniform((n, 1, 1), -0.7, 0.7, generator))
    radius = (_in_short_sides(areas_n, size) / math.pi).sqrt()
    u, v = u / (radius * aspect), v * aspect / radius
    angle, border = torch.atan2(v, u), torch.ones_like(u)
    for order in range(2, 7):
        phase = uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
        border = border + uniform((n, 1, 1), 0.0, 0.3 / order**0.5, generator) * torch.cos(order * angle + phase)
    return _soft(border - (u * u + v * v).sqrt(), uniform((n, 1, 1), 0.02, 0.1, generator))


def scratch(size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A thin bent line with tapered ends: a hair, a scratch, a thread. Its width follows from area and length."""
    n = len(areas_n)
    u, v = _local_frame(size, n, generator)
    pixel = 1.0 / min(size)
    length = uniform((n, 1, 1), 0.1, 0.8, generator)
    width = (_in_short_sides(areas_n, size) / length).clamp(1.2 * pixel, 6.0 * pixel)
    t = 2 * u / length
    bend = uniform((n, 1, 1), -0.25, 0.25, generator) * length
    wave = uniform((n, 1, 1), 0.0, 0.06, generator) * length
    turns, phase = uniform((n, 1, 1), 1.0, 6.0, generator), uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
    centre = bend * t * t + wave * torch.sin(turns * t + phase)
    taper = (1.0 - t * t).clamp(min=0.0).sqrt()
    return ((0.5 * width * taper - (v - centre).abs()) / pixel + 0.5).clamp(0.0, 1.0) * (t.abs() < 1)


def rectangle(size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A turned rectangle, from square to scar."""
    n = len(areas_n)
    u, v = _local_frame(size, n, generator)
    aspect = torch.exp(uniform((n, 1, 1), 0.0, 2.0, generator))
    area = _in_short_sides(areas_n, size)
    half_long, half_short = 0.5 * (area * aspect).sqrt(), 0.5 * (area / aspect).sqrt()
    inside = torch.minimum(half_long - u.abs(), half_short - v.abs())
    return _soft(inside, uniform((n, 1, 1), 1.0, 3.0, generator) / min(size))


def perlin(size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """The highest part of smooth noise: several ragged pieces at once, of coarse or fine grain."""
    n = len(areas_n)
    masks = []
    for index in range(n):
        cells = [int(2 + 2 ** float(uniform((1,), 0.0, 4.5, generator))) for _ in range(2)]
        field = smooth_field(1, 1, (cells[0], cells[1]), size, generator)[0, 0]
        # The level is read off a thinned copy: sorting all pixels would cost more than drawing them.
        level = torch.quantile(field[::4, ::4].flatten(), float(1.0 - areas_n[index]))
        masks.append(_soft(field - level, uniform((1, 1), 0.05, 0.4, generator)))
    return torch.stack(masks)


BY_NAME: dict[str, Shape] = {
    "disc": disc,
    "perlin": perlin,
    "stain": stain,
    "scratch": scratch,
    "rectangle": rectangle,
}
