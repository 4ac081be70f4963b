"""Settings of the fills of corruption: what a spot shows instead of the image. Each has a weight; 0 leaves it out."""

from __future__ import annotations

from dataclasses import dataclass, field

from raysuite.config.shapes import require_weight
from raysuite.config.validation import require, require_share

KEY = "corruption.fills"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elastic:
    """The image's own content under a smooth displacement.

    Attributes:
        weight: How often, relative to the other fills.
        max_shift: Largest standard deviation of the displacement, in half sides.
    """

    weight: float = 0.25
    max_shift: float = 0.12

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.elastic")
        require(0.03 <= self.max_shift <= 1, f"{KEY}.elastic.max_shift", self.max_shift, "from 0.03 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Same:
    """Content from elsewhere in the same image, shifted, turned and scaled.

    Attributes:
        weight: How often, relative to the other fills.
        max_scale: Strongest enlargement; 1 / max_scale is the strongest reduction.
    """

    weight: float = 0.10
    max_scale: float = 1.4

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.same")
        require(1 <= self.max_scale <= 4, f"{KEY}.same.max_scale", self.max_scale, "from 1 to 4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Content of another good image, shifted, turned and scaled.

    Attributes:
        weight: How often, relative to the other fills.
        max_scale: Strongest enlargement; 1 / max_scale is the strongest reduction.
    """

    weight: float = 0.10
    max_scale: float = 1.4

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.other")
        require(1 <= self.max_scale <= 4, f"{KEY}.other.max_scale", self.max_scale, "from 1 to 4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Texture:
    """A texture that has nothing to do with the image.

    Attributes:
        weight: How often, relative to the other fills.
        folder: Folder of photographs to take textures from, local or a URI, searched with its subfolders, such as
            DTD's; empty draws them: grain, clouds, stripes, cells.
    """

    weight: float = 0.20
    folder: str = ""

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.texture")


@dataclass(frozen=True, slots=True, kw_only=True)
class Colour:
    """One random colour.

    Attributes:
        weight: How often, relative to the other fills.
    """

    weight: float = 0.10

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.colour")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gradient:
    """A linear gradient between two colours.

    Attributes:
        weight: How often, relative to the other fills.
        max_step: Strongest change over the shorter side, in grey levels of [0, 1].
    """

    weight: float = 0.05
    max_step: float = 0.6

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.gradient")
        require_share(self.max_step, f"{KEY}.gradient.max_step")


@dataclass(frozen=True, slots=True, kw_only=True)
class Blur:
    """The image's own content, blurred.

    Attributes:
        weight: How often, relative to the other fills.
        max_radius: Widest box filter's half side, in pixels.
    """

    weight: float = 0.03
    max_radius: int = 6

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.blur")
        require(1 <= self.max_radius <= 32, f"{KEY}.blur.max_radius", self.max_radius, "from 1 to 32")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hue:
    """The image's own content in another tint.

    Attributes:
        weight: How often, relative to the other fills.
        max_shift: Strongest shift of a channel, in grey levels of [0, 1].
    """

    weight: float = 0.03
    max_shift: float = 0.2

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.hue")
        require_share(self.max_shift, f"{KEY}.hue.max_shift")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gamma:
    """The image's own content, lighter or darker.

    Attributes:
        weight: How often, relative to the other fills.
        max_log: Largest absolute natural logarithm of the exponent and of the gain.
        max_shift: Strongest change of brightness, in grey levels of [0, 1].
    """

    weight: float = 0.04
    max_log: float = 0.4
    max_shift: float = 0.2

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.gamma")
        require(0 <= self.max_log <= 3, f"{KEY}.gamma.max_log", self.max_log, "from 0 to 3")
        require_share(self.max_shift, f"{KEY}.gamma.max_shift")


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelNoise:
    """The image's own content under strong noise.

    Attributes:
        weight: How often, relative to the other fills.
        max_level: Largest standard deviation, in grey levels of [0, 1].
    """

    weight: float = 0.04
    max_level: float = 0.4

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.noise")
        require(0.05 <= self.max_level <= 1, f"{KEY}.noise.max_level", self.max_level, "from 0.05 to 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shuffle:
    """The image's own tiles in another order.

    Attributes:
        weight: How often, relative to the other fills.
        tiles: Sides of the tiles, in pixels; one is drawn for each spot.
    """

    weight: float = 0.06
    tiles: tuple[int, ...] = (4, 8, 16)

    def __post_init__(self) -> None:
        require_weight(self.weight, f"{KEY}.shuffle")
        require(
            len(self.tiles) >= 1 and 2 <= min(self.tiles) <= max(self.tiles) <= 128,
            f"{KEY}.shuffle.tiles", self.tiles, "one or more sides from 2 to 128",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Fills:
    """All fills; at least one has a weight."""

    elastic: Elastic = field(default_factory=Elastic)
    same: Same = field(default_factory=Same)
    other: Other = field(default_factory=Other)
    texture: Texture = field(default_factory=Texture)
    colour: Colour = field(default_factory=Colour)
    gradient: Gradient = field(default_factory=Gradient)
    blur: Blur = field(default_factory=Blur)
    hue: Hue = field(default_factory=Hue)
    gamma: Gamma = field(default_factory=Gamma)
    noise: PixelNoise = field(default_factory=PixelNoise)
    shuffle: Shuffle = field(default_factory=Shuffle)
