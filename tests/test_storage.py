import os
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from raysuite.errors import StorageError
from raysuite.storage import Location


@contextmanager
def as_nobody():
    """Root may read everything; for the time of the test it is somebody who may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_is_written_is_read_and_nothing_else_is_left(tmp_path):
    file = Location.of(tmp_path) / "deep" / "er" / "a.bin"
    for data in (b"first", b"", b"second" * 1000):
        file.write_bytes(data)
        assert file.read_bytes() == data
    assert [p.name for p in (tmp_path / "deep" / "er").iterdir()] == ["a.bin"]


def test_text_is_utf_8(tmp_path):
    (Location.of(tmp_path) / "a.txt").write_text("Größe 文\n")
    assert (tmp_path / "a.txt").read_bytes() == "Größe 文\n".encode()
    assert (Location.of(tmp_path) / "a.txt").read_text() == "Größe 文\n"


def test_what_is_no_text_is_named_and_may_be_taken_for_any_other_damage(tmp_path):
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    for kind in (StorageError, ValueError):
        with pytest.raises(kind, match=r"latin\.txt is not UTF-8 text"):
            (Location.of(tmp_path) / "latin.txt").read_text()


def test_a_write_that_fails_leaves_no_temporary_file(tmp_path):
    (tmp_path / "taken" / "inner").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"cannot write .*taken"):
        (Location.of(tmp_path) / "taken").write_bytes(b"data")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_what_a_killed_writer_leaves_is_no_part_of_a_folder_of_tables(tmp_path, monkeypatch):
    place = Location.of(tmp_path / "parts" / "a.parquet")
    place.write_table(pa.table({"x": [1, 2]}))

    class Killed(BaseException):
        """What no part of the writing catches."""

    def die(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", die)
        with pytest.raises(Killed):
            place.write_table(pa.table({"x": [1, 2, 3]}))
    assert len(list((tmp_path / "parts").iterdir())) == 2
    assert ds.dataset(tmp_path / "parts").to_table().num_rows == 2


def test_a_write_below_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(StorageError, match=r"cannot write .*file/below"):
        (Location.of(tmp_path) / "file" / "below").write_bytes(b"data")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_write_that_stops_halfway_keeps_the_old_file(tmp_path, monkeypatch):
    file = Location.of(tmp_path) / "a.bin"
    file.write_bytes(b"old")

    def fail(self, target):
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(StorageError, match="no space left"):
        file.write_bytes(b"new")
    assert file.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin"]


def test_relative_absolute_and_uri_name_the_same_place(tmp_path, monkeypatch):
    (tmp_path / "data" / "with space").mkdir(parents=True)
    (tmp_path / "data" / "with space" / "a").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    uri = (tmp_path / "data" / "with space").as_uri()
    for where in ("data/with space", Path("data/with space/"), tmp_path / "data" / "with space", uri, uri + "/"):
        place = Location.of(where)
        assert place.path == str(tmp_path / "data" / "with space")
        assert place.name == "with space"
        assert place.is_local
        assert place.is_dir()
        assert (place / "a").read_bytes() == b"x"


@pytest.mark.parametrize("where", ["/", "file:///"])
def test_the_root_folder_can_be_listed(where):
    assert Location.of(where).is_dir()
    assert ("tmp", True) in Location.of(where).children()


@pytest.mark.parametrize("where", ["nowhere://bucket/folder", "s3a-b://x", "file://[bad"])
def test_an_unknown_scheme_is_refused_by_name(where):
    with pytest.raises(StorageError, match="cannot open") as caught:
        Location.of(where)
    assert where in str(caught.value)


@pytest.mark.parametrize(
    "where", ["~nobody-of-this-name/x", "a\0b", "a/\udcff.png", "\ud800", "s3://bucket/\udcff", "file:///a\0b"]
)
def test_a_path_that_cannot_be_one_is_one_sentence(where):
    with pytest.raises(StorageError, match="cannot open"):
        Location.of(where)


def test_a_link_to_itself_is_one_sentence(tmp_path):
    (tmp_path / "round").symlink_to(tmp_path / "round")
    with pytest.raises(StorageError, match="round"):
        Location.of(tmp_path / "round" / "below").is_file()


def test_a_memory_filesystem_works_as_a_disk_does():
    place = Location.of("mock:///folder")
    place.fs.create_dir("folder")
    (place / "a").write_bytes(b"x")
    assert not place.is_local
    assert place.children() == [("a", False)]
    assert (place / "a").read_bytes() == b"x"


def test_files_and_folders_are_told_apart(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    there = Location.of(tmp_path)
    assert (there.is_dir(), there.is_file()) == (True, False)
    assert ((there / "file").is_dir(), (there / "file").is_file()) == (False, True)
    assert ((there / "none").is_dir(), (there / "none").is_file()) == (False, False)


def test_walk_is_sorted_and_relative(tmp_path):
    for name in ("b/2", "b/10", "a/z/deep", "c", "a/y", ".hidden", "ä"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "empty").mkdir()
    assert list(Location.of(tmp_path).walk()) == [".hidden", "a/y", "a/z/deep", "b/10", "b/2", "c", "ä"]


def test_a_name_that_is_not_utf8_is_told_as_text(tmp_path):
    try:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    (tmp_path / "ä").mkdir()
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    assert Location.of(tmp_path).children() == [(r"\xff.png", False), ("ä", True)]
    assert Location.of(tmp_path).children(lost=True) == [(r"\xff.png", False), ("lost", False), ("ä", True)]
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe")).mkdir()
    with pytest.raises(StorageError, match=r"cannot list .*folder \\xfe in it is not UTF-8"):
        Location.of(tmp_path).children()


def test_no_more_is_read_than_is_asked_for_and_only_of_a_file(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789" * 20_000)
    file = Location.of(tmp_path) / "a"
    assert file.read_at_most(15) == b"012345678901234"
    assert file.read_at_most(200_000) == file.read_at_most(10**9) == file.read_bytes()
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/zero"), tmp_path):
        with pytest.raises(StorageError, match=f"cannot read {place}: "):
            Location.of(place).read_at_most(10)


def test_what_is_missing_is_named(tmp_path):
    missing = Location.of(tmp_path) / "missing"
    for act in (missing.children, missing.read_bytes, missing.read_table, lambda: list(missing.walk())):
        with pytest.raises(StorageError, match=str(missing)):
            act()


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match=r"cannot list .*file"):
        (Location.of(tmp_path) / "file").children()


def test_an_unreadable_folder_is_named_not_skipped(tmp_path):
    locked = tmp_path / "data" / "locked"
    locked.mkdir(parents=True)
    (locked / "a").write_bytes(b"x")
    locked.chmod(0)
    try:
        with as_nobody():
            for act in (
                (Location.of(locked)).children,
                (Location.of(locked) / "a").read_bytes,
                lambda: (Location.of(locked) / "b").write_bytes(b""),
            ):
                with pytest.raises(StorageError, match=r"data/locked"):
                    act()
    finally:
        locked.chmod(0o700)


def test_a_table_survives_and_a_damaged_one_is_named(tmp_path):
    file = Location.of(tmp_path) / "a=1" / "t.parquet"
    table = pa.table({"x": [1, 2], "name": ["a", None]})
    file.write_table(table)
    assert file.read_table() == table, "a folder named as a partition adds no column"
    assert file.read_table(["name"]).column_names == ["name"]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(StorageError, match=r"cannot read the table .*t\.parquet"):
        file.read_table()


def test_deleting_a_folder_takes_what_is_in_it_and_no_more(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "keep").write_bytes(b"")
    (Location.of(tmp_path) / "a").delete_dir()
    (Location.of(tmp_path) / "a").delete_dir()
    assert [p.name for p in tmp_path.iterdir()] == ["keep"]


def test_one_place_has_one_name_however_it_is_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A run folder remembers where its data lies, and must know it again from another working folder.
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert Location.of("../data").uri == Location.of(tmp_path / "data").uri


def test_options_of_a_uri_stay_behind_its_path_and_names_may_hold_anything() -> None:
    options = "?endpoint_override=127.0.0.1:9&scheme=http&region=us-east-1"
    place = Location.of(f"s3://bucket/run/{options}") / "a b/100 %" / "ü?#.txt"
    assert place.uri == f"s3://bucket/run/a%20b/100%20%25/%C3%BC%3F%23.txt{options}"
    assert place.path == "bucket/run/a b/100 %/ü?#.txt"
    assert Location.of(place.uri).path == place.path
    assert Location.of(place.uri).fs == place.fs
