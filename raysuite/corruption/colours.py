"""Fills without structure: a colour, a gradient between two."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

from raysuite.config.fills import Colour, Gradient
from raysuite.corruption.noise import pixel_grid, uniform


def colour(settings: Colour, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """One random colour."""
    return uniform((len(rows_n), 3, 1, 1), 0.0, 1.0, generator).expand(-1, -1, *batch_NCHW.shape[2:])


def gradient(settings: Gradient, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """A linear gradient: a random colour in the middle of the image, another one towards its sides."""
    n, (height, width) = len(rows_n), batch_NCHW.shape[2:]
    rows, columns = pixel_grid(height, width, batch_NCHW.device)
    middle = uniform((n, 3, 1, 1), 0.0, 1.0, generator)
    step = uniform((n, 3, 1, 1), -settings.max_step, settings.max_step, generator)
    angle = uniform((n, 1, 1, 1), 0.0, 2 * math.pi, generator)
    slope = angle.cos() * (rows - rows.mean()) + angle.sin() * (columns - columns.mean())
    return torch.addcmul(middle, step, slope).clamp_(0.0, 1.0)
