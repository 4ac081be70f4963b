"""All shapes of corruption by name: where a spot lies.

A shape takes its settings, the masks' height and width, the wanted area of each as a share of the image, (n,), and a
generator; it gives (n, H, W) float32 masks in [0, 1], 1 inside, fading over a soft rim. Lines are as long and wide as
their settings allow, whatever the area asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Generator, Tensor

from raysuite.corruption.blobs import disc, perlin, stain
from raysuite.corruption.boxes import rectangle, scar
from raysuite.corruption.lines import hair, scratch

Shape = Callable[[Any, tuple[int, int], Tensor, Generator], Tensor]

BY_NAME: dict[str, Shape] = {
    "disc": disc,
    "perlin": perlin,
    "stain": stain,
    "scratch": scratch,
    "hair": hair,
    "rectangle": rectangle,
    "scar": scar,
}
