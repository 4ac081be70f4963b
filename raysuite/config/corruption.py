"""Settings of what training pastes over good images: shape × fill × opacity, and noise on top (`docs/method.md`)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Literal

from raysuite.config.fills import Fills
from raysuite.config.shapes import Shapes
from raysuite.config.validation import require, require_share, require_word

SHAPES = tuple(entry.name for entry in fields(Shapes))
FILLS = tuple(entry.name for entry in fields(Fills))


@dataclass(frozen=True, slots=True, kw_only=True)
class CorruptionConfig:
    """What training pastes over good images.

    Attributes:
        clean_share: Share of images left without any corruption.
        max_count: Most corrupted spots in an image; fewer are likelier.
        min_area: Smallest spot, as a share of the image's area.
        max_area: Largest spot, as a share of the image's area; areas are drawn log-uniformly.
        opaque_share: Share of spots that hide what is below them wholly.
        min_opacity: Lowest opacity of the others.
        noise: Gaussian noise on the whole input: ``preserved`` has the same noise in the target, ``removed`` asks for
            the image without it, ``none`` adds none.
        noise_level: Its largest standard deviation, in grey levels of [0, 1]; each image draws its own from 0 up.
        shapes: Where spots lie.
        fills: What they show.
    """

    clean_share: float = 0.1
    max_count: int = 4
    min_area: float = 0.001
    max_area: float = 0.15
    opaque_share: float = 0.5
    min_opacity: float = 0.3
    noise: Literal["preserved", "removed", "none"] = "preserved"
    noise_level: float = 0.06
    shapes: Shapes = field(default_factory=Shapes)
    fills: Fills = field(default_factory=Fills)

    def __post_init__(self) -> None:
        for name in ("clean_share", "opaque_share", "min_opacity", "noise_level"):
            require_share(getattr(self, name), f"corruption.{name}")
        require_word(self.noise, "corruption.noise", "preserved", "removed", "none")
        require(1 <= self.max_count <= 16, "corruption.max_count", self.max_count, "from 1 to 16")
        require(
            0 < self.min_area <= self.max_area <= 0.5,
            "corruption.min_area, max_area", (self.min_area, self.max_area), "0 < min_area ≤ max_area ≤ 0.5",
        )  # fmt: skip
        for section, names in (("shapes", SHAPES), ("fills", FILLS)):
            weights = tuple(getattr(getattr(self, section), name).weight for name in names)
            require(
                sum(weights) > 0,
                f"corruption.{section}.*.weight", weights, f"above 0 for one or more of {', '.join(names)}",
            )  # fmt: skip
