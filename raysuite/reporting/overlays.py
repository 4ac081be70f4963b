"""Pictures of the worst images: each with its anomaly map laid over it, side by side with the image itself."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from raysuite.archives.limits import Limits
from raysuite.archives.reading import opened
from raysuite.archives.units import BadItemError
from raysuite.datasets.decoding import decode_image
from raysuite.detection.detector import Detector
from raysuite.detection.tiled import is_larger, score_tiled
from raysuite.errors import DecodeError, StorageError
from raysuite.reporting.images import colour_map
from raysuite.scoring.models import Model
from raysuite.scoring.parts import unit_of
from raysuite.scoring.scorer import detector_of
from raysuite.storage import Location

FOLDER = "overlays"
LONGEST_SIDE = 1024
STRENGTH = 0.65
TILES = 8
NAME_BYTES = 120
"""Of the part of a file's name that tells model and image: with the rank before it and the suffix of a draft behind it
even file systems that encrypt names, and allow 143 bytes, take it."""


def draw_overlays(
    out: Location, worst: Sequence[Mapping[str, Any]], models: Mapping[str, Model], overlap: float | None = None
) -> int:
    """Write one picture for each of the worst images into ``overlays``, in place of those that are there.

    Colours go from nothing at 0 to the lightest at four times the largest error that good images show.

    Args:
        out: The output folder.
        worst: What `raysuite.scoring.tally.Tally.worst` found.
        models: Detectors by their names.
        overlap: Of the tiles that large images were cut into; None if they were resized.

    Returns:
        How many were drawn; an image that is gone, has changed into none since, or does not fit into memory is left
        out.
    """
    (out / FOLDER).delete_dir()
    drawn = 0
    for rank, found in enumerate(worst, 1):
        try:
            image_HW3 = decode_image(_bytes_of(Location.of(found["part"]), found["row"]))
        except (BadItemError, DecodeError, StorageError, MemoryError):
            continue  # for a picture a scan that is done must not fail
        map_HW = _map_of(detector_of(models[found["model"]].uri, "cpu"), image_HW3, overlap)
        (out / FOLDER / f"{rank:04d}-{_name(found)}.jpg").write_bytes(_picture(image_HW3, map_HW))
        drawn += 1
    return drawn


def _name(found: Mapping[str, Any]) -> str:
    name = re.sub(r"[^\w.-]+", "_", f"{found['model']}-{found['id'].rpartition('/')[2]}")[-80:]
    # File systems count bytes, of which a letter may have four; one that is cut in two is left out.
    return name.encode()[-NAME_BYTES:].decode(errors="ignore")


def _bytes_of(part: Location, row: int) -> bytes:
    with opened(unit_of(part).cut(row, row + 1), Limits()) as fetches:
        return next(iter(fetches)).read()


def _map_of(detector: Detector, image_HW3: NDArray[np.uint8], overlap: float | None) -> NDArray[np.float32]:
    if overlap is None or not is_larger(image_HW3.shape[:2], detector.size):
        return detector.score([image_HW3]).maps[0]
    return score_tiled(detector, image_HW3, overlap=overlap, batch_size=TILES, longest=LONGEST_SIDE).map_HW


def _picture(image_HW3: NDArray[np.uint8], map_HW: NDArray[np.float32]) -> bytes:
    scale = min(1.0, LONGEST_SIDE / max(image_HW3.shape[:2]))
    size = (max(1, round(image_HW3.shape[1] * scale)), max(1, round(image_HW3.shape[0] * scale)))
    image = Image.fromarray(image_HW3).resize(size, Image.Resampling.BILINEAR)
    values_HW = np.asarray(Image.fromarray(map_HW).resize(size, Image.Resampling.BILINEAR))
    colours = colour_map(values_HW, 0.0, 4.0).astype(np.float32)
    weight = STRENGTH * np.clip(values_HW / 2.0, 0.0, 1.0)[..., None]
    plain = np.asarray(image, dtype=np.float32)
    laid = plain * (1 - weight) + colours * weight
    both = np.concatenate([plain, laid], axis=1).round().clip(0, 255).astype(np.uint8)
    sink = io.BytesIO()
    Image.fromarray(both).save(sink, "JPEG", quality=88)
    return sink.getvalue()
