"""Anomaly maps as bytes for the ``map`` column: PNG with a stated scale, or float16."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

KINDS = ("png16", "png8", "float16")
SCALES = {"png16": 1 / 256, "png8": 1 / 8}
"""What one level of a PNG stands for; 1 is about the largest error that good images show. Higher is cut off."""


def encode_map(map_HW: NDArray[np.float32], kind: str) -> bytes:
    """One map as bytes.

    Args:
        map_HW: float32, 0 or more.
        kind: ``png16`` or ``png8``, gray, level × `SCALES` is the map; the text ``scale`` in the file says so too. Or
            ``float16``, in NumPy's ``.npy`` format.
    """
    sink = io.BytesIO()
    if kind == "float16":
        top = float(np.finfo(np.float16).max)
        np.save(sink, np.minimum(map_HW, top).astype(np.float16), allow_pickle=False)
        return sink.getvalue()
    scale = SCALES[kind]
    top = 65535 if kind == "png16" else 255
    levels_HW = np.clip(np.rint(map_HW / scale), 0, top).astype(np.uint16 if kind == "png16" else np.uint8)
    text = PngInfo()
    text.add_text("scale", repr(scale))
    Image.fromarray(levels_HW).save(sink, "PNG", pnginfo=text, compress_level=3)
    return sink.getvalue()


def decode_map(data: bytes) -> NDArray[np.float32]:
    """A map that `encode_map` wrote: (H, W) float32."""
    if data.startswith(b"\x93NUMPY"):
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False), dtype=np.float32)
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        image.load()
        scale = float(image.info["scale"])
        return np.asarray(np.asarray(image, dtype=np.float32) * scale, dtype=np.float32)
