import hashlib
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pytest
from PIL import Image

from raysuite.archives.limits import Limits
from raysuite.datasets import reading
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


def test_what_is_no_regular_file_is_unreadable_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zeros.png").symlink_to("/dev/zero")
    (tmp_path / "lost.png").symlink_to(tmp_path / "nowhere")
    plant(tmp_path, {"a.png": GOOD})
    root = Location.of(tmp_path)
    for name in ("pipe.png", "zeros.png"):
        row = read_sample(root, Entry(name, "cap", "train", 0, "good", name, None))
        assert row["error"].startswith(f"Unreadable: {name} cannot be read: ")
        assert row["error"].endswith("is no regular file")
        row = read_sample(root, Entry("a.png", "cap", "test", 1, "dent", "a.png", name))
        assert row["error"].startswith(f"MaskUnreadable: {name} cannot be read: ")
    row = read_sample(root, Entry("lost.png", "cap", "train", 0, "good", "lost.png", None))
    assert row["error"].startswith("Unreadable: lost.png cannot be read: ")


@pytest.mark.parametrize(
    ("decode", "error"), [("decode_image", "TooLarge: a.png"), ("decode_mask", "MaskTooLarge: m.png")]
)
def test_what_does_not_fit_into_memory_is_a_row_that_says_so(tmp_path, monkeypatch, decode, error):
    def full(_):
        raise MemoryError

    monkeypatch.setattr(reading, decode, full)
    row = read(tmp_path, {"a.png": GOOD, "m.png": MASK})
    assert row["error"] == f"{error} does not fit into memory"
    assert row["image"] == GOOD


def test_a_name_that_is_not_utf8_is_a_row_that_says_so(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(GOOD)
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    listing = find_entries(Location.of(tmp_path))
    (row,) = [read_sample(listing.root, entry) for entry in listing.entries]
    assert row["error"] == r"Unreadable: the name of \xff.png is not UTF-8: rename it"
    pa.Table.from_pylist([row], schema=SAMPLE_SCHEMA)


@pytest.mark.parametrize("where", ["file", "mounted"])
def test_no_more_of_a_file_is_read_than_of_an_archives_member(tmp_path, monkeypatch, where):
    assert Limits().item_bytes == reading.MOST_BYTES
    monkeypatch.setattr(reading, "MOST_BYTES", len(GOOD))
    plant(tmp_path, {"a.png": GOOD, "b.png": GOOD + b"x"})
    root = Location.of(tmp_path)
    if where == "mounted":
        root = Location(pafs.SubTreeFileSystem(str(tmp_path.parent), root.fs), tmp_path.name, "mounted://here")
    errors = [read_sample(root, Entry(n, "c", "train", 0, "good", n, None))["error"] for n in ("a.png", "b.png")]
    assert errors == [None, f"TooLarge: b.png has more than the {len(GOOD)} bytes that are allowed"]


@pytest.mark.data
def test_images_of_mixed_sizes_are_read(real_data):
    listing = find_entries(Location.of(real_data / "kolektor_sdd"))
    rows = [read_sample(listing.root, entry) for entry in listing.entries[::8]]
    assert all(row["error"] is None for row in rows)
    assert len({(row["height"], row["width"]) for row in rows}) > 1
