"""All fills of corruption by name: what a spot shows instead of the image.

A fill takes its settings, the batch of good images, (N, 3, H, W) float32 in [0, 1], which of them each spot lies on,
(n,) int64, and a generator; it gives (n, 3, H, W) float32 pictures in [0, 1], to be seen through a mask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from raysuite.corruption.colours import colour, gradient
from raysuite.corruption.textures import texture
from raysuite.corruption.tones import blur, gamma, hue, noise
from raysuite.corruption.warps import elastic, other, same, shuffle

Fill = Callable[[Any, Tensor, Tensor, Generator], Tensor]

BY_NAME: dict[str, Fill] = {
    "elastic": elastic,
    "same": same,
    "other": other,
    "texture": texture,
    "colour": colour,
    "gradient": gradient,
    "blur": blur,
    "hue": hue,
    "gamma": gamma,
    "noise": noise,
    "shuffle": shuffle,
}
