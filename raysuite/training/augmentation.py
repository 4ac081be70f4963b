"""Which changes leave a category's good images in kind: decided once before training, from the images alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from raysuite.config import AugmentationConfig
from raysuite.training.likeness import FREE_ANGLES, Likeness
from raysuite.training.turning import SYMMETRIES, reach

OBJECT, TEXTURE = 1.15, 1.25
"""A change is used if changed images lie at most so many times as far from the others as those from one another.

Two groups that differ by d, and vary by s within, lie √(1 + d²/s²) times as far apart: the limits are differences of
0.6 and 0.75 of the images' own variation.
"""

FEWEST = 3
"""With fewer images there is nothing to compare, and nothing is changed unless it is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """What is done to training images, and why.

    Attributes:
        kind: ``object`` for things that have their place or lie on a plain background, ``texture`` for what fills the
            image, ``unknown`` with too few images.
        flips: Names out of `SYMMETRIES`.
        rotation: ``free``, ``small`` or ``off``.
        angle: Largest angle either way, in degrees: 180 if free, 0 if off.
        shift: Largest shift either way, as a share of the side.
        padding: What lies beyond an image that is turned or shifted: ``border`` or ``reflection``.
        reasons: A few words for each of ``kind``, ``flips``, ``rotation``, ``shift``.
        measured: The ratios of `raysuite.training.likeness` that were looked at, by the name of the change.
    """

    kind: Literal["object", "texture", "unknown"] = "unknown"
    flips: tuple[str, ...] = ()
    rotation: Literal["free", "small", "off"] = "off"
    angle: float = 0.0
    shift: float = 0.0
    padding: Literal["border", "reflection"] = "reflection"
    reasons: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, float] = field(default_factory=dict)

    def as_mapping(self) -> dict[str, Any]:
        """The decision for JSON, with its `sentence` as ``summary``."""
        return {"summary": self.sentence(), **asdict(self), "flips": list(self.flips)}

    def sentence(self) -> str:
        """The decision in one line."""
        flips = f"flips: {', '.join(self.flips)}" if self.flips else "no flips"
        turns = {"free": "turned freely", "small": f"turned by up to {self.angle:g}°", "off": "not turned"}
        moves = f"shifted by up to {100 * self.shift:g} %" if self.shift else "not shifted"
        kind = {"object": "an object", "texture": "a texture", "unknown": "a few images"}[self.kind]
        return f"{kind}; {flips}; {turns[self.rotation]}; {moves}"


def choose_augmentation(settings: AugmentationConfig, images_NCHW: Tensor, crop: int) -> Augmentation:
    """Decide on flips, rotation and shift; a setting other than ``auto`` is obeyed.

    Args:
        settings: What is to be decided, and the largest small angle and shift.
        images_NCHW: Good training images, uint8, on any device.
        crop: Side of the square crops that training sees, in pixels; sides shorter than it are kept whole.
    """
    height, width = images_NCHW.shape[2:]
    look = Likeness(images_NCHW) if len(images_NCHW) >= FEWEST else None
    chosen = _Chosen(settings, look, (height, width), (min(crop, height), min(crop, width)))
    flips = chosen.flips()
    rotation, angle = chosen.rotation()
    shift = chosen.shift()
    return Augmentation(
        kind=chosen.kind,
        flips=flips,
        rotation=rotation,
        angle=angle,
        shift=shift,
        padding="border" if chosen.kind == "object" else "reflection",
        reasons=chosen.reasons,
        measured={name: round(ratio, 3) for name, ratio in chosen.measured.items()},
    )


