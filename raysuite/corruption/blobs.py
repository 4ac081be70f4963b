"""Shapes without corners: warped discs, pieces of smooth noise, stains."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from raysuite.config.shapes import Disc, Perlin, Stain
from raysuite.corruption.frames import in_short_sides, local_frame, soft
from raysuite.corruption.noise import log_uniform, smooth_fields, uniform


def disc(settings: Disc, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A soft disc seen through a smooth random displacement, as in Bauer's template of one warped disc."""
    n = len(areas_n)
    u, v = local_frame(size, n, generator)
    radius = (in_short_sides(areas_n, size) / math.pi).sqrt()
    u, v = u / radius, v / radius
    strength = uniform((n, 1, 1), min(0.1, settings.warp), settings.warp, generator)
    for _ in range(3):
        # A few plane waves in the disc's own frame: the smaller the disc, the finer its distortion.
        du, dv = (uniform((n, 1, 1), -2.5, 2.5, generator) for _ in range(2))
        phase, turn = (uniform((n, 1, 1), 0.0, 2 * math.pi, generator) for _ in range(2))
        wave = torch.addcmul(du * u + phase, dv, v).sin_()
        u, v = torch.addcmul(u, strength * turn.cos(), wave), torch.addcmul(v, strength * turn.sin(), wave)
    return soft(1.0 - torch.hypot(u, v), uniform((n, 1, 1), 0.05, settings.rim, generator))


def perlin(settings: Perlin, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """The highest part of smooth noise: several ragged pieces at once, of coarse or fine grain."""
    n = len(areas_n)
    cells_n2 = log_uniform((n, 2), 3.0, settings.finest, generator)
    field_nHW = smooth_fields(cells_n2, settings.finest, 1, size, generator)[:, 0]
    # The level is read off a thinned copy: sorting all pixels would cost more than drawing them.
    step = max(1, min(size) // 64)
    ordered = field_nHW[:, ::step, ::step].flatten(1).sort(1, descending=True).values
    rank = (areas_n * ordered.shape[1]).long().clamp(max=ordered.shape[1] - 1)
    level = ordered.gather(1, rank[:, None])[:, :, None]
    return soft(field_nHW - level, uniform((n, 1, 1), 0.05, settings.rim, generator))


def stain(settings: Stain, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """An ellipse with a wavy border and a sharp rim."""
    n = len(areas_n)
    u, v = local_frame(size, n, generator)
    aspect = uniform((n, 1, 1), -0.7, 0.7, generator).exp()
    radius = (in_short_sides(areas_n, size) / math.pi).sqrt()
    u, v = u / (radius * aspect), v * (aspect / radius)
    distance = torch.hypot(u, v)
    # Cosine and sine of 2, 3 … times the angle are powers of (u + iv) / |u + iv|: no arc tangent, no cosine.
    cos, sin = u / distance.clamp(min=1e-6), v / distance.clamp(min=1e-6)
    border, many_cos, many_sin = torch.ones_like(u), cos, sin
    for order in range(2, 7):
        many_cos, many_sin = many_cos * cos - many_sin * sin, many_sin * cos + many_cos * sin
        phase = uniform((n, 1, 1), 0.0, 2 * math.pi, generator)
        wave = uniform((n, 1, 1), 0.0, settings.waviness / order**0.5, generator)
        border = torch.addcmul(torch.addcmul(border, wave * phase.cos(), many_cos), wave * phase.sin(), many_sin)
    return soft(border - distance, uniform((n, 1, 1), 0.02, 0.1, generator))
