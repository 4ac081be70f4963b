"""What a data set holds and what is wrong with it, found by reading every file once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raysuite.datasets.entries import Listing
from raysuite.datasets.reading import read_sample


@dataclass(frozen=True, slots=True)
class CategoryReport:
    """What one category holds. Counts include unreadable images: they are part of the data set as found.

    Attributes:
        category: Its name.
        train_good: Good training images.
        test_good: Good test images.
        test_defects: Kind of defect → test images.
        sizes: (height, width, images), the most frequent first.
        modes: Pillow's pixel type → images, the most frequent first.
        missing_masks: Ids of defect images without a mask.
        failures: (id, error) of images that cannot be used.
        leaks: Groups of ids with the same bytes, some in train and some in test: their test is worth nothing.
        duplicates: Groups of ids with the same bytes within one split.
    """

    category: str
    train_good: int
    test_good: int
    test_defects: dict[str, int]
    sizes: tuple[tuple[int, int, int], ...]
    modes: dict[str, int]
    missing_masks: tuple[str, ...]
    failures: tuple[tuple[str, str], ...]
    leaks: tuple[tuple[str, ...], ...]
    duplicates: tuple[tuple[str, ...], ...]


def inspect(listing: Listing) -> Iterator[CategoryReport]:
    """Read every file of a data set, and report on one category after the other; only one image is held at a time."""
    for category in listing.categories:
        rows = (read_sample(listing.root, entry) for entry in listing.of(category))
        yield inspect_rows(category, rows)


def inspect_rows(category: str, rows: Iterable[Mapping[str, Any]]) -> CategoryReport:
    """Report on the rows of one category, from `read_sample` or from shards."""
    good: Counter[str] = Counter()
    defects: Counter[str] = Counter()
    sizes: Counter[tuple[int, int]] = Counter()
    modes: Counter[str] = Counter()
    missing_masks: list[str] = []
    failures: list[tuple[str, str]] = []
    same: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for row in rows:
        if row["label"] == 0:
            good[row["split"]] += 1
        else:
            defects[row["defect"] or "unknown"] += 1
        if row["error"] is not None:
            failures.append((row["id"], row["error"]))
        elif row["label"] == 1 and row["mask"] is None:
            missing_masks.append(row["id"])
        if row["height"] is not None:  # the image itself could be decoded
            sizes[row["height"], row["width"]] += 1
            # Shards of older versions do not name it.
            modes[row.get("mode") or "unknown"] += 1
        if row["sha256"] is not None and row["height"] is not None:
            same[row["sha256"]].append((row["split"], row["id"]))

    groups = [group for group in same.values() if len(group) > 1]
    across = [group for group in groups if len({split for split, _ in group}) > 1]
    within = [group for group in groups if len({split for split, _ in group}) == 1]
    return CategoryReport(
        category=category,
        train_good=good["train"],
        test_good=good["test"],
        test_defects=dict(sorted(defects.items())),
        sizes=tuple((h, w, n) for (h, w), n in sizes.most_common()),
        modes=dict(modes.most_common()),
        missing_masks=tuple(missing_masks),
        failures=tuple(failures),
        leaks=tuple(tuple(name for _, name in group) for group in across),
        duplicates=tuple(tuple(name for _, name in group) for group in within),
    )
