"""What a cluster does not see is refused before anything is sent, or copied to where it does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raysuite.errors import ConfigError, StorageError
from raysuite.storage import Location
from raysuite.submission.places import Place, copy, is_visible, seen_by_all


@pytest.mark.parametrize(
    ("word", "seen"),
    [
        ("s3://bucket/parts", True),
        ("gs://bucket", True),
        ("/mnt/parts", True),
        ("/mnt", True),
        ("file:///mnt/parts", True),
        ("/mntparts", False),
        ("/home/me/parts", False),
        ("file:///home/me", False),
        ("parts", False),
        ("../mnt/parts", False),
        ("/mnt/../home/me", False),
    ],
)
def test_uris_and_what_lies_below_shared_folders_is_seen(word: str, seen: bool) -> None:
    assert is_visible(word, ("/mnt",)) is seen
    assert not is_visible("/mnt/parts", ())


def test_a_local_path_is_refused_with_what_names_it_and_what_to_do() -> None:
    command = ("benchmark", "parts", "--run", "/home/me/run")
    with pytest.raises(ConfigError, match=r"DATA is parts, a path below a folder of this machine.*--upload URI"):
        seen_by_all(command, [Place("parts", "DATA", is_read=True)], (), None)
    with pytest.raises(ConfigError, match=r"--run is /home/me/run.*--shared names$"):
        seen_by_all(command, [Place("/home/me/run", "--run", is_read=False)], ("/mnt",), Location.of("/mnt/up"))


def test_inputs_are_copied_and_named_anew_where_the_command_names_them(tmp_path: Path) -> None:
    data, settings, up = tmp_path / "parts", tmp_path / "my.yaml", Location.of(tmp_path / "up")
    (data / "good").mkdir(parents=True)
    (data / ".git").mkdir()
    (data / "good" / "a.png").write_bytes(b"abc")
    (data / ".git" / "config").write_text("x")
    settings.write_text("a: 1\n")
    places = [Place(str(data), "DATA", is_read=True, at=1), Place(str(settings), "--config", is_read=True, at=2)]
    command = ("benchmark", str(data), f"--config={settings}", "--run", "s3://b/r", "--category", str(data))
    words = seen_by_all(command, places, (), up)
    assert words[0] == "benchmark"
    assert words[1].startswith(f"{up.path}/parts-")
    assert words[2].startswith(f"--config={up.path}/my-")
    assert words[2].endswith(".yaml")
    assert words[3:] == command[3:]
    assert sorted(Location.of(words[1]).walk()) == ["good/a.png"]
    assert (Path(words[1]) / "good" / "a.png").read_bytes() == b"abc"


def test_the_same_content_is_copied_once_and_under_the_same_name(tmp_path: Path) -> None:
    source, up = tmp_path / "parts", Location.of(tmp_path / "up")
    source.mkdir()
    (source / "a.png").write_bytes(b"abc")
    first = copy(source, up)
    copied = Path(first.path) / "a.png"
    copied.write_bytes(b"changed there")
    assert copy(source, up).path == first.path
    assert copied.read_bytes() == b"changed there"
    (source / "a.png").write_bytes(b"abd")
    assert copy(source, up).path != first.path


def test_a_copy_that_was_broken_off_is_made_again(tmp_path: Path) -> None:
    source, up = tmp_path / "parts", Location.of(tmp_path / "up")
    source.mkdir()
    (source / "a.png").write_bytes(b"abc")
    first = copy(source, up)
    (Path(first.path) / "a.png").write_bytes(b"a")
    Path(f"{first.path}.copied.json").unlink()
    copy(source, up)
    assert (Path(first.path) / "a.png").read_bytes() == b"abc"


def test_what_is_not_there_cannot_be_copied(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "*.tar"), "INPUT", is_read=True)
    with pytest.raises(ConfigError, match="which is not there"):
        seen_by_all(("score", place.word), [place], (), Location.of(tmp_path))


def test_linked_folders_arrive_and_links_to_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.png").write_bytes(b"one")
    data = tmp_path / "data"
    (data / "b").mkdir(parents=True)
    (data / "b" / "2.png").write_bytes(b"two")
    (data / "a").symlink_to(tmp_path / "elsewhere")
    (data / "b" / "circle").symlink_to(data)
    copied = Path(copy(data, Location.of(tmp_path / "uploads")).path)
    assert sorted(p.relative_to(copied).as_posix() for p in copied.rglob("*.png")) == ["a/1.png", "b/2.png"]
    (data / "b" / "9.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match=r"cannot copy .*b/9\.png"):
        copy(data, Location.of(tmp_path / "uploads"))


def test_a_name_that_is_no_text_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / os.fsdecode(b"\xff.png")).write_bytes(b"one")
    with pytest.raises(StorageError, match="UTF-8"):
        copy(tmp_path / "data", Location.of(tmp_path / "uploads"))
