"""Fills that change the image's own pixels in place: blurred, tinted, lighter or darker, under noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from raysuite.config.fills import Blur, Gamma, Hue, PixelNoise
from raysuite.corruption.noise import normal, uniform


def blur(settings: Blur, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """The image's own content, averaged over a box of 2 × radius + 1 pixels a side."""
    n, channels, (height, width) = len(rows_n), batch_NCHW.shape[1], batch_NCHW.shape[2:]
    most = settings.max_radius
    radius = 1 + (uniform((n, 1), 0.0, most, generator)).floor()
    inside = torch.arange(-most, most + 1, device=rows_n.device).abs() <= radius
    kernels = (inside / (2 * radius + 1)).repeat_interleave(channels, 0)[:, None]
    # Each image has a box of its own: their channels are groups of one convolution.
    image_1CHW = F.pad(batch_NCHW[rows_n], (most,) * 4, mode="replicate").flatten(0, 1)[None]
    for kernel in (kernels[:, :, :, None], kernels[:, :, None, :]):
        image_1CHW = F.conv2d(image_1CHW, kernel, groups=n * channels)
    return image_1CHW.view(n, channels, height, width)


def hue(settings: Hue, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """The image's own content in another tint: each channel is shifted by an amount of its own."""
    shift = uniform((len(rows_n), 3, 1, 1), -1.0, 1.0, generator)
    # Of a random direction, but never of no length.
    shift /= shift.abs().amax(1, keepdim=True).clamp(min=1e-6)
    strength = uniform((len(rows_n), 1, 1, 1), 0.4 * settings.max_shift, settings.max_shift, generator)
    return (batch_NCHW[rows_n] + strength * shift).clamp_(0.0, 1.0)


def gamma(settings: Gamma, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """The image's own content, lighter or darker: gain · x^exponent + shift."""
    like = (len(rows_n), 1, 1, 1)
    exponent, gain = (uniform(like, -settings.max_log, settings.max_log, generator).exp() for _ in range(2))
    shift = uniform(like, -settings.max_shift, settings.max_shift, generator)
    return torch.addcmul(shift, batch_NCHW[rows_n].clamp_(min=1e-4).pow_(exponent), gain).clamp_(0.0, 1.0)


def noise(settings: PixelNoise, batch_NCHW: Tensor, rows_n: Tensor, generator: Generator) -> Tensor:
    """The image's own content under strong grey noise, pixel by pixel."""
    n = len(rows_n)
    level = uniform((n, 1, 1, 1), 0.25 * settings.max_level, settings.max_level, generator)
    grain = normal((n, 1, *batch_NCHW.shape[2:]), generator)
    return torch.addcmul(batch_NCHW[rows_n], level, grain).clamp_(0.0, 1.0)
