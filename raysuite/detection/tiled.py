"""Scoring a large image at its own resolution with a detector of small ones: the score is that of its worst tile.

The blended map is divided by one figure, and not by what good images show at each place: a tile lies anywhere. A
detector for which places differ much knows where its object lies, and is refused. The score is the highest that any
tile's frame has on the map of the whole image. Pooled over the whole image instead, the mean of so and so many per cent
of its pixels would let a small defect vanish among millions of pixels, the more the larger the image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raysuite.detection.detector import Detector
from raysuite.detection.maps import pool
from raysuite.detection.tiles import Axis, Smoother, Tiling, blended
from raysuite.errors import DetectorError

MOST_UNEVEN = 2.0
"""Of the procedural data sets textures have up to 1.4, objects 4 and more."""


@dataclass(frozen=True, slots=True)
class TiledScore:
    """What a detector finds in one large image.

    Attributes:
        score: Its worst tile's score.
        tiles: How many tiles there were.
        map_HW: float32, the highest value of each cell; of no size if no map was asked for.
    """

    score: float
    tiles: int
    map_HW: NDArray[np.float32]


def is_larger(size: tuple[int, int], tile: tuple[int, int]) -> bool:
    """Whether an image has more pixels than a tile along either side; others are scored as a whole."""
    return size[0] > tile[0] or size[1] > tile[1]


def check_tiles(detector: Detector) -> None:
    """See whether a detector can score tiles, which have no place of their own.

    Raises:
        DetectorError: It knows what belongs where, or its good images differ from place to place.
    """
    if detector.net.has_template:
        raise DetectorError(
            f"the detector {detector.category} cannot score tiles: it was trained on parts that lie alike, and "
            "knows what belongs where; score whole images, or train it on pieces of the photographs or with "
            "model.template=off"
        )
    for name, spread_HW in (("map", detector.map_spread_HW), ("score", detector.score_spread_HW)):
        low, high = torch.quantile(_inner(spread_HW).flatten(), torch.tensor([0.05, 0.95], device=detector.device))
        if (uneven := float(high / low)) > MOST_UNEVEN:
            raise DetectorError(
                f"the detector {detector.category} cannot score tiles: its {name} is divided by what good images show "
                f"at each place, which differs {uneven:.1f} times from place to place, as of an object that always "
                "lies at the same one; score whole images, or train it on pieces of the photographs"
            )


def score_tiled(
    detector: Detector,
    image_HW3: NDArray[np.uint8],
    *,
    overlap: float,
    batch_size: int,
    longest: int = 0,
    error: Callable[[Tensor], Tensor] | None = None,
) -> TiledScore:
    """Score one image in tiles of the detector's size, at the resolution it has.

    Besides the image it needs memory for one row of tiles, whatever the image's height.

    Args:
        detector: The detector.
        image_HW3: uint8 RGB. A side shorter than a tile is continued by reflection.
        overlap: Least share of a tile that the next one has in common with it, from 0 to below 1.
        batch_size: Tiles a pass.
        longest: Of the map: it is made smaller by a whole factor until no side is longer; 0 for no map.
        error: In place of the detector's own `Detector.error`.

    Raises:
        DetectorError: A tile does not fit into memory.
    """
    height, width = image_HW3.shape[:2]
    tile = detector.size
    missing = [(0, max(0, least - have)) for least, have in zip(tile, (height, width), strict=True)]
    if any(more for _, more in missing):
        image_HW3 = np.pad(image_HW3, [*missing, (0, 0)], mode="symmetric")
    tiling = Tiling.of((image_HW3.shape[0], image_HW3.shape[1]), tile, overlap)
    config, side = detector.detection, min(tile)
    narrow = Smoother(config.score_kernel, config.score_passes, side)
    wide = Smoother(config.map_kernel, config.map_passes, side)
    worst = _Worst(tiling, config.pooling, config.score_share)
    small = _Reduced(height, width, longest) if longest else None
    map_spread, score_spread = (_anywhere(spread) for spread in (detector.map_spread_HW, detector.score_spread_HW))
    with torch.inference_mode():
        for strip_RW in blended(image_HW3, tiling, error or detector.error, batch_size, detector.device):
            worst.add(narrow.add(strip_RW) / score_spread)
            if small is not None:
                small.add(wide.add(strip_RW) / map_spread)
        worst.add(narrow.end() / score_spread)
        if small is not None:
            small.add(wide.end() / map_spread)
    return TiledScore(worst.score, tiling.count, np.zeros((0, 0), np.float32) if small is None else small.map_HW)


def _anywhere(spread_HW: Tensor) -> float:
    """One figure for all places: the median, as borders, which tiles hardly count, are often worse."""
    return float(spread_HW.median())


def _inner(spread_HW: Tensor) -> Tensor:
    height, width = spread_HW.shape
    return spread_HW[height // 8 : height - height // 8, width // 8 : width - width // 8]


class _Worst:
    """The highest score of any tile's frame, from rows of the map in order."""

    def __init__(self, tiling: Tiling, pooling: str, share: float) -> None:
        self.score = -np.inf
        self._columns: Axis = tiling.columns
        self._height = tiling.rows.tile
        self._tops = list(tiling.rows.starts)
        self._pooling, self._share = pooling, share
        self._held: Tensor | None = None
        self._first = 0

    def add(self, rows_RW: Tensor) -> None:
        if not len(rows_RW):
            return
        self._held = rows_RW if self._held is None else torch.cat([self._held, rows_RW])
        while self._tops and self._tops[0] + self._height <= self._first + len(self._held):
            top = self._tops.pop(0) - self._first
            band = self._held[top : top + self._height]
            frames_Nhw = torch.stack([band[:, s : s + self._columns.tile] for s in self._columns.starts])
            # Not a number must win, to be told.
            self.score = float(np.maximum(self.score, float(pool(frames_Nhw, self._pooling, self._share).max())))
            if self._tops:
                self._held = self._held[self._tops[0] - self._first :]
                self._first = self._tops[0]


class _Reduced:
    """A map of cells of some pixels a side, each with its highest value, from rows in order."""

    def __init__(self, height: int, width: int, longest: int) -> None:
        self._cell = -(-max(height, width) // longest)
        self._height, self._width, self._next = height, width, 0
        self.map_HW = np.zeros((-(-height // self._cell), -(-width // self._cell)), dtype=np.float32)

    def add(self, rows_RW: Tensor) -> None:
        rows = rows_RW[: self._height - self._next, : self._width].cpu().numpy()
        if not len(rows):
            return
        cells = np.arange(self._next, self._next + len(rows)) // self._cell
        starts = np.flatnonzero(np.diff(cells, prepend=-1))
        highest = np.maximum.reduceat(rows, np.arange(0, self._width, self._cell), axis=1)
        highest = np.maximum.reduceat(highest, starts, axis=0)
        self.map_HW[cells[starts]] = np.maximum(self.map_HW[cells[starts]], highest)
        self._next += len(rows)
