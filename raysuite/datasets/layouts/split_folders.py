"""Layouts with a folder a split: MVTec AD, and BTAD, whose good and bad are called ``ok`` and ``ko``.

::

    <category>/train/good/000.png
    <category>/test/good/000.png
    <category>/test/scratch/000.png
    <category>/ground_truth/scratch/000_mask.png
"""

from __future__ import annotations

from collections.abc import Iterator

from raysuite.datasets.entries import Entry
from raysuite.datasets.layouts.folders import check_spelling, image_names, joined, masks_by_stem, stem, subfolders
from raysuite.storage import Location

GOOD_FOLDER = {"mvtec": "good", "btad": "ok"}
"""What each layout calls the folder of good images."""


def is_category(folder: Location) -> bool:
    """Whether a folder is one category of these layouts."""
    return not {"train", "test"}.isdisjoint(subfolders(folder))


def category_folders(root: Location) -> dict[str, str]:
    """Category → its folder relative to the root, empty if the root itself is the category."""
    if is_category(root):
        return {root.name: ""}
    return {name: name for name in subfolders(root) if is_category(root / name)}


def uses(root: Location, folder: str, layout: str) -> bool:
    """Whether a category's training images lie where this layout has them."""
    return (root / joined(folder, "train", GOOD_FOLDER[layout])).is_dir()


def entries_of(root: Location, category: str, folder: str, layout: str) -> Iterator[Entry]:
    """All images of one category."""
    good = GOOD_FOLDER[layout]
    train = joined(folder, "train", good)
    for name in image_names(root / train):
        yield Entry(f"{train}/{name}", category, "train", 0, "good", f"{train}/{name}", None)
    for kind in subfolders(root / joined(folder, "test")):
        test, truth = joined(folder, "test", kind), joined(folder, "ground_truth", kind)
        check_spelling(kind, good, str(root / test))
        masks = {} if kind == good else masks_by_stem(root / truth)
        for name in image_names(root / test):
            path, mask = f"{test}/{name}", masks.get(stem(name))
            if kind == good:
                yield Entry(path, category, "test", 0, "good", path, None)
            else:
                yield Entry(path, category, "test", 1, kind, path, f"{truth}/{mask}" if mask else None)
