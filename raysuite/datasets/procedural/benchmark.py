"""Writes procedural categories as an ordinary data set in the MVTec layout."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Iterable, Sequence
from typing import ClassVar, Protocol, Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from raysuite.datasets.layouts.folders import IMAGE_SUFFIXES, suffix
from raysuite.datasets.procedural.fields import Array
from raysuite.datasets.procedural.flange import Flange
from raysuite.datasets.procedural.grain import Grain
from raysuite.datasets.procedural.weave import Weave
from raysuite.errors import DatasetError
from raysuite.storage import Location

VISIBLE = 6
"""A pixel counts as changed when a channel differs by this many of the 255 levels: twice the camera's noise."""

_SMALLEST = 12  # at 128 pixels a side: specks of a mask below this many pixels are taken back
_SMALLEST_SIDE = 32
_TRIES = 100


class Scene(Protocol):
    """Something that can be photographed, good or with one defect."""

    kinds: ClassVar[tuple[str, ...]]

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int) -> Self:
        """A good one."""
        ...

    def damage(self, kind: str, rng: np.random.Generator) -> Self:
        """The same one with a defect."""
        ...

    def shade(self) -> Array:
        """Its photograph."""
        ...


CATEGORIES: dict[str, type[Scene]] = {"weave": Weave, "grain": Grain, "flange": Flange}
"""The built-in categories by name: a regular texture, a stochastic texture, an aligned object."""


def draw_good(category: str, *, seed: int, split: str, index: int, size: int = 128) -> npt.NDArray[np.uint8]:
    """One good image, (size, size, 3) uint8 RGB. The same arguments give the same pixels.

    Raises:
        DatasetError: There is no such category.
    """
    scene = _class_of(category).draw(_rng(seed, category, f"{split}/good", index), size)
    return _quantised(scene.shade())


