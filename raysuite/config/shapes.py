"""Settings of the shapes of corruption: where a spot lies. Each shape has a weight; 0 leaves it out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from raysuite.config.validation import require, require_share

KEY = "corruption.shapes"


def require_weight(value: float, key: str) -> None:
    """Raise a `ConfigError` unless the value may be the weight of a family."""
    require(0 <= value < math.inf, f"{key}.weight", value, "0 or more; 0 leaves it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disc:
    """A soft disc under a smooth random distortion.

    Attributes:
        weight: How often, relative to the other shapes.
        warp: Strongest of each of the three waves that displace its outline, one after the other, in radii.
        rim: Widest soft rim, in radii.
    """

    weight: float = 0.35
    warp: float = 0.5
    rim: float = 0.4

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.disc")
        require_share(self.warp, f"{KEY}.disc.warp")
        require(0.05 <= self.rim <= 1, f"{KEY}.disc.rim", self.rim, "from 0.05 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Perlin:
    """The highest part of smooth noise: several ragged pieces.

    Attributes:
        weight: How often, relative to the other shapes.
        finest: Most cells of the noise along a side.
        rim: Widest soft rim, in standard deviations of the noise.
    """

    weight: float = 0.25
    finest: int = 24
    rim: float = 0.4

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.perlin")
        require(4 <= self.finest <= 128, f"{KEY}.perlin.finest", self.finest, "from 4 to 128")
        require(0.05 <= self.rim <= 1, f"{KEY}.perlin.rim", self.rim, "from 0.05 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stain:
    """An ellipse with a wavy border and a sharp rim.

    Attributes:
        weight: How often, relative to the other shapes.
        waviness: Strongest wave of its border, in radii.
    """

    weight: float = 0.15
    waviness: float = 0.3

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.stain")
        require_share(self.waviness, f"{KEY}.stain.waviness")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scratch:
    """A bent line with tapered ends.

    Attributes:
        weight: How often, relative to the other shapes.
        max_width: Widest line, in pixels.
        max_length: Longest line, in shorter sides.
    """

    weight: float = 0.10
    max_width: float = 6.0
    max_length: float = 0.8

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.scratch")
        require(1.2 <= self.max_width <= 32, f"{KEY}.scratch.max_width", self.max_width, "from 1.2 to 32")
        require(0.1 <= self.max_length <= 2, f"{KEY}.scratch.max_length", self.max_length, "from 0.1 to 2")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hair:
    """A long curly line of constant small width: a hair, a thread, a fibre.

    Attributes:
        weight: How often, relative to the other shapes.
        max_width: Widest line, in pixels.
        max_length: Longest line, in shorter sides.
        curl: Strongest turn from one end to the other, in whole turns.
    """

    weight: float = 0.05
    max_width: float = 2.5
    max_length: float = 1.5
    curl: float = 0.8

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.hair")
        require(1 <= self.max_width <= 8, f"{KEY}.hair.max_width", self.max_width, "from 1 to 8")
        require(0.1 <= self.max_length <= 4, f"{KEY}.hair.max_length", self.max_length, "from 0.1 to 4")
        require(0 <= self.curl <= 3, f"{KEY}.hair.curl", self.curl, "from 0 to 3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """A turned rectangle.

    Attributes:
        weight: How often, relative to the other shapes.
        max_aspect: Longest side in units of the shorter one.
    """

    weight: float = 0.07
    max_aspect: float = 3.0

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.rectangle")
        require(1 <= self.max_aspect <= 20, f"{KEY}.rectangle.max_aspect", self.max_aspect, "from 1 to 20")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scar:
    """A long thin turned rectangle, as in CutPaste's scars.

    Attributes:
        weight: How often, relative to the other shapes.
        max_width: Widest scar, in pixels.
        max_length: Longest scar, in shorter sides.
    """

    weight: float = 0.03
    max_width: float = 12.0
    max_length: float = 0.3

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.scar")
        require(2 <= self.max_width <= 64, f"{KEY}.scar.max_width", self.max_width, "from 2 to 64")
        require(0.05 <= self.max_length <= 1, f"{KEY}.scar.max_length", self.max_length, "from 0.05 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shapes:
    """All shapes; at least one has a weight."""

    disc: Disc = field(default_factory=Disc)
    perlin: Perlin = field(default_factory=Perlin)
    stain: Stain = field(default_factory=Stain)
    scratch: Scratch = field(default_factory=Scratch)
    hair: Hair = field(default_factory=Hair)
    rectangle: Rectangle = field(default_factory=Rectangle)
    scar: Scar = field(default_factory=Scar)
