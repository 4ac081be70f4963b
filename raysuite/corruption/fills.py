"""What a corruption shows instead of the image: whole pictures to be seen through a mask, each fill one function.

A fill takes the images it replaces, (n, 3, H, W) float32 in [0, 1], the pool of good images it may borrow from, and a
generator; it gives (n, 3, H, W) float32 in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from raysuite.corruption.noise import normal, pixel_grid, smooth_field, uniform

Fill = Callable[[Tensor, Tensor, Generator], Tensor]


def _base_grid(n: int, height: int, width: int, device: torch.device) -> Tensor:
    theta = torch.eye(2, 3, device=device).expand(n, 2, 3)
    return F.affine_grid(theta, [n, 3, height, width], align_corners=False)


def elastic(images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """The image's own content, bent by a smooth displacement of up to a tenth of the side."""
    n, _, height, width = images_NCHW.shape
    cells = int(uniform((1,), 4.0, 10.0, generator))
    shift = smooth_field(n, 2, (cells, cells), (height, width), generator)
    amplitude = uniform((n, 1, 1, 1), 0.03, 0.12, generator)
    grid = _base_grid(n, height, width, images_NCHW.device) + (amplitude * shift).permute(0, 2, 3, 1)
    return F.grid_sample(images_NCHW, grid, padding_mode="reflection", align_corners=False)


def other(images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> Tensor:
    """Content from elsewhere in this or another good image: shifted, turned and scaled."""
    n, _, height, width = images_NCHW.shape
    picks = torch.randint(len(pool_NCHW), (n,), generator=generator, device=generator.device)
    scale = torch.exp(uniform((n,), -0.35, 0.35, generator))
    quarter = torch.randint(4, (n,), generator=generator, device=generator.device) * (math.pi / 2)
    free = uniform((n,), -math.pi, math.pi, generator)
    # Half keep to quarter turns: a turned grid is easy to spot, the same grid out of place is not.
    angle = torch.where(uniform((n,), 0.0, 1.0, generator) < 0.5, quarter, free)
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    ratio = height / width
    move = uniform((n, 2), -0.9, 0.9, generator)
    theta = torch.stack(
        [torch.stack([cos, -sin * ratio, move[:, 0]], 1), torch.stack([sin / ratio, cos, move[:, 1]], 1)], 1
    )
    grid = F.affine_grid(theta, [n, 3, height, width], align_corners=False)
    return F.grid_sample(pool_NCHW[picks], grid, padding_mode="reflection", align_corners=False)


def texture(images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """A procedural texture in two or more random colours: grain, clouds, stripes or cells."""
    n, _, height, width = images_NCHW.shape
    rows, columns = pixel_grid(height, width, images_NCHW.device)
    fields = []
    for _ in range(n):
        kind = int(torch.randint(4, (1,), generator=generator, device=generator.device))
        if kind == 0:
            field = normal((height, width), generator)
        elif kind == 1:
            field = torch.zeros(height, width, device=images_NCHW.device)
            for octave in range(1, 6):
                cells = (2**octave + 1, 2**octave + 1)
                field = field + smooth_field(1, 1, cells, (height, width), generator)[0, 0] / octave
        else:
            angle = float(uniform((1,), 0.0, math.pi, generator))
            frequency = float(uniform((1,), 4.0, 40.0, generator)) * 2 * math.pi
            along = math.cos(angle) * rows + math.sin(angle) * columns
            across = math.cos(angle) * columns - math.sin(angle) * rows
            bend = smooth_field(1, 1, (5, 5), (height, width), generator)[0, 0] * float(
                uniform((1,), 0, 1.5, generator)
            )
            field = torch.sin(frequency * along + bend)
            if kind == 3:
                field = field * torch.sin(frequency * across + bend)
        fields.append((field - field.mean()) / field.std().clamp(min=1e-6))
    share = torch.sigmoid(torch.stack(fields)[:, None] * uniform((n, 1, 1, 1), 0.5, 4.0, generator))
    first, second = uniform((n, 3, 1, 1), 0.0, 1.0, generator), uniform((n, 3, 1, 1), 0.0, 1.0, generator)
    return first + share * (second - first)


def colour(images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """A constant colour or a linear gradient between two."""
    n, _, height, width = images_NCHW.shape
    rows, columns = pixel_grid(height, width, images_NCHW.device)
    first = uniform((n, 3, 1, 1), 0.0, 1.0, generator)
    step = uniform((n, 3, 1, 1), -0.6, 0.6, generator) * (uniform((n, 1, 1, 1), 0.0, 1.0, generator) < 0.5)
    angle = uniform((n, 1, 1, 1), 0.0, 2 * math.pi, generator)
    return (first + step * (torch.cos(angle) * rows + torch.sin(angle) * columns)).clamp(0.0, 1.0)


def tone(images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """The image's own content, lighter, darker, of another gamma or tint, or blurred."""
    n = len(images_NCHW)
    gain = torch.exp(uniform((n, 1, 1, 1), -0.5, 0.5, generator))
    tint = uniform((n, 3, 1, 1), -0.15, 0.15, generator)
    offset = uniform((n, 1, 1, 1), -0.2, 0.2, generator)
    gamma = torch.exp(uniform((n, 1, 1, 1), -0.6, 0.6, generator))
    toned = (images_NCHW.clamp(min=1e-4) ** gamma * gain + offset + tint).clamp(0.0, 1.0)
    kernel = 2 * int(uniform((1,), 1.0, 6.0, generator)) + 1
    blurred = F.avg_pool2d(images_NCHW, kernel, 1, kernel // 2, count_include_pad=False)
    return torch.where(uniform((n, 1, 1, 1), 0.0, 1.0, generator) < 0.3, blurred, toned)


def shuffle(images_NCHW: Tensor, pool_NCHW: Tensor, generator: Generator) -> Tensor:  # noqa: ARG001
    """The image's own tiles in another order, or its pixels under strong noise."""
    n, _, height, width = images_NCHW.shape
    tile = (4, 8, 16)[int(torch.randint(3, (1,), generator=generator, device=generator.device))]
    rows = torch.randperm(-(-height // tile), generator=generator, device=generator.device)
    columns = torch.randperm(-(-width // tile), generator=generator, device=generator.device)
    row_of = (rows[:, None] * tile + torch.arange(tile, device=rows.device)).flatten()[:height].clamp(max=height - 1)
    column_of = (
        (columns[:, None] * tile + torch.arange(tile, device=rows.device)).flatten()[:width].clamp(max=width - 1)
    )
    tiles = images_NCHW[:, :, row_of][:, :, :, column_of]
    noisy = images_NCHW + normal((n, 1, height, width), generator) * uniform((n, 1, 1, 1), 0.1, 0.4, generator)
    return torch.where(uniform((n, 1, 1, 1), 0.0, 1.0, generator) < 0.5, tiles, noisy.clamp(0.0, 1.0))


BY_NAME: dict[str, Fill] = {
    "elastic": elastic,
    "other": other,
    "texture": texture,
    "colour": colour,
    "tone": tone,
    "shuffle": shuffle,
}
