"""Reads one image with its mask into a row of the sample schema. A bad file becomes a row with an ``error``."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pyarrow as pa

from raysuite.datasets.decoding import TruncatedError, decode_image, decode_mask, image_header
from raysuite.datasets.entries import Entry
from raysuite.errors import DecodeError, StorageError
from raysuite.storage import Location

MOST_BYTES = 512 << 20
"""Files of more bytes than this are not read; the same as of archives."""


def read_sample(root: Location, entry: Entry) -> dict[str, Any]:
    """One row of `raysuite.datasets.schema.SAMPLE_SCHEMA`; never raises for a bad file.

    The image is decoded once in full, since a header alone does not show that a file was cut off. ``error`` begins
    with one of these kinds, then a colon and a sentence that names the file:

    * ``Unreadable``: the image cannot be read from storage, is no regular file, or its name is not UTF-8;
    * ``Truncated``: it is empty or ends too early;
    * ``Undecodable``: it is not an image, or a damaged or unknown one;
    * ``TooLarge``: it has more than `MOST_BYTES`, or does not fit into memory;
    * ``MaskUnreadable``, ``MaskTruncated``, ``MaskUndecodable``, ``MaskTooLarge``: the same of its mask;
    * ``MaskSize``: the mask has another size than the image.

    Image and mask bytes are kept where they could be read. A defect without a mask file is no error.
    """
    row: dict[str, Any] = {
        "id": entry.id,
        "category": entry.category,
        "split": entry.split,
        "label": entry.label,
        "defect": entry.defect,
        "image": None,
        "mask": None,
        "height": None,
        "width": None,
        "mode": None,
        "sha256": None,
        "error": None,
    }
    try:
        row["image"] = _bytes_of(root, entry.image, "")
        row["sha256"] = hashlib.sha256(row["image"]).hexdigest()
        pixels_HW3 = _decoded(decode_image, row["image"], entry.image, "")
        row["height"], row["width"] = pixels_HW3.shape[:2]
        row["mode"] = _decoded(image_header, row["image"], entry.image, "").mode
        if entry.mask is not None:
            row["mask"] = _bytes_of(root, entry.mask, "Mask")
            mask_HW = _decoded(decode_mask, row["mask"], entry.mask, "Mask")
            if mask_HW.shape != pixels_HW3.shape[:2]:
                (m_h, m_w), (h, w) = mask_HW.shape, pixels_HW3.shape[:2]
                raise _BadFileError(
                    f"MaskSize: {entry.mask} is {m_w} × {m_h} pixels, its image {entry.image} is {w} × {h}"
                )
    except _BadFileError as error:
        row["error"] = str(error)
    return row


class _BadFileError(Exception):
    """Carries the text of a row's ``error``."""


def _bytes_of(root: Location, path: str, prefix: str) -> bytes:
    try:
        data = (root / path).read_at_most(MOST_BYTES + 1)
    except MemoryError as error:
        raise _BadFileError(f"{prefix}TooLarge: {path} does not fit into memory") from error
    except (StorageError, pa.ArrowException) as error:
        # By the text that stands for such a name in the listing nothing is found.
        if isinstance(error.__cause__, FileNotFoundError) and re.search(r"\\x[0-9a-f]{2}", path):
            raise _BadFileError(f"{prefix}Unreadable: the name of {path} is not UTF-8: rename it") from error
        raise _BadFileError(f"{prefix}Unreadable: {path} cannot be read: {error.__cause__ or error}") from error
    if len(data) > MOST_BYTES:
        raise _BadFileError(f"{prefix}TooLarge: {path} has more than the {MOST_BYTES} bytes that are allowed")
    return data


def _decoded(decode: Any, data: bytes, path: str, prefix: str) -> Any:
    try:
        return decode(data)
    except TruncatedError as error:
        raise _BadFileError(f"{prefix}Truncated: {path} {error}") from error
    except DecodeError as error:
        raise _BadFileError(f"{prefix}Undecodable: {path} {error}") from error
    except MemoryError as error:
        raise _BadFileError(f"{prefix}TooLarge: {path} does not fit into memory") from error
