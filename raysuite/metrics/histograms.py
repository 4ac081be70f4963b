"""Pixel scores of many test images in bounded memory, mergeable over images, tasks and machines.

Three histograms share one table of bins: background pixels, defect pixels, and defect pixels that weigh
1 / (size of their region). All pixel metrics follow from these (`raysuite.metrics.pixel`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy import ndimage

from raysuite.errors import MetricsError
from raysuite.metrics.bins import LARGEST_PATTERN, MAX_BINS, Bins, Runs

REGION_UNIT = 1 << 42
"""The weight of one whole region. Integers, because sums of floats would depend on the order of merging."""

MAX_REGIONS = 1 << 20
"""Above this the region weights could overflow an int64; only a mask of noise has so many."""

_COLUMNS = ("background", "defect", "region_weight")
_COUNTERS = ("shift", "regions", "images", "missing_masks")
_SCHEMA = pa.schema([("step", pa.uint32()), ("mixed", pa.bool_()), *((name, pa.int64()) for name in _COLUMNS)])
_FORMAT = {b"format": b"raysuite.pixel_histograms", b"version": b"1"}
_EIGHT_NEIGHBOURS = np.zeros((3, 3, 3), dtype=np.uint8)
_EIGHT_NEIGHBOURS[1] = 1  # of the same image


@dataclass(slots=True, eq=False)
class PixelHistograms:
    """What the pixel metrics of one category need to know, whatever the number of images.

    Attributes:
        bins: Counts with the rows background pixels, defect pixels, and region weight in `REGION_UNIT`.
        regions: Number of 8-connected ground-truth regions.
        images: Images whose pixels are counted.
        missing_masks: Defect images left out because nobody knows which of their pixels are defects.
    """

    bins: Bins = field(default_factory=lambda: Bins.empty(len(_COLUMNS)))
    regions: int = 0
    images: int = 0
    missing_masks: int = 0

    @classmethod
    def empty(cls) -> PixelHistograms:
        """Histograms of no image."""
        return cls()

    def add(self, map_HW: NDArray[np.float32], mask_HW: NDArray[np.bool_] | None, *, defect: bool) -> None:
        """Count the pixels of one test image, in place.

        Args:
            map_HW: float32 (H, W), finite and not negative; higher is more anomalous.
            mask_HW: bool (H, W), true on defects. May be ``None`` for a good image. A defect image without a mask is
                counted in ``missing_masks`` and nowhere else: its defects would pass for background.
            defect: Whether the image is labelled as a defect.

        Raises:
            MetricsError: Scores are negative or not finite, a shape or dtype is wrong, a good image has defect
                pixels, or there are more than `MAX_REGIONS` regions. Nothing is counted then.
        """
        _check_map(map_HW)
        if mask_HW is None and defect:
            _patterns(map_HW)
            self.missing_masks += 1
            return
        if mask_HW is not None:
            _check_mask(mask_HW, map_HW.shape, defect)
        self.add_all(map_HW[None], None if mask_HW is None else mask_HW[None])

    def add_all(self, maps_NHW: NDArray[np.float32], masks_NHW: NDArray[np.bool_] | None) -> None:
        """Count the pixels of several images of one size, in place; sorted together, which is faster than one by one.

        Args:
            maps_NHW: float32 (N, H, W), as in `add`.
            masks_NHW: bool (N, H, W), true on defects; ``None`` for good images.

        Raises:
            MetricsError: As in `add`; nothing is counted then.
        """
        for map_HW in maps_NHW:
            _check_map(map_HW)
        if len(maps_NHW) == 0:
            return
        patterns_NHW = _patterns(maps_NHW)
        if masks_NHW is None:
            part, regions = _background(patterns_NHW.ravel(), self.bins.shift), 0
        else:
            _check_mask(masks_NHW, patterns_NHW.shape, defect=True)
            part, regions = _defects(patterns_NHW, masks_NHW, self.bins.shift)
            part += _background(patterns_NHW[~masks_NHW], self.bins.shift)
        self.regions = _checked_regions(self.regions + regions)
        self.bins += part
        self.images += len(maps_NHW)

    def __add__(self, other: PixelHistograms) -> PixelHistograms:
        return PixelHistograms(
            self.bins + other.bins,
            _checked_regions(self.regions + other.regions),
            self.images + other.images,
            self.missing_masks + other.missing_masks,
        )

    def to_bytes(self) -> bytes:
        """A versioned, compressed Arrow stream; equal histograms give equal bytes."""
        steps_B = np.diff(self.bins.low, prepend=np.uint32(0))
        counters = {"shift": self.bins.shift, **{name: getattr(self, name) for name in _COUNTERS[1:]}}
        numbers = {name.encode(): str(value).encode() for name, value in counters.items()}
        schema = _SCHEMA.with_metadata({**_FORMAT, **numbers})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
            writer.write_batch(pa.record_batch([steps_B, self.bins.mixed, *self.bins.counts], schema=schema))
        return bytes(sink.getvalue().to_pybytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> PixelHistograms:
        """Read what `to_bytes` wrote.

        Raises:
            MetricsError: The bytes are damaged, or not of a format and version known here.
        """
        try:
            table = pa.ipc.open_stream(data).read_all()
            table.validate(full=True)
            return _read(table)
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            raise MetricsError(f"these bytes are no pixel histograms ({error}); evaluate the images again") from error


def _check_map(map_HW: NDArray[np.float32]) -> None:
    if map_HW.ndim != 2 or map_HW.size == 0 or map_HW.dtype != np.float32:
        raise MetricsError(
            f"an anomaly map must be float32 of shape (height, width), not {map_HW.dtype} of shape {map_HW.shape}"
        )


def _patterns(maps: NDArray[np.float32]) -> NDArray[np.uint32]:
    """Bit patterns of one map, or of several."""
    # Adding zero copies, and turns -0.0, whose pattern would be huge, into 0.0.
    patterns = (np.ascontiguousarray(maps) + np.float32(0)).view(np.uint32)
    if patterns.max() > LARGEST_PATTERN:
        raise MetricsError(
            f"an anomaly map must be finite and not negative, but {int((patterns > LARGEST_PATTERN).sum())} of its "
            f"{maps.size} scores are not; look for a diverged training, or use a squared or absolute difference"
        )
    return patterns


def _check_mask(mask_HW: NDArray[np.bool_], shape: tuple[int, ...], defect: bool) -> None:
    if mask_HW.dtype != np.bool_ or mask_HW.shape != shape:
        raise MetricsError(
            f"a mask must be bool of its map's shape {shape}, not {mask_HW.dtype} of shape {mask_HW.shape}; "
            "evaluate at the mask's resolution"
        )
    if not defect and mask_HW.any():
        raise MetricsError(f"an image labelled good has {int(mask_HW.sum())} defect pixels; mend its label or its mask")


def _checked_regions(regions: int) -> int:
    if regions > MAX_REGIONS:
        raise MetricsError(f"the masks have over {MAX_REGIONS} separate regions; they look like noise: check them")
    return regions


def _background(patterns_N: NDArray[np.uint32], shift: int) -> Bins:
    if len(patterns_N) == 0:
        return Bins.empty(len(_COLUMNS))
    sorted_N = np.sort(patterns_N)
    runs = Runs.of(sorted_N, shift)
    counts_CB = np.zeros((len(_COLUMNS), len(runs.starts)), np.int64)
    counts_CB[0] = runs.lengths
    return Bins(runs.shift, sorted_N[runs.starts], runs.mixed(sorted_N), counts_CB)


def _defects(patterns_NHW: NDArray[np.uint32], masks_NHW: NDArray[np.bool_], shift: int) -> tuple[Bins, int]:
    labels_NHW, regions = ndimage.label(masks_NHW, structure=_EIGHT_NEIGHBOURS)
    labels_N = labels_NHW[masks_NHW]
    sizes_R = np.bincount(labels_N, minlength=regions + 1)
    # A weight is rounded to half a unit: a region of s pixels weighs 1 within s / 2^43.
    weights_R = (REGION_UNIT + sizes_R // 2) // np.maximum(sizes_R, 1)
    patterns_N = patterns_NHW[masks_NHW]
    order_N = np.argsort(patterns_N)
    counts_CN = np.zeros((len(_COLUMNS), len(order_N)), np.int64)
    counts_CN[1] = 1
    counts_CN[2] = weights_R[labels_N[order_N]]
    return Bins.grouped(shift, patterns_N[order_N], np.zeros(len(order_N), np.bool_), counts_CN), int(regions)


def _read(table: pa.Table) -> PixelHistograms:
    metadata = table.schema.metadata or {}
    if not table.schema.equals(_SCHEMA) or any(metadata.get(key) != value for key, value in _FORMAT.items()):
        raise ValueError("unknown format or version")
    shift, regions, images, missing_masks = (int(metadata[name.encode()]) for name in _COUNTERS)
    steps_B = table["step"].to_numpy()
    low_B = np.cumsum(steps_B, dtype=np.uint64)
    counts_CB = np.stack([table[name].to_numpy() for name in _COLUMNS])
    sound = (
        table.num_rows <= MAX_BINS
        and 0 <= shift < 32
        and min(regions, images, missing_masks) >= 0
        and regions <= MAX_REGIONS
        and not any(column.null_count for column in table.columns)
        and bool((np.diff(low_B >> np.uint64(shift)) > 0).all())
        and bool((low_B <= LARGEST_PATTERN).all())
        and bool((counts_CB >= 0).all())
        and bool((counts_CB[0] + counts_CB[1] > 0).all())
        and bool(((counts_CB[1] > 0) == (counts_CB[2] > 0)).all())
    )
    if not sound:
        raise ValueError("numbers out of range")
    bins = Bins(shift, low_B.astype(np.uint32), table["mixed"].to_numpy(), counts_CB)
    return PixelHistograms(bins, regions, images, missing_masks)