def draw_defect(
    category: str, kind: str, *, seed: int, index: int, size: int = 128
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """One image with one defect, and where it is.

    Outside the mask the image equals the good photograph of the same scene, with the same noise, to the bit. Inside
    lies what changed by `VISIBLE` levels or more, with its gaps closed: a moved thread leaves some pixels the same by
    chance, and a person would not cut those out.

    Returns:
        ``(image_HW3, mask_HW)``: uint8 RGB and bool, ``size`` pixels a side.

    Raises:
        DatasetError: There is no such category, it has no such kind of defect, or the image is too small to show one.
    """
    _check_size(size)
    scene_class = _class_of(category)
    if kind not in scene_class.kinds:
        raise DatasetError(f"{category} has no defect {kind!r}: take one of {', '.join(scene_class.kinds)}")
    rng = _rng(seed, category, f"test/{kind}", index)
    scene = scene_class.draw(rng, size)
    good_HW3 = _quantised(scene.shade())
    smallest = _SMALLEST * (size / 128) ** 2
    for _ in range(_TRIES):  # a defect may fall where it shows too little, such as a stain on a shadow: draw it again
        bad_HW3 = _quantised(scene.damage(kind, rng).shade())
        mask_HW = _region(good_HW3, bad_HW3, smallest)
        if mask_HW.sum() >= 3 * smallest:
            return np.where(mask_HW[..., None], bad_HW3, good_HW3), mask_HW
    raise DatasetError(f"{category} {index} shows no {kind} with seed {seed}: take another seed")


def write_benchmark(
    root: Location | str | os.PathLike[str],
    *,
    seed: int,
    image_size: int = 128,
    train: int = 60,
    good: int = 20,
    defect_per_kind: int = 5,
    categories: Sequence[str] = (),
) -> int:
    """Write procedural categories as PNG files in the MVTec layout.

    Args:
        root: The folder to write to; one folder a category is made below it.
        seed: The same seed gives the same files; another seed gives other images of the same kind.
        image_size: Pixels a side.
        train: Good training images a category.
        good: Good test images a category.
        defect_per_kind: Test images of each kind of defect.
        categories: Names out of `CATEGORIES`; by default all.

    Returns:
        The number of images written, masks not counted.

    Raises:
        DatasetError: There is no such category, ``image_size`` is too small for it, or the folder holds something that
            would stay beside what is drawn.
        StorageError: The folder cannot be written.
    """
    _check_size(image_size)
    root = root if isinstance(root, Location) else Location.of(root)
    for category in categories:
        _class_of(category)
    written = 0
    categories = categories or tuple(CATEGORIES)
    _check_room(
        root,
        [
            f"{category}/{place}/{index:03d}{tail}.png"
            for category in categories
            for place, tail, count in (
                ("train/good", "", train),
                ("test/good", "", good),
                *((f"test/{kind}", "", defect_per_kind) for kind in _class_of(category).kinds),
                *((f"ground_truth/{kind}", "_mask", defect_per_kind) for kind in _class_of(category).kinds),
            )
            for index in range(count)
        ],
    )
    for category in categories:
        folder = root / category
        for split, count in (("train", train), ("test", good)):
            for index in range(count):
                image_HW3 = draw_good(category, seed=seed, split=split, index=index, size=image_size)
                (folder / split / "good" / f"{index:03d}.png").write_bytes(_png(image_HW3))
                written += 1
        for kind in _class_of(category).kinds:
            for index in range(defect_per_kind):
                image_HW3, mask_HW = draw_defect(category, kind, seed=seed, index=index, size=image_size)
                (folder / "test" / kind / f"{index:03d}.png").write_bytes(_png(image_HW3))
                mask_u8_HW = mask_HW.astype(np.uint8) * np.uint8(255)
                (folder / "ground_truth" / kind / f"{index:03d}_mask.png").write_bytes(_png(mask_u8_HW))
                written += 1
    return written


def _check_size(size: int) -> None:
    if size < _SMALLEST_SIDE:
        raise DatasetError(f"an image of {size} pixels a side is too small for defects: take {_SMALLEST_SIDE} or more")


def _class_of(category: str) -> type[Scene]:
    if category not in CATEGORIES:
        raise DatasetError(f"there is no built-in category {category!r}: take one of {', '.join(CATEGORIES)}")
    return CATEGORIES[category]


def _rng(seed: int, category: str, group: str, index: int) -> np.random.Generator:
    # Every image has its own stream, so that image 7 stays the same whatever else is written.
    return np.random.default_rng([seed, zlib.crc32(category.encode()), zlib.crc32(group.encode()), index])


def _quantised(photo_HW3: Array) -> npt.NDArray[np.uint8]:
    return np.asarray(np.rint(np.clip(photo_HW3, 0.0, 1.0) * 255.0), dtype=np.uint8)


def _region(good_HW3: npt.NDArray[np.uint8], bad_HW3: npt.NDArray[np.uint8], smallest: float) -> npt.NDArray[np.bool_]:
    changed_HW = np.abs(good_HW3.astype(np.int16) - bad_HW3).max(axis=2) >= VISIBLE
    near = ndimage.generate_binary_structure(2, 1)
    # Closing on a padded field, else it would eat the border; a radius of 1/42 of the side spans the common gaps.
    radius = max(1, len(changed_HW) // 42)
    padded_HW = np.pad(changed_HW, radius)
    closed_HW = ndimage.binary_closing(padded_HW, near, iterations=radius)[radius:-radius, radius:-radius]
    parts_HW, count = ndimage.label(ndimage.binary_fill_holes(closed_HW), np.ones((3, 3)))
    sizes = np.bincount(parts_HW.ravel(), minlength=count + 1)
    return np.asarray((sizes >= smallest)[parts_HW] & (parts_HW > 0))


def _png(pixels: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _check_room(root: Location, files: Iterable[str]) -> None:
    """Drawing the same files again is well; others, of another drawing or of somebody, would be taken for its own.

    Categories of another seed or size are not told apart.
    """
    # One category may be drawn after the other.
    own: dict[str, set[str]] = {"": set(CATEGORIES)}
    for file in files:
        parts = file.split("/")
        for k, part in enumerate(parts):
            own.setdefault("/".join(parts[:k]), set()).add(part)
    for path, names in own.items():
        folder = root / path if path else root
        for name, is_dir in folder.children() if folder.is_dir() else ():
            if name not in names and not name.startswith(".") and (is_dir or suffix(name) in IMAGE_SUFFIXES):
                raise DatasetError(
                    f"{folder} holds {name}, which would stay beside the images that are drawn: take another folder"
                )
