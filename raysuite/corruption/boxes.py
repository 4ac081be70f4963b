"""Shapes with corners: rectangles and scars."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from raysuite.config.shapes import Rectangle, Scar
from raysuite.corruption.frames import in_short_sides, local_frame, soft
from raysuite.corruption.noise import log_uniform, uniform


def rectangle(settings: Rectangle, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A turned rectangle, from square to oblong."""
    aspect = log_uniform((len(areas_n), 1, 1), 1.0, settings.max_aspect, generator)
    area = in_short_sides(areas_n, size)
    return _box((area * aspect).sqrt(), (area / aspect).sqrt(), size, generator)


def scar(settings: Scar, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A long thin turned rectangle, as in CutPaste. Its width follows from area and length, within bounds."""
    pixel = 1.0 / min(size)
    length = uniform((len(areas_n), 1, 1), 0.3 * settings.max_length, settings.max_length, generator)
    width = (in_short_sides(areas_n, size) / length).clamp(2.0 * pixel, settings.max_width * pixel)
    return _box(length, width, size, generator)


def _box(length: Tensor, width: Tensor, size: tuple[int, int], generator: Generator) -> Tensor:
    """Turned boxes of (n, 1, 1) lengths and widths in short sides, with a rim of 1 to 3 pixels."""
    u, v = local_frame(size, len(length), generator)
    inside = torch.minimum(0.5 * length - u.abs(), 0.5 * width - v.abs())
    return soft(inside, uniform((len(length), 1, 1), 1.0, 3.0, generator) / min(size))
