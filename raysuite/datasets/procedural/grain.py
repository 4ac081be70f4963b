"""Embossed leather with a lay: pebbles of random size and place, longer along one direction. A stochastic texture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raysuite.datasets.procedural.fields import (
    Array,
    blob,
    lighting,
    ramp,
    relief_shading,
    smooth_noise,
    stroke_distance,
)

_RGB = np.array([0.52, 0.34, 0.22], dtype=np.float32)
_LONG, _SHORT = 0.034, 0.014


def _pebbles(rng: np.random.Generator, size: int, scale_y: float, scale_x: float) -> Array:
    """Relief of pebbles with furrows between them, in -1..1."""
    field_HW = smooth_noise(rng, size, scale_y, scale_x) + 0.35 * smooth_noise(rng, size, 0.6 * scale_y, 0.6 * scale_x)
    return np.tanh(1.4 * field_HW).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Grain:
    """One piece of leather under a camera. A defect changes the leather; ``shade`` photographs it.

    Attributes:
        relief: (H, W). Height of the pebbles, -1..1.
        bumps: (H, W). Height of larger dents and scratches, same unit.
        angle: Where the light comes from, in radians.
        light: (H, W, 3). Gain of light and stains.
        noise: (H, W, 3). The camera's noise.
    """

    relief: Array
    bumps: Array
    angle: float
    light: Array
    noise: Array

    kinds: ClassVar[tuple[str, ...]] = ("scratch", "blister", "crease", "stain")

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int) -> Grain:
        """A piece of good leather, ``size`` pixels a side."""
        scale = rng.uniform(0.92, 1.08)
        dye_HW = 1.0 + 0.03 * smooth_noise(rng, size, 0.12)
        tint = 1.0 + np.array([0.0, 0.03, 0.05]) * rng.standard_normal()
        return cls(
            relief=_pebbles(rng, size, _SHORT * scale, _LONG * scale),
            bumps=np.zeros((size, size), dtype=np.float32),
            angle=rng.uniform(0.9, 1.3),
            light=((lighting(rng, size, 0.08) * dye_HW)[..., None] * tint).astype(np.float32),
            noise=(0.012 * rng.standard_normal((size, size, 3))).astype(np.float32),
        )

    def damage(self, kind: str, rng: np.random.Generator) -> Grain:
        """The same leather with one defect of ``kind``."""
        size = len(self.relief)
        center = (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8))
        if kind == "scratch":
            distance_HW, along_HW = stroke_distance(rng, size, center, rng.uniform(0.2, 0.4))
            depth_HW = ramp(along_HW, 0.0, 0.2) * (1 - ramp(along_HW, 0.8, 1.0))
            cut_HW = np.exp(-((distance_HW / rng.uniform(0.009, 0.012)) ** 2)) * depth_HW
            bare = rng.uniform(0.6, 0.75) * np.array([1.0, 1.15, 1.3])
            return replace(
                self,
                relief=(self.relief * (1 - 0.8 * cut_HW)).astype(np.float32),
                light=(self.light * (1 + cut_HW[..., None] * bare)).astype(np.float32),
            )
        if kind == "blister":
            # A smooth swelling is lit on one side and in shade on the other: the mean stays what it was.
            swelling_HW = blob(rng, size, center, rng.uniform(0.06, 0.09), softness=1.2)
            return replace(self, bumps=(rng.uniform(9.0, 12.0) * swelling_HW).astype(np.float32))
        if kind == "crease":
            # Askew to the lay of the pebbles, else it would pass for one of their furrows.
            distance_HW, along_HW = stroke_distance(rng, size, center, rng.uniform(0.3, 0.5), rng.uniform(0.3, 0.8))
            fade_HW = ramp(along_HW, 0.0, 0.25) * (1 - ramp(along_HW, 0.75, 1.0))
            fold_HW = np.exp(-((distance_HW / 0.018) ** 2)) * fade_HW
            return replace(
                self,
                relief=(self.relief * (1 - 0.6 * fold_HW)).astype(np.float32),
                bumps=(-rng.uniform(7.0, 9.0) * fold_HW).astype(np.float32),
            )
        stain_HW = blob(rng, size, center, rng.uniform(0.06, 0.11), softness=0.5)
        absorbed = rng.uniform(0.28, 0.38) * np.array([1.1, 1.0, 0.6])
        return replace(self, light=(self.light * (1 - stain_HW[..., None] * absorbed)).astype(np.float32))

    def shade(self) -> Array:
        """The photograph, (size, size, 3) in about 0..1."""
        furrow_HW = 1.0 + 0.07 * self.relief
        lit_HW = 1.0 + 0.0026 * relief_shading(self.relief + self.bumps, self.angle)
        leather_HW3 = (furrow_HW * lit_HW)[..., None] * _RGB
        return np.asarray(leather_HW3 * self.light + self.noise, dtype=np.float32)
