"""Every way to hand images over gives each of them once, with the bytes it has."""

from __future__ import annotations

import csv
import itertools
import os
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysuite.archives.limits import Limits
from raysuite.archives.listing import Listing, absolute, inside
from raysuite.archives.reading import opened
from raysuite.archives.routing import Routes
from raysuite.archives.tables import Columns
from raysuite.archives.units import BadItemError, Item, Unit
from raysuite.errors import DatasetError
from raysuite.storage import Location
from tests.scoring.archive import encoded, picture, write_pictures


def read(listing: Listing) -> list[tuple[str, bytes | str]]:
    """Id and bytes, or error, of each item, from units that have been written down and read again."""
    listing.check()
    found: list[tuple[str, bytes | str]] = []
    for unit in listing.units():
        copy = Unit.from_json(unit.to_json())
        assert (copy.key, copy.digest) == (unit.key, unit.digest)
        before = len(found)
        with opened(copy, listing.limits) as fetches:
            for fetch in fetches:
                try:
                    found.append((fetch.item.id, fetch.read()))
                except BadItemError as error:
                    found.append((fetch.item.id, str(error)))
        assert len(found) - before == unit.count
    return found


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 40 images, not to be written to."""
    root = tmp_path_factory.mktemp("photos")
    write_pictures(root, 40)
    (root / "line-0" / "notes.txt").write_text("no image")
    (root / ".hidden.png").write_bytes(b"no")
    return root


def forms(photos: Path, folder: Path) -> Iterator[Path]:
    """The same images in every form."""
    paths = sorted(photos.glob("*/*.png"))
    names = [path.relative_to(photos).as_posix() for path in paths]
    for mode, suffix in (("w", "tar"), ("w:gz", "tar.gz"), ("w:bz2", "tar.bz2"), ("w:xz", "tar.xz")):
        with tarfile.open(folder / f"a.{suffix}", mode) as tar:
            for path, name in zip(paths, names, strict=True):
                tar.add(path, name)
            tar.add(photos / "line-0" / "notes.txt", "line-0/notes.txt")
        yield folder / f"a.{suffix}"
    with pa.CompressedOutputStream(str(folder / "a.tar.zst"), "zstd") as sink:
        sink.write((folder / "a.tar").read_bytes())
    yield folder / "a.tar.zst"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(folder / f"a{method}.zip", "w", method) as packed:
            packed.mkdir("line-0")
            for path, name in zip(paths, names, strict=True):
                packed.write(path, name)
        yield folder / f"a{method}.zip"
    data = [path.read_bytes() for path in paths]
    pq.write_table(pa.table({"id": names, "image": data}), folder / "bytes.parquet", row_group_size=7)
    yield folder / "bytes.parquet"
    structs = [{"bytes": one, "path": None} for one in data]
    pq.write_table(pa.table({"key": names, "image": structs}), folder / "structs.parquet")
    yield folder / "structs.parquet"
    pq.write_table(pa.table({"id": names, "path": [str(path) for path in paths]}), folder / "paths.parquet")
    yield folder / "paths.parquet"
    with (folder / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "path"])
        writer.writerows([name, os.path.relpath(path, folder)] for name, path in zip(names, paths, strict=True))
    yield folder / "list.csv"


def test_every_form_gives_the_same_images(photos: Path, tmp_path: Path) -> None:
    wanted = read(Listing([str(photos)], unit_size=8))
    assert len(wanted) == 40
    assert read(Listing([f"file://{photos}"], unit_size=8)) == wanted
    assert read(Listing([f"{photos}/**/*.png"], unit_size=8)) == wanted
    for form in forms(photos, tmp_path):
        found = [(name.removeprefix(f"{form.name}/"), data) for name, data in read(Listing([str(form)], unit_size=3))]
        assert found == wanted, form.name


def test_archives_within_a_folder_are_opened_and_the_rest_is_counted(photos: Path, tmp_path: Path) -> None:
    list(forms(photos, tmp_path))
    for name in ("paths.parquet", "structs.parquet", "a.tar.xz", "a.tar.bz2"):
        (tmp_path / name).unlink()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "figures.parquet")
    listing = Listing([str(tmp_path)])
    assert len(read(listing)) == 40 * 7
    assert listing.skipped == {"parquet": 1, "csv": 1, "txt": 3}


def test_a_list_of_paths_that_lies_beside_its_images_gives_no_second_row(photos: Path, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 6)
    pq.write_table(pa.table({"file_name": [str(path) for path in paths]}), tmp_path / "metadata.parquet")
    listing = Listing([str(tmp_path)])
    assert len(read(listing)) == 6
    assert listing.skipped == {"parquet": 1}
    assert len(read(Listing([str(tmp_path / "metadata.parquet")]))) == 6


def test_columns_of_categories_and_views_are_text_and_bytes(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 3)
    names = pa.array([str(path) for path in paths])
    data = pa.array([path.read_bytes() for path in paths])
    forms = {
        "a": {"path": names.dictionary_encode()},
        "b": {"path": names.cast(pa.string_view()), "id": pa.array("xyz").cast(pa.string_view())},
        "c": {"image": data.cast(pa.binary_view())},
    }
    for name, columns in forms.items():
        pq.write_table(pa.table(columns), tmp_path / f"{name}.parquet")
        found = [data for _, data in read(Listing([str(tmp_path / f"{name}.parquet")]))]
        assert found == data.to_pylist()


def test_members_that_are_no_images_are_passed_over_however_large(tmp_path: Path) -> None:
    limits = Limits(item_bytes=1000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed, tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("film.mp4", "photo.png"):
            (tmp_path / name).write_bytes(bytes(2000))
            packed.write(tmp_path / name, name)
            tar.add(tmp_path / name, name)
    for archive in ("a.zip", "a.tar"):
        listing = Listing([str(tmp_path / archive)], limits=limits)
        ((name, error),) = read(listing)
        assert name == f"{archive}/photo.png"
        assert str(error).startswith("TooLarge: ")
        assert listing.skipped == {"mp4": 1}


def test_the_same_names_in_two_archives_are_told_apart(photos: Path, tmp_path: Path) -> None:
    for name in ("x/a.tar", "y/a.tar"):
        (tmp_path / name).parent.mkdir()
        with tarfile.open(tmp_path / name, "w") as tar:
            for path in sorted(photos.glob("*/*.png")):
                tar.add(path, path.name)
    units = list(Listing([str(tmp_path / "x/a.tar"), str(tmp_path / "y/a.tar")], unit_size=16).units())
    assert len({unit.key for unit in units}) == len(units) == 6
    assert len({item.uri for unit in units for item in unit.items}) == 80


def test_a_pattern_fits_as_in_a_shell(photos: Path) -> None:
    def count(pattern: str) -> int:
        return len(read(Listing([f"{photos}/{pattern}"])))

    assert [count(p) for p in ("line-0/*.png", "*/0000[13].png", "**/0000[!13].png", "*.png", "line-?/0000?.png")] == [
        20, 2, 8, 0, 10,
    ]  # fmt: skip


def test_a_pattern_looks_into_no_folder_that_it_cannot_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a/1.png", "a/b/2.png", "a/b/c/3.png", "x/b/4.png", "5.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encoded(picture(0)))
    looked: list[str] = []
    scandir = os.scandir

    def seen(folder: str) -> Any:
        looked.append(Path(folder).relative_to(tmp_path).as_posix())
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", seen)

    def of(pattern: str) -> tuple[list[str], list[str]]:
        looked.clear()
        items = [item.id for unit in Listing([f"{tmp_path}/{pattern}"]).units() for item in unit.items]
        return items, sorted(looked)

    assert of("*.png") == (["5.png"], ["."])
    assert of("a*/*.png") == (["a/1.png"], [".", "a"])
    assert of("[xa]/b/*.png") == (["a/b/2.png", "x/b/4.png"], [".", "a", "a/b", "x", "x/b"])
    assert of("[a]/**/3.png") == (["a/b/c/3.png"], [".", "a", "a/b", "a/b/c"])
    assert of("*/b/**") == (["a/b/2.png", "a/b/c/3.png", "x/b/4.png"], [".", "a", "a/b", "a/b/c", "x", "x/b"])


def test_two_stars_fit_names_with_line_breaks_and_brackets_no_slash(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    for name in ("a/on\ntwo.png", "a/y.png"):
        (tmp_path / name).write_bytes(encoded(picture(0)))
    assert len(read(Listing([f"{tmp_path}/**"]))) == len(read(Listing([f"{tmp_path}/**/*"]))) == 2
    assert Routes(("nut", "screw"), (("a/**", "nut"), ("**", "screw"))).of(Item("a/on\ntwo.png", "")) == "nut"
    assert [len(list(Listing([f"{tmp_path}/{p}"]).units())) for p in ("a[!b]y.png", "a[+-9]y.png")] == [0, 0]


@pytest.mark.parametrize(
    "inputs",
    [
        ("*/0000*.png", "line-*/*.png"),
        ("**/*.png", "line-0/*.png", "line-1"),
        ("line-0", "*/*0.png", "[l]ine-1/*.png"),
        ("line-[01]/*", "line-1/*.png", "line-[0-9]/*"),
    ],
)
def test_an_image_that_two_patterns_fit_has_one_row(photos: Path, inputs: tuple[str, ...]) -> None:
    def uris(listing: Listing) -> list[str]:
        return [item.uri for unit in listing.units() for item in unit.items]

    listing = Listing([f"{photos}/{text}" for text in inputs])
    listing.check()
    assert sorted(uris(listing)) == sorted(uris(Listing([f"{photos}"])))
    first = Listing([f"{photos}/{inputs[0]}"])
    assert uris(listing)[: len(uris(first))] == uris(first)


def test_what_a_pattern_passes_over_is_listed_with_the_input_that_finds_it(tmp_path: Path) -> None:
    write_pictures(tmp_path / ".kept", 3)
    write_pictures(tmp_path / "shown", 2)
    assert len(read(Listing([f"{tmp_path}/**/*.png", f"{tmp_path}/.kept/**/*.png"]))) == 5


@pytest.mark.parametrize("pattern", ["[z-a].png", "a[].png", "[]a].png", "b/[9-0]/**"])
def test_a_pattern_that_cannot_be_read_is_one_sentence(photos: Path, pattern: str) -> None:
    with pytest.raises(DatasetError, match=r"pattern .* cannot be read: .*\[a-z\]"):
        Listing([f"{photos}/{pattern}"]).check()
    with pytest.raises(DatasetError, match=r"pattern .* cannot be read"):
        Routes(("nut",), (("**", "nut"), (pattern, "nut")))


def test_a_bracket_stands_for_itself_in_brackets(tmp_path: Path) -> None:
    (tmp_path / "a[1.png").write_bytes(encoded(picture(0)))
    assert [name for name, _ in read(Listing([f"{tmp_path}/a[[]?.png"]))] == ["a[1.png"]


def test_a_file_more_changes_few_units(tmp_path: Path) -> None:
    write_pictures(tmp_path, 300)
    before = {unit.digest for unit in Listing([str(tmp_path)], unit_size=16).units()}
    (tmp_path / "line-0" / "00003a.png").write_bytes(b"new")
    after = {unit.digest for unit in Listing([str(tmp_path)], unit_size=16).units()}
    assert len(before - after) <= 4
    assert len(after) > 25


def test_another_content_is_another_digest_at_the_same_place(tmp_path: Path) -> None:
    paths = write_pictures(tmp_path, 5)
    (before,) = Listing([str(tmp_path)]).units()
    os.utime(paths[2], ns=(1, 1))
    (after,) = Listing([str(tmp_path)]).units()
    assert before.key == after.key
    assert before.digest != after.digest


def test_folders_that_lead_in_a_circle_end(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a", 4)
    (tmp_path / "a" / "round").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "other").symlink_to(tmp_path / "a" / "line-0", target_is_directory=True)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    found = read(Listing([str(tmp_path)]))
    assert len(found) == 4 + 2 + 1
    assert [error for name, error in found if name == "gone.png"] == ["Unreadable: gone.png: No such file or directory"]


def test_names_that_are_no_utf8_are_rows(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"x")
    ((name, error),) = read(Listing([str(tmp_path)]))
    assert name == r"\xff.png"
    assert isinstance(error, str)
    assert error.startswith("Unreadable: ")


def test_a_long_listing_is_never_held(tmp_path: Path) -> None:
    with (tmp_path / "list.csv").open("w") as file:
        file.write("path\n")
        file.writelines(f"s3://bucket/folder/{k:09d}.png\n" for k in range(30_000))
    list(itertools.islice(Listing([str(tmp_path / "list.csv")]).units(), 2))
    tracemalloc.start()
    total = sum(unit.count for unit in Listing([str(tmp_path / "list.csv")]).units())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 30_000
    assert peak < 3e6


def test_a_table_without_images_names_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1], "y": ["z"]}), tmp_path / "t.parquet")
    with pytest.raises(DatasetError, match=r"t\.parquet.* x, y.*--image-column"):
        list(Listing([str(tmp_path / "t.parquet")]).units())
    with pytest.raises(DatasetError, match="'w'"):
        list(Listing([str(tmp_path / "t.parquet")], Columns(image="w")).units())


def test_inputs_that_would_be_listed_twice_are_refused(photos: Path) -> None:
    for pair in ([photos, photos], [photos, photos / "line-0"], [photos / "line-0", photos]):
        with pytest.raises(DatasetError, match=r"twice|in one another"):
            Listing([str(one) for one in pair]).check()
    for pair in (
        ["*/*.png", "*/*.png"],
        ["", "*/*.png"],
        ["line-0/*.png", ""],
        ["line-0", "line-0/*.png"],
        ["*/*.png", "line-0/00000.png"],
    ):
        with pytest.raises(DatasetError, match=r"two rows each"):
            Listing([str(photos / one) for one in pair]).check()
    with pytest.raises(DatasetError, match="given twice"):
        Listing([f"file://{photos}", str(photos)]).check()
    Listing([str(photos / one) for one in ("line-0/*.png", "line-1", "line-0/*.jpg", "*.png")]).check()
    with pytest.raises(DatasetError, match="nothing at"):
        Listing([str(photos / "nowhere")]).check()
    with pytest.raises(DatasetError, match="by its suffix"):
        Listing([str(photos / "line-0" / "notes.txt")]).check()
    assert inside(Location.of(photos / "out"), [absolute(str(photos))]) == str(photos)
    assert inside(Location.of(photos.parent / "out"), [absolute(str(photos))]) is None


def test_items_are_routed_by_pattern_then_table_then_folder() -> None:
    routes = Routes(("nut", "screw"), (("top/*.png", "nut"), ("**/x.png", "screw")))
    assert routes.of(Item("a/top/1.png", "/a/top/1.png", "screw")) == "nut"
    assert routes.of(Item("x.png", "/x.png")) == "screw"
    assert routes.of(Item("1.png", "/nut/1.png", "screw")) == "screw"
    assert routes.of(Item("1.png", "/nut/b/1.png")) == "nut"
    assert routes.of(Item("1", "/d/category=screw/a.parquet#0:1")) == "screw"
    for lost in (Item("1.png", "/b/1.png"), Item("1.png", "/nut/1.png", "bolt")):
        with pytest.raises(BadItemError, match=r"^NoModel: "):
            routes.of(lost)
    assert Routes(("nut",)).of(Item("1.png", "/b/1.png", "bolt")) == "nut"


def test_limits_bound_a_file_that_grew(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x" * 100)
    ((_, told),) = read(Listing([str(tmp_path)], limits=Limits(item_bytes=50)))
    assert isinstance(told, str)
    assert told.startswith("TooLarge: a.png")
