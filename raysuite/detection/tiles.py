"""A large image in overlapping tiles, and what is computed of each, put together without seams, from top to bottom.

Next to an inner edge of a tile a net sees a continuation that is not there. So a quarter of the overlap counts for
nothing at such an edge, the half behind it counts more and more, and weights are divided by their sum: at every pixel
they sum to one. What is finished is handed on row by row; of the whole there is never more than one row of tiles.

Shape suffixes: N tiles, C channels, H and W of the image, h and w of a tile, R rows of a strip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raysuite.detection.maps import box_side, boxed
from raysuite.errors import DetectorError

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Axis:
    """Tiles along one side of an image.

    Attributes:
        length: Pixels of the image.
        tile: Pixels of a tile; no more than ``length``.
        starts: Where each tile begins: the first at 0, the last so that it ends with the image.
    """

    length: int
    tile: int
    starts: tuple[int, ...]

    @classmethod
    def of(cls, length: int, tile: int, overlap: float) -> Axis:
        """As few tiles as overlap by at least that share of a tile, at even distances.

        Raises:
            DetectorError: The image is smaller than a tile, or the overlap is not from 0 to below 1.
        """
        if not 0 < tile <= length:
            raise DetectorError(f"{length} pixels cannot be cut into tiles of {tile}")
        if not 0 <= overlap < 1:
            raise DetectorError(f"tiles overlap by a share from 0 to below 1, not {overlap}")
        step = max(1, tile - ceil(overlap * tile))
        gaps = ceil((length - tile) / step)
        return cls(length, tile, tuple((k * (length - tile)) // gaps if gaps else 0 for k in range(gaps + 1)))

    @cached_property
    def weights(self) -> Tensor:
        """(tiles, tile) float64, 0 or more: at every pixel of the image those of all tiles sum to one."""
        weights = torch.ones(len(self.starts), self.tile, dtype=torch.float64)
        for k, (one, other) in enumerate(pairwise(self.starts)):
            overlap = self.tile - (other - one)
            if overlap > 0:
                # Three times the square less twice the cube: flat where it begins and where it ends.
                place = (torch.arange(overlap, dtype=torch.float64) + 0.5) / overlap
                rise = (2 * place - 0.5).clamp(0, 1)
                rise = rise * rise * (3 - 2 * rise)
                weights[k + 1, :overlap] *= rise
                weights[k, self.tile - overlap :] *= rise.flip(0)
        total = torch.zeros(self.length, dtype=torch.float64)
        for start, of_tile in zip(self.starts, weights, strict=True):
            total[start : start + self.tile] += of_tile
        return torch.stack([w / total[s : s + self.tile] for s, w in zip(self.starts, weights, strict=True)])


@dataclass(frozen=True, slots=True)
class Tiling:
    """Tiles of an image: all pairs of a row and a column.

    Attributes:
        rows: Along the height.
        columns: Along the width.
    """

    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, size: tuple[int, int], tile: tuple[int, int], overlap: float) -> Tiling:
        """Tiles of an image of ``size`` (height, width), each of ``tile`` (height, width).

        Raises:
            DetectorError: As for `Axis.of`.
        """
        return cls(Axis.of(size[0], tile[0], overlap), Axis.of(size[1], tile[1], overlap))

    @property
    def count(self) -> int:
        """How many tiles there are."""
        return len(self.rows.starts) * len(self.columns.starts)


def blended(
    image_HWC: NDArray[np.uint8],
    tiling: Tiling,
    compute: Callable[[Tensor], Tensor],
    batch_size: int,
    device: torch.device = CPU,
) -> Iterator[Tensor]:
    """What is computed of each tile, blended, from the top to the bottom of the image.

    Args:
        image_HWC: uint8, of the tiling's size.
        tiling: The tiles.
        compute: From (N, C, h, w) uint8 tiles to (N, h, w) float32.
        batch_size: Tiles at a time.
        device: Where they are blended.

    Yields:
        Strips of finished rows, (R, W) float32, in order; all of them together are the image.
    """
    rows, columns = tiling.rows, tiling.columns
    down, across = rows.weights.float().to(device), columns.weights.float().to(device)
    # One row of tiles; what the next one has a share in stays.
    pending = torch.zeros(rows.tile, columns.length, device=device)
    for k, top in enumerate(rows.starts):
        band_HWC = image_HWC[top : top + rows.tile]
        for first in range(0, len(columns.starts), batch_size):
            starts = columns.starts[first : first + batch_size]
            tiles = np.stack([band_HWC[:, start : start + columns.tile] for start in starts])
            found_Nhw = compute(torch.from_numpy(tiles).permute(0, 3, 1, 2)).to(device)
            for start, weight, found_hw in zip(starts, across[first:], found_Nhw, strict=False):
                pending[:, start : start + columns.tile] += down[k][:, None] * weight * found_hw
        last = k + 1 == len(rows.starts)
        finished = rows.tile if last else rows.starts[k + 1] - top
        yield pending[:finished].clone()
        if not last:
            pending = torch.cat([pending[finished:], torch.zeros(finished, columns.length, device=device)])


class Smoother:
    """`raysuite.detection.maps.smooth` of an image that comes in strips: the same values, few rows held at a time.

    ``add`` takes (R, W) float32 rows, in order, and gives back those that are done; ``end`` gives the rest.
    """

    def __init__(self, kernel: int, passes: int, side: int) -> None:
        """``kernel`` is scaled to a frame with a shorter side of ``side``: the detector's, not the image's."""
        self._box, self._passes = box_side(kernel, side), passes
        self._halo = passes * max(0, self._box // 2)
        self._rows: Tensor | None = None
        self._ready = 0  # rows of what is held that have been given back

    def add(self, strip_RW: Tensor) -> Tensor:
        """Take rows; a row is done when all that it depends on is there."""
        held = strip_RW if self._rows is None else torch.cat([self._rows, strip_RW])
        return self._given(held, max(self._ready, len(held) - self._halo))

    def end(self) -> Tensor:
        """The rows that are left: the image ends here."""
        return torch.zeros(0, 0) if self._rows is None else self._given(self._rows, len(self._rows))

    def _given(self, held: Tensor, until: int) -> Tensor:
        done = held[:0]
        if until > self._ready:
            # At the image's own edges the border is reflected, at cuts it is wrong as far as the halo, and left out.
            done = boxed(held[None], self._box, self._passes)[0, self._ready : until]
        keep = max(0, until - self._halo)
        self._rows, self._ready = held[keep:], until - keep
        return done
