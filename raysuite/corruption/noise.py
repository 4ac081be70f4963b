"""Smooth random fields, the raw material of shapes and fills."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor


def uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    """Uniform float32 values in [low, high) on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Standard normal float32 values on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)


def smooth_field(
    count: int, channels: int, cells: tuple[int, int], size: tuple[int, int], generator: Generator
) -> Tensor:
    """Value noise: normal values on a coarse grid of ``cells``, interpolated to ``size``.

    Returns:
        (count, channels, H, W) float32, about unit variance at the grid's points.
    """
    grid = normal((count, channels, *cells), generator)
    return F.interpolate(grid, size=size, mode="bicubic", align_corners=True)


def pixel_grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel's centre in units of the shorter side: two (H, W) float32 tensors."""
    short = min(height, width)
    rows = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / short
    columns = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / short
    return torch.meshgrid(rows, columns, indexing="ij")  # type: ignore[return-value]
