import hashlib

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from raysuite.datasets.entries import Entry
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.reading import read_sample
from raysuite.datasets.schema import SAMPLE_SCHEMA
from raysuite.storage import Location

from .images import encoded, picture, plant

GOOD = encoded(picture(12, 20))
MASK = encoded(np.eye(12, 20, dtype=np.uint8))


def read(root, files, mask="m.png"):
    plant(root, files)
    return read_sample(Location.of(root), Entry("a.png", "cap", "test", 1, "dent", "a.png", mask))


def test_a_good_row_fits_the_schema_and_keeps_the_bytes_as_found(tmp_path):
    row = read(tmp_path, {"a.png": GOOD, "m.png": MASK})
    assert row["error"] is None
    assert (row["image"], row["mask"]) == (GOOD, MASK)
    assert (row["height"], row["width"]) == (12, 20)
    assert row["sha256"] == hashlib.sha256(GOOD).hexdigest()
    assert (row["id"], row["category"], row["split"], row["label"], row["defect"]) == (
        "a.png",
        "cap",
        "test",
        1,
        "dent",
    )
    table = pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA)
    assert table.to_pylist() == [row]
    assert list(row) == SAMPLE_SCHEMA.names


def test_size_is_that_of_the_upright_image(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    row = read(tmp_path, {"a.png": encoded(picture(12, 20), "JPEG", exif=exif)}, mask=None)
    assert (row["height"], row["width"]) == (20, 12)


def test_a_defect_without_a_mask_is_no_error(tmp_path):
    row = read(tmp_path, {"a.png": GOOD}, mask=None)
    assert row["error"] is None
    assert row["mask"] is None


@pytest.mark.parametrize(
    ("files", "error"),
    [
        ({"m.png": MASK}, "Unreadable: a.png cannot be read"),
        ({"a.png": b""}, "Truncated: a.png is empty"),
        ({"a.png": GOOD[:-30]}, "Truncated: a.png ends too early"),
        ({"a.png": b"hello, world"}, "Undecodable: a.png is not a PNG"),
        ({"a.png": GOOD}, "MaskUnreadable: m.png cannot be read"),
        ({"a.png": GOOD, "m.png": b""}, "MaskTruncated: m.png is empty"),
        ({"a.png": GOOD, "m.png": b"hello"}, "MaskUndecodable: m.png is not a PNG"),
        (
            {"a.png": GOOD, "m.png": encoded(np.eye(20, 12, dtype=np.uint8))},
            "MaskSize: m.png is 12 × 20 pixels, its image a.png is 20 × 12",
        ),
    ],
)
def test_a_bad_file_is_a_row_that_says_what_and_where(tmp_path, files, error):
    row = read(tmp_path, files)
    assert row["error"].startswith(error)
    assert row["image"] == files.get("a.png")
    assert row["mask"] == (files.get("m.png") if files.get("a.png") == GOOD else None)
    assert (row["sha256"] is None) == ("a.png" not in files)
    pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA)


def test_a_folder_in_an_images_place_is_unreadable(tmp_path):
    (tmp_path / "a.png").mkdir()
    assert read(tmp_path, {})["error"].startswith("Unreadable: a.png")


@pytest.mark.data
def test_images_of_mixed_sizes_are_read(real_data):
    listing = find_entries(Location.of(real_data / "kolektor_sdd"))
    rows = [read_sample(listing.root, entry) for entry in listing.entries[::8]]
    assert all(row["error"] is None for row in rows)
    assert len({(row["height"], row["width"]) for row in rows}) > 1
