"""Small sets of good images whose symmetries are known."""

import math

import torch
import torch.nn.functional as F


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def to_bytes(grey_N1HW):
    return (grey_N1HW.clamp(0, 1) * 255).round().to(torch.uint8).expand(-1, 3, -1, -1).contiguous()


def noise(count=24, size=(64, 64), seed=3):
    """Isotropic smooth noise: a texture without a lay."""
    raw = torch.randn(count, 1, size[0] + 4, size[1] + 4, generator=generator(seed))
    smooth = F.avg_pool2d(F.avg_pool2d(raw, 3, 1), 3, 1)
    return to_bytes(0.5 + 0.5 * smooth)


def stripes(count=24, size=(64, 64), period=9.0, skew=0.0, seed=5):
    """Horizontal stripes with a random phase and a little noise: a lay, and no place. Skew makes one side steeper."""
    phase = 2 * math.pi * torch.rand(count, 1, 1, 1, generator=generator(seed))
    rows = torch.arange(size[0]).view(1, 1, -1, 1) * (2 * math.pi / period)
    grain = 0.02 * torch.randn(count, 1, *size, generator=generator(seed + 1))
    wave = torch.sin(rows + phase) + skew * torch.sin(2 * (rows + phase))
    return to_bytes(0.5 + 0.3 * wave + grain)


def fine_lay(count=24, size=(128, 128), seed=7):
    """Noise drawn out along the rows, which is plain grey at 32 pixels a side."""
    raw = torch.randn(count, 1, size[0], size[1] + 4, generator=generator(seed))
    return to_bytes(0.5 + 0.3 * F.avg_pool2d(raw, (1, 5), stride=1))


def parts(count=24, size=(64, 64), jitter=0.0, seed=4):
    """A dark bracket on a plain ground that always lies the same way, moved by up to ``jitter`` of the side."""
    height, width = size
    y = torch.arange(height).view(1, 1, -1, 1) / height
    x = torch.arange(width).view(1, 1, 1, -1) / width
    moves = jitter * (2 * torch.rand(2, count, 1, 1, 1, generator=generator(seed)) - 1)
    y, x = y - moves[0], x - moves[1]
    upright = (y > 0.2) & (y < 0.75) & (x > 0.2) & (x < 0.4)
    arm = (y > 0.2) & (y < 0.38) & (x > 0.2) & (x < 0.7)
    grain = 0.015 * torch.randn(count, 1, height, width, generator=generator(seed + 1))
    return to_bytes(0.8 - 0.65 * (upright | arm).float() + grain)


def rings(count=24, side=64, seed=6):
    """Round parts in the middle of a plain ground, each with specks of its own."""
    y, x = torch.meshgrid(*[torch.arange(side) - side / 2 + 0.5] * 2, indexing="ij")
    radius = (x.square() + y.square()).sqrt() / side
    disc = 0.75 - 0.5 * torch.sigmoid((0.36 - radius) * side) + 0.3 * torch.sigmoid((0.2 - radius) * side)
    specks = F.avg_pool2d(torch.randn(count, 1, side + 4, side + 4, generator=generator(seed)), 5, 1)
    return to_bytes(disc + 0.3 * specks * (radius < 0.36))
