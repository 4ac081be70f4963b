"""A plain weave: warp and weft threads that pass over and under each other. A regular texture."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from raysuite.datasets.procedural.fields import Array, blob, coordinates, lighting, ramp, smooth_noise

THREADS = 11  # threads across the image, either way
_MARGIN = 3  # spare threads on each side, for phase, rotation and warping
_SWAPS = ((1, 5), (5, 1), (2, 3), (3, 2), (3, 3))  # rows and columns of crossings that a misweave swaps
_WARP_RGB = np.array([0.80, 0.73, 0.58], dtype=np.float32)
_WEFT_RGB = np.array([0.40, 0.46, 0.56], dtype=np.float32)
_GAP_RGB = np.array([0.16, 0.14, 0.13], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Weave:
    """One piece of cloth under a camera. A defect changes the cloth; ``shade`` photographs it.

    Attributes:
        u: (H, W). Position across the warp threads, in threads.
        v: (H, W). Position across the weft threads, in threads.
        warp_on_top: (weft, warp) bool, which thread is on top at each crossing.
        warp_there: (weft, warp) bool, whether the warp thread exists at each crossing.
        weft_there: (weft, warp) bool, the same for the weft.
        warp_gain: Brightness of each warp thread.
        weft_gain: Brightness of each weft thread.
        width: Share of its pitch that a thread fills.
        light: (H, W, 3). Gain of light and stains.
        noise: (H, W, 3). The camera's noise.
    """

    u: Array
    v: Array
    warp_on_top: np.ndarray
    warp_there: np.ndarray
    weft_there: np.ndarray
    warp_gain: Array
    weft_gain: Array
    width: float
    light: Array
    noise: Array

    kinds: ClassVar[tuple[str, ...]] = ("missing_thread", "misweave", "snag", "stain")

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int) -> Weave:
        """A piece of good cloth, ``size`` pixels a side."""
        y_HW, x_HW = coordinates(size)
        turn, pitch = rng.uniform(-0.025, 0.025), THREADS * rng.uniform(0.97, 1.03)
        y_c, x_c = y_HW - 0.5, x_HW - 0.5
        warp_HW = 0.08 * smooth_noise(rng, size, 0.15), 0.08 * smooth_noise(rng, size, 0.15)
        middle = THREADS / 2 + _MARGIN
        u_HW = middle + rng.uniform(-1, 1) + pitch * (np.cos(turn) * x_c - np.sin(turn) * y_c) + warp_HW[0]
        v_HW = middle + rng.uniform(-1, 1) + pitch * (np.cos(turn) * y_c + np.sin(turn) * x_c) + warp_HW[1]
        n = THREADS + 2 * _MARGIN
        there = np.ones((n, n), dtype=bool)
        tint = 1.0 + 0.012 * rng.standard_normal(3)
        return cls(
            u=u_HW.astype(np.float32),
            v=v_HW.astype(np.float32),
            warp_on_top=(np.add.outer(np.arange(n), np.arange(n)) + rng.integers(2)) % 2 == 0,
            warp_there=there,
            weft_there=there,
            warp_gain=(1.0 + 0.02 * rng.standard_normal(n)).astype(np.float32),
            weft_gain=(1.0 + 0.02 * rng.standard_normal(n)).astype(np.float32),
            width=rng.uniform(0.84, 0.90),
            light=(lighting(rng, size, 0.07)[..., None] * tint).astype(np.float32),
            noise=(0.012 * rng.standard_normal((size, size, 3))).astype(np.float32),
        )

    def damage(self, kind: str, rng: np.random.Generator) -> Weave:
        """The same cloth with one defect of ``kind``."""
        size = len(self.u)
        center = (rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8))
        at = tuple(int(c * size) for c in center)
        row, column = int(self.v[at]), int(self.u[at])
        if kind == "missing_thread":
            there = self.warp_there.copy()
            reach = int(rng.integers(3, 7))
            if rng.integers(2):
                there[row - reach // 2 : row - reach // 2 + reach, column] = False
                return replace(self, warp_there=there)
            there[row, column - reach // 2 : column - reach // 2 + reach] = False
            return replace(self, weft_there=there)
        if kind == "misweave":
            # Crossings are swapped in a run: every colour is normal, their order is not.
            on_top = self.warp_on_top.copy()
            down, right = _SWAPS[rng.integers(len(_SWAPS))]
            on_top[row : row + down, column : column + right] ^= True
            return replace(self, warp_on_top=on_top)
        y_HW, x_HW = coordinates(size)
        if kind == "snag":
            spread = rng.uniform(0.05, 0.08)
            pull_HW = np.exp(-((y_HW - center[0]) ** 2 + (x_HW - center[1]) ** 2) / (2 * spread**2))
            angle, threads = rng.uniform(0, 2 * np.pi), rng.uniform(0.65, 0.9)
            return replace(
                self,
                u=(self.u + threads * np.cos(angle) * pull_HW).astype(np.float32),
                v=(self.v + threads * np.sin(angle) * pull_HW).astype(np.float32),
            )
        stain_HW = blob(rng, size, center, rng.uniform(0.07, 0.13), softness=0.5)
        absorbed = rng.uniform(0.20, 0.30) * np.array([0.7, 1.0, 1.3])
        return replace(self, light=(self.light * (1 - stain_HW[..., None] * absorbed)).astype(np.float32))

    def shade(self) -> Array:
        """The photograph, (size, size, 3) in about 0..1."""
        column_HW, row_HW = np.floor(self.u).astype(np.intp), np.floor(self.v).astype(np.intp)
        across_u, across_v = self.u - column_HW - 0.5, self.v - row_HW - 0.5
        warp_over_HW = self.warp_on_top[row_HW, column_HW]

        def thread(across_HW: Array, along_HW: Array, gain_HW: Array, over_HW: np.ndarray) -> tuple[Array, Array]:
            # A thread is a bent cylinder: bright along its spine, and where it comes up over the other one.
            cover_HW = 1.0 - ramp(np.abs(across_HW), self.width / 2 - 0.09, self.width / 2 + 0.04)
            round_HW = 0.55 + 0.45 * np.cos(np.pi * across_HW) ** 0.7
            bend_HW = np.where(over_HW, 0.72 + 0.28 * np.cos(np.pi * along_HW), 0.62)
            fibre_HW = 1.0 + 0.03 * np.sin(2 * np.pi * (3.0 * across_HW + 2.0 * along_HW))
            return cover_HW, np.asarray(gain_HW * round_HW * bend_HW * fibre_HW, dtype=np.float32)

        warp_cover, warp_light = thread(across_u, across_v, self.warp_gain[column_HW], warp_over_HW)
        weft_cover, weft_light = thread(across_v, across_u, self.weft_gain[row_HW], ~warp_over_HW)
        warp_cover = (warp_cover * self.warp_there[row_HW, column_HW])[..., None]
        weft_cover = (weft_cover * self.weft_there[row_HW, column_HW])[..., None]
        warp_HW3, weft_HW3 = warp_light[..., None] * _WARP_RGB, weft_light[..., None] * _WEFT_RGB

        weft_last_HW3 = (_GAP_RGB * (1 - warp_cover) + warp_HW3 * warp_cover) * (1 - weft_cover) + weft_HW3 * weft_cover
        warp_last_HW3 = (_GAP_RGB * (1 - weft_cover) + weft_HW3 * weft_cover) * (1 - warp_cover) + warp_HW3 * warp_cover
        cloth_HW3 = np.where(warp_over_HW[..., None], warp_last_HW3, weft_last_HW3)
        return np.asarray(cloth_HW3 * self.light + self.noise, dtype=np.float32)
