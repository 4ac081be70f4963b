"""Plain folders of images, for people who have photographs and no benchmark.

A category is a folder with images directly in it, or in ``good/``: those are good. Its other subfolders are kinds of
defects. Without defects all good images train. With defects every fifth good image is kept for the test, since a test
of defects alone could not tell how many good parts are rejected.
"""

from __future__ import annotations

from collections.abc import Iterator

from raysuite.datasets.entries import Entry
from raysuite.datasets.layouts.folders import (
    at,
    check_spelling,
    image_names,
    joined,
    masks_by_stem,
    stem,
    subfolders,
)
from raysuite.storage import Location

GOOD = "good"
_TRUTH = "ground_truth"
_TEST_EVERY = 5


def is_category(folder: Location) -> bool:
    """Whether a folder is a category: with good images directly in it or in ``good/``."""
    return bool(image_names(folder)) or bool(image_names(folder / GOOD))


def category_folders(root: Location) -> dict[str, str]:
    """Category → its folder relative to the root, empty if the root itself is the category."""
    if is_category(root):
        return {root.name: ""}
    return {name: name for name in subfolders(root) if is_category(root / name)}


def entries_of(root: Location, category: str, folder: str) -> Iterator[Entry]:
    """All images of one category."""
    good = [joined(folder, name) for name in image_names(at(root, folder))]
    good += [joined(folder, GOOD, name) for name in image_names(root / joined(folder, GOOD))]
    defects = []
    for kind in subfolders(at(root, folder)):
        if kind in {GOOD, _TRUTH}:
            continue
        check_spelling(kind, GOOD, str(root / joined(folder, kind)))
        truth = joined(folder, _TRUTH, kind)
        masks = masks_by_stem(root / truth)
        for name in image_names(root / joined(folder, kind)):
            path, mask = joined(folder, kind, name), masks.get(stem(name))
            defects.append(Entry(path, category, "test", 1, kind, path, f"{truth}/{mask}" if mask else None))
    for k, path in enumerate(sorted(good)):
        split = "test" if defects and k % _TEST_EVERY == _TEST_EVERY - 1 else "train"
        yield Entry(path, category, split, 0, "good", path, None)
    yield from defects
