"""The photographs of `corruption.fills.texture.folder`: found, read, and refused when there are none. No torch here."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from raysuite.config import Config
from raysuite.datasets.decoding import decode_image
from raysuite.datasets.layouts.folders import IMAGE_SUFFIXES, suffix
from raysuite.datasets.reading import MOST_BYTES
from raysuite.errors import ConfigError, DecodeError, StorageError
from raysuite.storage import Location

SIDE = 256
"""Photographs are cut to squares of so many pixels a side."""

MOST = 256
"""Of larger folders so many photographs are taken, evenly at random: 50 MB."""

KEY = "corruption.fills.texture.folder"


def check_textures(config: Config, *, searched: bool = False) -> Config:
    """The same settings with the folder of textures written in full, so that it is found from any working folder.

    Args:
        config: The settings.
        searched: Whether a search starts from them, which may give textures a weight that they do not have there.

    Raises:
        ConfigError: Textures are to come from a folder that is missing or has no photograph that can be read.
    """
    texture = config.corruption.fills.texture
    if not texture.folder or (texture.weight == 0 and not searched):
        return config
    next(_read(texture.folder))
    named = dataclasses.replace(texture, folder=Location.of(texture.folder).uri)
    fills = dataclasses.replace(config.corruption.fills, texture=named)
    return dataclasses.replace(config, corruption=dataclasses.replace(config.corruption, fills=fills))


@functools.lru_cache(maxsize=1)
def load_photographs(folder: str) -> npt.NDArray[np.uint8]:
    """Up to `MOST` photographs below a folder, the same ones each time; files that cannot be read are left out.

    The folder that was read last is kept: all trainings of a process share it.

    Returns:
        (B, SIDE, SIDE, 3) uint8.

    Raises:
        ConfigError: The folder is missing or has no photograph that can be read.
    """
    photographs = []
    for square_HW3 in _read(folder):
        photographs.append(square_HW3)
        if len(photographs) == MOST:
            break
    return np.stack(photographs)


def _read(folder: str) -> Iterator[npt.NDArray[np.uint8]]:
    """Squares out of the photographs below the folder, one or more, in a random order that is always the same."""
    try:
        root = Location.of(folder)
        names = [name for name in root.walk() if suffix(name) in IMAGE_SUFFIXES]
    except StorageError as error:
        raise ConfigError(f"{KEY} is {folder!r}, which cannot be read: {error}") from error
    random.Random(0).shuffle(names)
    count = 0
    for name in names:
        try:
            pixels_HW3 = decode_image((root / name).read_at_most(MOST_BYTES))
        except (StorageError, DecodeError):
            continue
        count += 1
        yield _square(pixels_HW3)
    if count == 0:
        raise ConfigError(
            f"{KEY} is {folder!r}, but no photograph can be read there or below ({len(names)} image files); "
            "name a folder of photographs, or leave it empty to have textures drawn"
        )


def _square(pixels_HW3: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The middle of a photograph, its shorter side resized to `SIDE`."""
    height, width = pixels_HW3.shape[:2]
    short = min(height, width)
    left, top = (width - short) / 2, (height - short) / 2
    box = (left, top, left + short, top + short)
    return np.asarray(Image.fromarray(pixels_HW3).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))
