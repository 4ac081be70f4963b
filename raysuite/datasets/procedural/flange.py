"""A turned metal flange with a bore, bolt holes and engraved marks. An aligned object."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from raysuite.datasets.procedural.fields import Array, blob, coordinates, lighting, ramp, stroke_distance

HOLES = 6
_MARKS = 24
_RADIUS, _BORE, _HOLE_CIRCLE, _HOLE, _COLLAR = 0.42, 0.11, 0.285, 0.042, 0.175
_METAL_RGB = np.array([0.62, 0.64, 0.66], dtype=np.float32)
_TABLE_RGB = np.array([0.17, 0.19, 0.22], dtype=np.float32)
_EDGE = 0.008  # an edge is soft over about one pixel at 128 pixels a side


def _inside(distance_HW: npt.NDArray[np.floating], edge: float = _EDGE) -> Array:
    """1 where a signed distance is negative, 0 where it is positive, soft between."""
    return 1.0 - ramp(distance_HW, -edge / 2, edge / 2)


@dataclass(frozen=True, slots=True)
class Flange:
    """One part under a camera. A defect changes the part; ``shade`` photographs it.

    Attributes:
        y: (H, W). Height on the part, with its centre at 0 and its own rotation taken out.
        x: (H, W). The same across.
        holes: (HOLES, 3) float: y and x of each bolt hole, and its radius (0: never drilled).
        bite: (H, W). Where material is missing, 0..1.
        glow: Direction of the bright sector that turned metal shows under a lamp, in radians.
        tool: (H, W). Fine variation along the turning grooves.
        gain: (H, W, 3). Gain by dents, scratches and stains on the metal.
        light: (H, W, 3). Gain of the light on everything.
        noise: (H, W, 3). The camera's noise.
    """

    y: Array
    x: Array
    holes: Array
    bite: Array
    glow: float
    tool: Array
    gain: Array
    light: Array
    noise: Array

    kinds: ClassVar[tuple[str, ...]] = ("missing_hole", "misplaced_hole", "chip", "scratch", "dent")

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int) -> Flange:
        """A good part, photographed ``size`` pixels a side."""
        y_HW, x_HW = coordinates(size)
        turn, zoom = rng.uniform(-0.035, 0.035), rng.uniform(0.985, 1.015)
        y_c, x_c = (y_HW - 0.5 - rng.uniform(-0.009, 0.009)) / zoom, (x_HW - 0.5 - rng.uniform(-0.009, 0.009)) / zoom
        angles = 2 * np.pi * np.arange(HOLES) / HOLES
        places = _HOLE_CIRCLE * np.sin(angles), _HOLE_CIRCLE * np.cos(angles)
        radii = _HOLE * rng.uniform(0.96, 1.04, HOLES)
        tool = 0.012 * np.convolve(rng.standard_normal(2 * size), [0.25, 0.5, 0.25], mode="same")
        part_y, part_x = np.cos(turn) * y_c + np.sin(turn) * x_c, np.cos(turn) * x_c - np.sin(turn) * y_c
        groove_HW = np.clip(np.hypot(part_y, part_x) * 2 * size, 0, 2 * size - 1).astype(np.intp)
        return cls(
            y=part_y.astype(np.float32),
            x=part_x.astype(np.float32),
            holes=np.stack([*places, radii], axis=1).astype(np.float32),
            bite=np.zeros((size, size), dtype=np.float32),
            glow=rng.uniform(0.6, 1.0),
            tool=tool[groove_HW].astype(np.float32),
            gain=np.ones((size, size, 3), dtype=np.float32),
            light=(lighting(rng, size, 0.08)[..., None] * (1 + 0.01 * rng.standard_normal(3))).astype(np.float32),
            noise=(0.010 * rng.standard_normal((size, size, 3))).astype(np.float32),
        )

    def damage(self, kind: str, rng: np.random.Generator) -> Flange:
        """The same part with one defect of ``kind``."""
        size = len(self.y)
        if kind in {"missing_hole", "misplaced_hole"}:
            holes, k = self.holes.copy(), int(rng.integers(HOLES))
            if kind == "missing_hole":
                holes[k, 2] = 0.0
            else:
                angle = rng.choice([-1.0, 1.0]) * rng.uniform(0.12, 0.17)
                y, x = holes[k, :2]
                holes[k, :2] = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
            return replace(self, holes=holes)
        if kind == "chip":
            angle = rng.uniform(0, 2 * np.pi)
            center = 0.5 + (_RADIUS + 0.01) * np.sin(angle), 0.5 + (_RADIUS + 0.01) * np.cos(angle)
            return replace(self, bite=blob(rng, size, center, rng.uniform(0.046, 0.064), softness=0.2))
        # The rest lies on the flat of the metal, between the collar and the rim, off the bolt holes.
        angle = 2 * np.pi * (rng.integers(HOLES) + 0.5 + rng.uniform(-0.12, 0.12)) / HOLES
        radius = rng.uniform(0.24, 0.33)
        center = 0.5 + radius * np.sin(angle), 0.5 + radius * np.cos(angle)
        if kind == "scratch":
            distance_HW, along_HW = stroke_distance(rng, size, center, rng.uniform(0.16, 0.28))
            depth_HW = ramp(along_HW, 0.0, 0.2) * (1 - ramp(along_HW, 0.8, 1.0))
            cut_HW = np.exp(-((distance_HW / rng.uniform(0.009, 0.012)) ** 2)) * depth_HW
            shine = rng.choice([-1.0, 1.0]) * rng.uniform(0.36, 0.48)
            return replace(self, gain=(self.gain * (1 + shine * cut_HW[..., None])).astype(np.float32))
        y_HW, x_HW = coordinates(size)
        spread, depth, light = rng.uniform(0.032, 0.046), rng.uniform(0.32, 0.42), rng.uniform(0, 2 * np.pi)
        side_HW = (np.cos(light) * (x_HW - center[1]) + np.sin(light) * (y_HW - center[0])) / spread
        hollow_HW = np.exp(-((y_HW - center[0]) ** 2 + (x_HW - center[1]) ** 2) / (2 * spread**2))
        dent_HW = 1 + depth * (1.65 * side_HW - 0.4) * hollow_HW  # 1.65 makes `depth` the slope's largest change
        return replace(self, gain=(self.gain * dent_HW[..., None]).astype(np.float32))

    def shade(self) -> Array:
        """The photograph, (size, size, 3) in about 0..1."""
        radius_HW = np.hypot(self.y, self.x)
        angle_HW = np.arctan2(self.y, self.x)
        # Turned grooves shine in two opposite sectors; the collar is a step, lit on the lamp's side.
        shine_HW = 0.80 + 0.20 * np.cos(2 * (angle_HW - self.glow)) + self.tool
        step_HW = np.exp(-(((radius_HW - _COLLAR) / 0.010) ** 2)) * (0.1 + 0.35 * np.cos(angle_HW - self.glow))
        bevel_HW = np.exp(-(((radius_HW - _RADIUS + 0.012) / 0.010) ** 2)) * 0.25
        turns_HW = (angle_HW / (2 * np.pi) * _MARKS + 0.5) % 1.0 - 0.5
        offset_HW = np.abs(turns_HW) * 2 * np.pi / _MARKS * radius_HW
        marks_HW = _inside(offset_HW - 0.006) * _inside(np.abs(radius_HW - 0.365) - 0.020)
        number_HW = np.floor((angle_HW / (2 * np.pi) * _MARKS + 0.5) % _MARKS)
        marks_HW = marks_HW * np.where(number_HW % 4 == 2, 1.0, 0.55)
        metal_HW = (shine_HW + step_HW + bevel_HW) * (1 - 0.35 * marks_HW)
        metal_HW3 = metal_HW[..., None] * _METAL_RGB * self.gain

        solid_HW = _inside(radius_HW - _RADIUS) * (1 - _inside(radius_HW - _BORE)) * (1 - self.bite)
        for y, x, hole in self.holes:
            if hole > 0:
                distance_HW = np.hypot(self.y - y, self.x - x) - hole
                metal_HW3 = metal_HW3 * (1 - 0.3 * np.exp(-((distance_HW / 0.008) ** 2)))[..., None]
                solid_HW = solid_HW * (1 - _inside(distance_HW))
        # The part's soft shadow on the table.
        shadow_HW = 1.0 - 0.45 * _inside(np.hypot(self.y - 0.012, self.x - 0.012) - _RADIUS, edge=0.05)
        table_HW3 = shadow_HW[..., None] * _TABLE_RGB
        scene_HW3 = table_HW3 + solid_HW[..., None] * (metal_HW3 - table_HW3)
        return np.asarray(scene_HW3 * self.light + self.noise, dtype=np.float32)
