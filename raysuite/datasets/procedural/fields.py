"""What the procedural scenes are made of: coordinates, random fields, soft edges, blobs and strokes.

Lengths are shares of the image's side, so that a scene looks the same at every size. Arrays are float32.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def coordinates(size: int) -> tuple[Array, Array]:
    """Pixel centres ``(y_HW, x_HW)`` of a square image, in 0..1."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    y_HW, x_HW = np.meshgrid(steps, steps, indexing="ij")
    return y_HW.astype(np.float32), x_HW.astype(np.float32)


def smooth_noise(rng: np.random.Generator, size: int, scale_y: float, scale_x: float | None = None) -> Array:
    """Gaussian noise blurred by a Gaussian, with mean 0 and standard deviation 1, shape (size, size).

    Args:
        rng: Source of randomness.
        size: Pixels a side.
        scale_y: Standard deviation of the blur down the image.
        scale_x: The same across the image; by default as down.
    """
    # In the frequency domain the blur costs the same at every scale. It wraps around, which no scene shows.
    sigma_y, sigma_x = scale_y * size, (scale_y if scale_x is None else scale_x) * size
    f_y = np.fft.fftfreq(size)[:, None]
    f_x = np.fft.rfftfreq(size)[None, :]
    transfer = np.exp(-2 * np.pi**2 * ((sigma_y * f_y) ** 2 + (sigma_x * f_x) ** 2))
    transfer[0, 0] = 0.0
    field_HW = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * transfer, s=(size, size))
    return np.asarray(field_HW / field_HW.std(), dtype=np.float32)


def ramp(values: npt.NDArray[np.floating], low: float, high: float) -> Array:
    """0 below ``low``, 1 above ``high``, and a smooth cubic between: an edge without stairs."""
    t = np.clip((values - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), dtype=np.float32)


def lighting(rng: np.random.Generator, size: int, strength: float) -> Array:
    """Uneven light: a gain near 1 with a random slope over the image of about ``strength``, shape (size, size)."""
    y_HW, x_HW = coordinates(size)
    angle = rng.uniform(0.0, 2 * np.pi)
    slope_HW = np.cos(angle) * (x_HW - 0.5) + np.sin(angle) * (y_HW - 0.5)
    return np.asarray(1.0 + strength * (rng.uniform(-1.0, 1.0) + rng.uniform(0.3, 1.0) * slope_HW), dtype=np.float32)


def blob(rng: np.random.Generator, size: int, center: tuple[float, float], radius: float, softness: float) -> Array:
    """A patch with an irregular outline: 1 inside, 0 outside, shape (size, size).

    Args:
        rng: Source of randomness.
        size: Pixels a side.
        center: (y, x) of the middle.
        radius: Mean radius.
        softness: Width of the rim over which it fades, as a share of the radius.
    """
    y_HW, x_HW = coordinates(size)
    angle, stretch = rng.uniform(0.0, np.pi), rng.uniform(1.0, 1.5)
    dy, dx = y_HW - center[0], x_HW - center[1]
    along, across = np.cos(angle) * dx + np.sin(angle) * dy, np.cos(angle) * dy - np.sin(angle) * dx
    distance_HW = np.hypot(along / stretch, across * stretch) / radius
    outline_HW = distance_HW + 0.16 * smooth_noise(rng, size, 0.45 * radius)
    return 1.0 - ramp(outline_HW.astype(np.float32), 1.0 - softness / 2, 1.0 + softness / 2)


def stroke_distance(
    rng: np.random.Generator, size: int, center: tuple[float, float], length: float, angle: float | None = None
) -> tuple[Array, Array]:
    """Distance to a bent line, and the position along it.

    Args:
        rng: Source of randomness (the direction and the bend).
        size: Pixels a side.
        center: (y, x) of the middle.
        length: From end to end.
        angle: Direction in radians; by default any.

    Returns:
        ``(distance_HW, along_HW)``: the distance to the nearest point of the line, and that point's place in 0..1.
    """
    y_HW, x_HW = coordinates(size)
    if angle is None:
        angle = rng.uniform(0.0, 2 * np.pi)
    t = np.linspace(0.0, 1.0, 17)
    bend = rng.uniform(-0.2, 0.2) * length * 4 * t * (1 - t)
    straight = (t - 0.5) * length
    points_y = center[0] + np.sin(angle) * straight + np.cos(angle) * bend
    points_x = center[1] + np.cos(angle) * straight - np.sin(angle) * bend
    distance_HW = np.full((size, size), np.inf, dtype=np.float32)
    along_HW = np.zeros((size, size), dtype=np.float32)
    for k in range(len(t) - 1):
        d_y, d_x = points_y[k + 1] - points_y[k], points_x[k + 1] - points_x[k]
        share_HW = ((y_HW - points_y[k]) * d_y + (x_HW - points_x[k]) * d_x) / (d_y**2 + d_x**2)
        share_HW = np.clip(share_HW, 0.0, 1.0)
        here_HW = np.hypot(y_HW - points_y[k] - share_HW * d_y, x_HW - points_x[k] - share_HW * d_x)
        nearer_HW = here_HW < distance_HW
        distance_HW = np.where(nearer_HW, here_HW, distance_HW).astype(np.float32)
        along_HW = np.where(nearer_HW, (k + share_HW) / (len(t) - 1), along_HW).astype(np.float32)
    return distance_HW, along_HW


def relief_shading(height_HW: npt.NDArray[np.floating], angle: float) -> Array:
    """Light that falls on a relief from one side: the slope of ``height_HW`` along ``angle``, per image side."""
    slope_y, slope_x = np.gradient(height_HW * height_HW.shape[0])
    return np.asarray(np.cos(angle) * slope_x + np.sin(angle) * slope_y, dtype=np.float32)
