"""Shapes drawn with a pen: scratches and hairs.

A line is a row of round dots along a path. Only the pixels around its dots are looked at, which for a thin line are a
hundredth of the image.
"""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from raysuite.config.shapes import Hair, Scratch
from raysuite.corruption.frames import in_short_sides
from raysuite.corruption.noise import log_uniform, uniform

# Dots this many pixels apart leave no notches between them, at any width from 1 pixel on.
SPACING = 0.6


def scratch(settings: Scratch, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A slightly bent line with tapered ends. Its width follows from area and length, within bounds."""
    n, short = len(areas_n), min(size)
    length = short * log_uniform((n, 1), min(0.1, 0.5 * settings.max_length), settings.max_length, generator)
    area = in_short_sides(areas_n, size).view(n, 1) * short**2
    # Tapered like an ellipse it covers π/4 of length × width.
    width = (area / (length * math.pi / 4)).clamp(1.2, settings.max_width)
    t = _along(short * settings.max_length, generator.device)
    bend, wave = uniform((n, 1), -0.8, 0.8, generator), uniform((n, 1), 0.0, 0.25, generator)
    turns, phase = uniform((n, 1), 3.0, 12.0, generator), uniform((n, 1), 0.0, 2 * math.pi, generator)
    heading = bend * t + wave * torch.sin(turns * t + phase)
    taper = (1 - (2 * t - 1).square()).clamp(min=0.0).sqrt()
    return _drawn(heading, length, width * taper, settings.max_width, size, generator)


def hair(settings: Hair, size: tuple[int, int], areas_n: Tensor, generator: Generator) -> Tensor:
    """A curly line of constant small width. Its length follows from area and width, within bounds."""
    n, short = len(areas_n), min(size)
    width = uniform((n, 1), 1.0, settings.max_width, generator)
    area = in_short_sides(areas_n, size).view(n, 1) * short**2
    length = (area / width).clamp(0.1 * short, settings.max_length * short)
    t = _along(short * settings.max_length, generator.device)
    # A steady turn and three slower and faster ones, that together make at most the turn that is allowed.
    parts = uniform((n, 4), -1.0, 1.0, generator)
    parts = 2 * math.pi * settings.curl * parts / parts.abs().sum(1, keepdim=True).clamp(min=1e-6)
    heading = parts[:, :1] * t
    for wave in range(1, 4):
        phase = uniform((n, 1), 0.0, 2 * math.pi, generator)
        heading = heading + 0.5 * parts[:, wave : wave + 1] * torch.sin(2 * math.pi * wave * t + phase)
    return _drawn(heading, length, width.expand_as(heading), settings.max_width, size, generator)


def _along(longest: float, device: torch.device) -> Tensor:
    """Places along a line, from 0 to 1: as many as the longest line of so many pixels needs."""
    count = math.ceil(longest / SPACING) + 1
    return torch.linspace(0.0, 1.0, count, device=device)[None]


def _drawn(
    heading_nP: Tensor, length_n1: Tensor, width_nP: Tensor, widest: float, size: tuple[int, int], generator: Generator
) -> Tensor:
    """Lines of given headings along their way, through random points.

    Args:
        heading_nP: Direction at each dot, in radians.
        length_n1: Length of each line, in pixels.
        width_nP: Width at each dot, in pixels.
        widest: Upper bound of the widths, known on the host.
        size: Height and width of the masks.
        generator: Of places and directions.

    Returns:
        (n, H, W) masks, with a rim of one pixel.
    """
    (n, dots), (height, width) = heading_nP.shape, size
    heading_nP = heading_nP + uniform((n, 1), 0.0, 2 * math.pi, generator)
    step = length_n1 / (dots - 1)
    rows, columns = (step * heading_nP.sin()).cumsum(1), (step * heading_nP.cos()).cumsum(1)
    rows = rows - rows.mean(1, keepdim=True) + uniform((n, 1), 0.0, height, generator)
    columns = columns - columns.mean(1, keepdim=True) + uniform((n, 1), 0.0, width, generator)
    reach = math.ceil(0.5 * widest + 0.5)
    canvas = torch.zeros(n, (height + 1) * width, device=heading_nP.device)
    window = torch.arange(-reach, reach + 1, device=heading_nP.device)
    near_rows = rows.floor()[:, :, None, None] + window[:, None]
    near_columns = columns.floor()[:, :, None, None] + window
    distance = torch.hypot(near_rows + 0.5 - rows[:, :, None, None], near_columns + 0.5 - columns[:, :, None, None])
    cover = (0.5 * width_nP[:, :, None, None] + 0.5 - distance).clamp_(0.0, 1.0)
    # A line of no width, as at the tip of a scratch, leaves no trace.
    cover = cover * (width_nP[:, :, None, None] > 0.1)
    beyond = (near_rows < 0) | (near_rows >= height) | (near_columns < 0) | (near_columns >= width)
    # What lies beyond the image goes to a spare row below it.
    index = (near_rows.long() * width + near_columns.long()).masked_fill_(beyond, height * width)
    canvas.scatter_reduce_(1, index.flatten(1), cover.flatten(1), "amax")
    return canvas[:, : height * width].view(n, height, width)