class _Chosen:
    """One decision after the other, with notes of the reasons."""

    def __init__(
        self, settings: AugmentationConfig, look: Likeness | None, size: tuple[int, int], crop: tuple[int, int]
    ) -> None:
        self.settings, self.look, self.size, self.crop = settings, look, size, crop
        self.measured: dict[str, float] = {}
        self.kind: Literal["object", "texture", "unknown"] = "unknown"
        self.reasons = {"kind": f"fewer than {FEWEST} images"}
        if look is not None:
            self.kind = "object" if look.aligned or look.plain else "texture"
            self.limit = OBJECT if look.aligned else TEXTURE
            self.measured = {"moved": look.moved, "border": look.border}
            self.reasons["kind"] = (
                f"images moved far off lie {look.moved:.2f} times as far from the others, and the border varies "
                f"{look.border:.2f} times as much as the whole"
            )

    def flips(self) -> tuple[str, ...]:
        names = [name for name in SYMMETRIES if name != "turn" or self.size[0] == self.size[1]]
        if self.settings.flips != "auto" or self.look is None:
            self._set_or_unknown("flips", self.settings.flips)
            return tuple(names) if self.settings.flips == "on" else ()
        for name in names:
            self.measured[name] = self.look.symmetry(name)
        self.reasons["flips"] = self._ratios(names, self.limit)
        return tuple(name for name in names if self.measured[name] <= self.limit)

    def rotation(self) -> tuple[Literal["free", "small", "off"], float]:
        wanted, largest = self.settings.rotation, self.settings.max_angle
        if wanted != "auto" or self.look is None:
            self._set_or_unknown("rotation", wanted)
            if wanted == "free":
                return "free", 180.0
            return ("small", largest) if wanted == "small" and largest > 0 else ("off", 0.0)
        self.measured["any angle"] = max(self.look.turned(angle) for angle in FREE_ANGLES)
        self.reasons["rotation"] = self._ratios(["any angle"], self.limit)
        if self.measured["any angle"] <= self.limit:
            if self._fits(math.pi):
                return "free", 180.0
            self.reasons["rotation"] += (
                f"; but turned crops reach beyond the image, where a texture cannot be made up: a data.crop_size of "
                f"{int(min(self.size) / math.sqrt(2))} or less allows any angle"
            )
        for angle in (largest, largest / 2, largest / 4):
            if angle == 0 or not self._fits(math.radians(angle)):
                continue
            name = f"{angle:g}°"
            self.measured[name] = self.look.turned(math.radians(angle))
            self.reasons["rotation"] += "; " + self._ratios([name], self.limit)
            if self.measured[name] <= self.limit:
                return "small", angle
        return "off", 0.0

    def shift(self) -> float:
        wanted, largest = self.settings.shift, self.settings.max_shift
        if wanted != "auto" or self.look is None:
            self._set_or_unknown("shift", wanted)
            return largest if wanted == "on" else 0.0
        if self.kind == "texture":
            # Beyond the border a texture cannot be made up, and a convolutional net sees a shift as no change at all.
            self.reasons["shift"] = "a texture has no place to be shifted from"
            return 0.0
        tried = []
        for share in (largest, largest / 2, largest / 4):
            if share == 0:
                break
            tried.append(f"{100 * share:g} %")
            self.measured[tried[-1]] = self.look.shifted(share)
            self.reasons["shift"] = self._ratios(tried, self.limit)
            if self.measured[tried[-1]] <= self.limit:
                return share
        self.reasons.setdefault("shift", "augmentation.max_shift is 0")
        return 0.0

    def _fits(self, angle: float) -> bool:
        """Whether nothing has to be made up, or a plain background can be, when crops are turned by ``angle``."""
        # Smaller angles are drawn too, and a square reaches farthest at an eighth of a turn.
        height, width = reach(self.crop, torch.tensor(min(angle, math.pi / 4)))
        return self.kind == "object" or bool(height <= self.size[0] and width <= self.size[1])

    def _set_or_unknown(self, name: str, wanted: str) -> None:
        self.reasons[name] = f"fewer than {FEWEST} images" if wanted == "auto" else f"augmentation.{name} is {wanted}"

    def _ratios(self, names: list[str], tolerance: float) -> str:
        figures = ", ".join(f"{name} {self.measured[name]:.2f}" for name in names)
        return f"{figures} times as far from the others (allowed: {tolerance:g})"
