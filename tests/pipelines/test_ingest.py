"""Files become shards: every file is a row, whatever is wrong with it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from raysuite.datasets.layouts import find_all, find_entries
from raysuite.datasets.shards import Manifest, category_folder, read_samples
from raysuite.errors import DatasetError, RunError, StorageError
from raysuite.locks import owned
from raysuite.pipelines.ingest import shard
from raysuite.storage import Location

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]


@pytest.fixture
def bad_files(small_benchmark: Path, tmp_path: Path) -> Path:
    """The small benchmark with one of each kind of bad file in it."""
    root = tmp_path / "data"
    shutil.copytree(small_benchmark / "weave", root / "weave")
    good = root / "weave" / "train" / "good"
    whole = (good / "000.png").read_bytes()
    (good / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (good / "empty.png").write_bytes(b"")
    (good / "text.png").write_text("not an image")
    mask = next((root / "weave" / "ground_truth").glob("*/000_mask.png"))
    Image.fromarray(np.zeros((10, 12), np.uint8)).save(mask)
    return root


def _rows(shards: Location, category: str) -> list[dict[str, object]]:
    return [row for split in ("train", "test") for row in read_samples(shards, category, split)]


def test_every_file_is_one_row_with_its_bytes(small_benchmark: Path, tmp_path: Path) -> None:
    listing = find_entries(Location.of(small_benchmark))
    shards = Location.of(tmp_path / "shards")
    manifest = shard([listing], shards)
    rows = [row for category in listing.categories for row in _rows(shards, category)]
    assert sorted(str(row["id"]) for row in rows) == sorted(entry.id for entry in listing.entries)
    assert all(row["image"] == (small_benchmark / str(row["id"])).read_bytes() for row in rows)
    assert sum(counts["train"] + counts["test"] for counts in manifest.categories.values()) == len(listing.entries)
    assert Manifest.read(shards) == manifest


def test_bad_files_are_rows_with_an_error_that_names_them(bad_files: Path, tmp_path: Path) -> None:
    listing = find_entries(Location.of(bad_files))
    shards = Location.of(tmp_path / "shards")
    manifest = shard([listing], shards)
    errors = {str(row["id"]).rsplit("/", 1)[-1]: str(row["error"]) for row in _rows(shards, "weave") if row["error"]}
    assert errors.keys() == {"truncated.png", "empty.png", "text.png", "000.png"}
    assert all(name in error for name, error in errors.items())
    assert errors["000.png"].startswith("MaskSize")
    assert manifest.categories["weave"]["failed"] == 4
    assert len(_rows(shards, "weave")) == len(listing.entries)


def test_a_storage_that_fails_is_one_sentence(
    small_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = find_entries(Location.of(small_benchmark), categories=["weave"])
    shards = Location.of(tmp_path / "shards")
    # Of a category's folder a file, and nothing that makes room for one: a disk that is full fails at the same place.
    monkeypatch.setattr(Location, "delete_dir", lambda _: None)
    (tmp_path / "shards").mkdir()
    Path(category_folder(shards, "weave").path).write_text("in the way")
    with pytest.raises(StorageError, match=r"cannot read all images or write .*shards: .*weave"):
        shard([listing], shards)


def test_two_commands_do_not_write_the_same_shards_at_once(small_benchmark: Path, tmp_path: Path) -> None:
    listing = find_entries(Location.of(small_benchmark), categories=["weave"])
    shards = Location.of(tmp_path / "shards")
    with owned(shards, "OUTPUT"), pytest.raises(RunError, match="OUTPUT"):
        shard([listing], shards)
    manifest = shard([listing], shards)
    with owned(shards, "OUTPUT"):
        # Those that are complete are read by any number.
        assert shard([listing], shards) == manifest


def test_shards_with_rows_twice_are_not_taken_for_complete(small_benchmark: Path, tmp_path: Path) -> None:
    listing = find_entries(Location.of(small_benchmark), categories=["weave"])
    shards = Location.of(tmp_path / "shards")
    shard([listing], shards)
    part = next(Path(category_folder(shards, "weave").path).rglob("*.parquet"))
    shutil.copy(part, part.with_name(f"again-{part.name}"))
    with pytest.raises(DatasetError, match="rows twice: delete them"):
        shard([listing], shards)


def test_shards_that_were_not_finished_are_written_anew_without_duplicates(
    small_benchmark: Path, tmp_path: Path
) -> None:
    listing = find_entries(Location.of(small_benchmark), categories=["weave"])
    shards = Location.of(tmp_path / "shards")
    shard([listing], shards)
    (tmp_path / "shards" / "manifest.json").unlink()
    shard([listing], shards)
    assert len(_rows(shards, "weave")) == len(listing.entries)


def test_another_category_is_added_and_the_finished_one_left_alone(small_benchmark: Path, tmp_path: Path) -> None:
    shards = Location.of(tmp_path / "shards")
    shard([find_entries(Location.of(small_benchmark), categories=["weave"])], shards)
    before = category_folder(shards, "weave").children()
    manifest = shard([find_entries(Location.of(small_benchmark))], shards)
    assert category_folder(shards, "weave").children() == before
    assert set(manifest.categories) == {"weave", "flange"}


def test_shards_of_other_data_are_refused(small_benchmark: Path, bad_files: Path, tmp_path: Path) -> None:
    shards = Location.of(tmp_path / "shards")
    shard([find_entries(Location.of(small_benchmark), categories=["weave"])], shards)
    told = f"category weave of {small_benchmark} .layout mvtec., not of {bad_files} .*take another folder"
    with pytest.raises(DatasetError, match=told):
        shard([find_entries(Location.of(bad_files))], shards)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"id": "weave/a.png"}, r"weave/a\.png of category weave came since"),
        ({"label": 1}, "got another split or label since"),
    ],
)
def test_as_many_files_as_before_that_are_others_are_refused(
    small_benchmark: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    listing = find_entries(Location.of(small_benchmark), categories=["weave"])
    shards = Location.of(tmp_path / "shards")
    manifest = shard([listing], shards)
    first, *others = listing.entries
    with pytest.raises(DatasetError, match=f"{told} its shards in {shards} were written: .*take a new folder"):
        shard([replace(listing, entries=(replace(first, **change), *others))], shards)
    assert shard([listing], shards) == manifest


def test_shards_that_cannot_be_read_are_left_to_who_reads_their_images(small_benchmark: Path, tmp_path: Path) -> None:
    listing = find_entries(Location.of(small_benchmark), categories=["weave"])
    shards = Location.of(tmp_path / "shards")
    manifest = shard([listing], shards)
    for name in category_folder(shards, "weave").walk():
        (category_folder(shards, "weave") / name).write_bytes(b"cut")
    assert shard([listing], shards) == manifest


def test_data_sets_whose_images_have_the_same_ids_are_sharded_together(small_benchmark: Path, tmp_path: Path) -> None:
    roots = [small_benchmark / name for name in ("weave", "flange")]
    listings = find_all([Location.of(root) for root in roots])
    shards = Location.of(tmp_path / "shards")
    manifest = shard(listings, shards)
    for root, listing in zip(roots, listings, strict=True):
        rows = _rows(shards, root.name)
        assert sorted(str(row["id"]) for row in rows) == sorted(entry.id for entry in listing.entries)
        assert all(row["image"] == (root / str(row["id"])).read_bytes() for row in rows)
        assert manifest.sources[root.name] == listing.source
    assert {row["id"] for row in _rows(shards, "weave")} & {row["id"] for row in _rows(shards, "flange")}
    assert Manifest.read(shards) == manifest
    assert shard(listings, shards) == manifest


def test_a_data_set_joins_the_shards_of_another_which_are_left_alone(small_benchmark: Path, tmp_path: Path) -> None:
    one, two = find_all([Location.of(small_benchmark / name) for name in ("weave", "flange")])
    shards = Location.of(tmp_path / "shards")
    shard([one], shards)
    before = category_folder(shards, "weave").children()
    manifest = shard([two], shards)
    assert category_folder(shards, "weave").children() == before
    assert manifest.sources == {"weave": one.source, "flange": two.source}


def test_the_manifest_of_a_run_of_one_data_set_in_the_format_before_is_still_read(
    small_benchmark: Path, tmp_path: Path
) -> None:
    listing = find_entries(Location.of(small_benchmark))
    shards = Location.of(tmp_path / "shards")
    manifest = shard([listing], shards)
    file = tmp_path / "shards" / "manifest.json"
    card = json.loads(file.read_text())
    (one,) = card.pop("data_sets")
    file.write_text(json.dumps({**card, "source": one["uri"], "layout": one["layout"]}))
    assert Manifest.read(shards) == manifest


def test_a_data_set_is_read_with_its_credentials_and_named_without(small_benchmark: Path, tmp_path: Path) -> None:
    uri = f"{small_benchmark.as_uri()}?token=hidden"
    (weave,) = find_all([Location.of(uri)], "auto", ("weave",))
    (both,) = find_all([Location.of(uri)], "auto", ())
    shards, file = Location.of(tmp_path / "shards"), tmp_path / "shards" / "manifest.json"
    manifest = shard([weave], shards)
    assert all(row["error"] is None for row in _rows(shards, "weave"))
    (card,) = manifest.data_sets
    assert card["uri"] == uri.replace("hidden", "***")
    assert "hidden" not in file.read_text()
    file.write_text(file.read_text().replace("***", "hidden"))
    assert shard([weave], shards) == manifest, "as an older raysuite left it"
    assert shard([both], shards).categories.keys() == {"flange", "weave"}
    assert "hidden" not in file.read_text()


def test_odd_category_names_survive_the_way_into_shards(small_benchmark: Path, tmp_path: Path) -> None:
    name = "odd name %41=&ü"
    shutil.copytree(small_benchmark / "weave", tmp_path / "data" / name)
    listing = find_entries(Location.of(tmp_path / "data"))
    shards = Location.of(tmp_path / "shards")
    shard([listing], shards)
    rows = _rows(shards, name)
    assert len(rows) == len(listing.entries)
    assert {row["category"] for row in rows} == {name}
