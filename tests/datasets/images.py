"""Small images and trees of them for the tests of data sets."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def encoded(pixels: np.ndarray | Image.Image, fmt: str = "PNG", **options: Any) -> bytes:
    """An array or image as a file of the given format."""
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, format=fmt, **options)
    return buffer.getvalue()


def picture(height: int = 12, width: int = 20, seed: int = 0) -> np.ndarray:
    """Smooth RGB with a different colour in every corner, so that turns show: (height, width, 3) uint8."""
    y = np.linspace(0, 200, height)[:, None]
    x = np.linspace(0, 200, width)[None, :]
    return np.stack([y + 0 * x, x + 0 * y, (y + x) / 2 + seed % 50], axis=2).astype(np.uint8)


def plant(root: Path, files: Mapping[str, bytes] | list[str]) -> Path:
    """Write files below a folder; those named without bytes become images of their own."""
    named = files if isinstance(files, Mapping) else {path: encoded(picture(seed=k)) for k, path in enumerate(files)}
    for path, data in named.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return root
