"""VisA's layout: a CSV file says which image belongs where.

``split_csv/1cls.csv`` has the columns object, split, label, image and mask, its paths relative to the root.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from raysuite.datasets.entries import Entry, checked_category
from raysuite.datasets.layouts.folders import at, image_names
from raysuite.errors import DatasetError, StorageError
from raysuite.storage import Location

SPLIT_FILE = "split_csv/1cls.csv"
_COLUMNS = ("object", "split", "label", "image", "mask")
_LABELS = {"normal": (0, "good"), "anomaly": (1, "anomaly")}


def rows_of(root: Location) -> list[dict[str, str]]:
    """The split file's rows, checked.

    Raises:
        DatasetError: The file cannot be read, lacks a column, or a row says what cannot be.
    """
    where = root / SPLIT_FILE
    try:
        text = where.read_bytes().decode("utf-8-sig")
        reader = csv.DictReader(text.splitlines(), strict=True)
        missing = [column for column in _COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"{where} lacks the column {missing[0]}: expected {', '.join(_COLUMNS)}")
        rows = [{column: (row[column] or "").strip() for column in _COLUMNS} for row in reader]
    except StorageError as error:
        raise DatasetError(f"the layout visa has a split file: {error}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"cannot read the split file {where}: {error}") from error
    first_line: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        at = f"{where}, line {number}"
        checked_category(row["object"], at)
        if row["split"] not in {"train", "test"}:
            raise DatasetError(f"{at}: the split is {row['split']!r}, expected train or test")
        if row["label"] not in _LABELS:
            raise DatasetError(f"{at}: the label is {row['label']!r}, expected normal or anomaly")
        if row["split"] == "train" and row["label"] == "anomaly":
            raise DatasetError(f"{at}: an anomaly is in the train split, where only normal images belong")
        for column in ("image", "mask"):
            if row[column].startswith("/") or not {".", ".."}.isdisjoint(row[column].split("/")):
                raise DatasetError(f"{at}: the {column} {row[column]!r} is not a path below the data set's folder")
        if not row["image"]:
            raise DatasetError(f"{at}: the image's path is empty")
        if row["image"] in first_line:
            raise DatasetError(f"{at}: {row['image']} was already named in line {first_line[row['image']]}")
        first_line[row["image"]] = number
    return rows


def entries_of(root: Location, rows: list[dict[str, str]], category: str) -> Iterator[Entry]:
    """All images of one category. A mask that is named but missing counts as none."""
    present: dict[str, frozenset[str]] = {}
    for row in rows:
        if row["object"] != category:
            continue
        label, defect = _LABELS[row["label"]]
        folder, _, name = row["mask"].rpartition("/")
        if folder not in present and label == 1:
            present[folder] = frozenset(image_names(at(root, folder)))
        mask = row["mask"] if label == 1 and name in present[folder] else None
        yield Entry(row["image"], category, row["split"], label, defect, row["image"], mask)
