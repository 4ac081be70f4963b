"""Random numbers and smooth random fields, the raw material of shapes and fills.

All come from the one generator given. What decides how much work there is (how many spots, of which kind) is drawn on
the host, so that a GPU is never waited for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

# Standard deviation of normal values under a cubic B-spline in two dimensions, averaged over places: its inverse
# brings a field back to unit variance. Per dimension the mean of the squared kernel is 151 / 315.
_SPLINE_DEVIATION = 151 / 315


def uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    """Uniform float32 values in [low, high) on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def log_uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    """Float32 values in [low, high), the logarithms of which are uniform, on the generator's device; 0 < low."""
    return low * (high / low) ** torch.rand(shape, generator=generator, device=generator.device)


def normal(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Standard normal float32 values on the generator's device."""
    return torch.randn(shape, generator=generator, device=generator.device)


def choices(weights: Sequence[float], count: int, generator: Generator) -> list[int]:
    """Indices drawn by weight, on the host.

    They are decided by the generator's state, which is at hand on the host for any device, and move it on.
    """
    if count == 0:
        return []
    state = generator.get_state().numpy().tobytes()
    torch.rand(1, generator=generator, device=generator.device)
    seed = int.from_bytes(hashlib.blake2b(state, digest_size=7).digest(), "little")
    drawn = torch.multinomial(
        torch.tensor(weights, dtype=torch.float64), count, replacement=True, generator=Generator().manual_seed(seed)
    )
    return [int(index) for index in drawn.tolist()]


def on_device(values: Sequence[int], device: torch.device) -> Tensor:
    """Whole numbers as an int64 tensor, sent without waiting for the device."""
    tensor = torch.tensor(values, dtype=torch.int64)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def smooth_fields(cells_n2: Tensor, most: float, channels: int, size: tuple[int, int], generator: Generator) -> Tensor:
    """Value noise: normal values on coarse grids, joined by cubic B-splines; each row's grid has its own spacing.

    Interpolation is written as two products of matrices: rows with different grids need no loop.

    Args:
        cells_n2: How many cells of the grid each field's height and width span, 1 or more, on the generator's device.
        most: Upper bound of ``cells_n2``, known on the host.
        channels: Independent fields a row.
        size: Height and width wanted.
        generator: Of the values.

    Returns:
        (n, channels, H, W) float32, of about unit variance, smooth to the second derivative.
    """
    nodes = int(most) + 4
    grid = normal((len(cells_n2), channels, nodes, nodes), generator) / _SPLINE_DEVIATION
    down, across = (_spline(cells_n2[:, axis], nodes, size[axis])[:, None] for axis in (0, 1))
    return down @ (grid @ across.transpose(2, 3))


def _spline(cells_n: Tensor, nodes: int, length: int) -> Tensor:
    """(n, length, nodes) weights of a grid's nodes at evenly spaced places."""
    places = (torch.arange(length, device=cells_n.device) + 0.5) / length
    at = 1 + cells_n.view(-1, 1, 1) * places[:, None]
    distance = (at - torch.arange(nodes, device=cells_n.device)).abs()
    near = 2 / 3 - distance.square() * (1 - 0.5 * distance)
    far = (2 - distance).clamp(min=0) ** 3 / 6
    return torch.where(distance < 1, near, far)


def pixel_grid(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Row and column of every pixel's centre in units of the shorter side: two (H, W) float32 tensors."""
    short = min(height, width)
    rows = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) / short
    columns = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) / short
    return torch.meshgrid(rows, columns, indexing="ij")  # type: ignore[return-value]
