"""Which files and folders of a command the cluster sees, and copying there those that it does not."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from raysuite.archives.folders import walk
from raysuite.errors import ConfigError, StorageError
from raysuite.storage import Location


@dataclass(frozen=True, slots=True)
class Place:
    """A file or folder that a command names.

    Attributes:
        word: As it is named.
        what: The argument or option that names it, such as ``--run``.
        is_read: Whether it must be there before the command; it can be copied then.
        at: Which of the command's words names it, at its end; ``None`` if it is named by default.
    """

    word: str
    what: str
    is_read: bool
    at: int | None = None


def is_visible(word: str, shared: Sequence[str]) -> bool:
    """Whether all nodes see a place under this name: a URI, or a path below a folder that is said to be shared."""
    path = word
    if "://" in word:
        parts = urlsplit(word)
        if parts.scheme != "file":
            return True
        path = parts.path
    pure = PurePosixPath(path)
    return pure.is_absolute() and ".." not in pure.parts and any(pure.is_relative_to(folder) for folder in shared)


def seen_by_all(
    command: Sequence[str], places: Sequence[Place], shared: Sequence[str], upload: Location | None
) -> tuple[str, ...]:
    """The command with every place in it named as the cluster sees it.

    Args:
        command: Its words.
        places: The places among them.
        shared: Folders that all nodes see under the same name.
        upload: Where local files and folders that are read are copied to, if they may be.

    Raises:
        ConfigError: A place is of this machine alone, and is not to be copied or cannot be.
        StorageError: The copying failed.
    """
    words = list(command)
    for place in places:
        if is_visible(place.word, shared):
            continue
        if upload is None or not place.is_read:
            raise ConfigError(_refusal(place))
        if not Path(place.word).expanduser().exists():
            raise ConfigError(f"{place.what} is {place.word}, which is not there, so it cannot be copied to {upload}")
        copied = copy(Path(place.word).expanduser(), upload).uri
        if place.at is not None:
            # Other words may be the same, such as a preset's name.
            words[place.at] = f"{words[place.at].removesuffix(place.word)}{copied}"
    return tuple(words)


def _refusal(place: Place) -> str:
    told = f"{place.what} is {place.word}, a path that the cluster may not see: "
    if not place.word.startswith(("/", "file:/")):
        told = f"{place.what} is {place.word}, a path below a folder of this machine: "
    if place.is_read:
        return (
            f"{told}name a URI, or an absolute path below a folder that all nodes share and --shared names, or have it "
            "copied with --upload URI"
        )
    return f"{told}name a URI, or an absolute path below a folder that all nodes share and --shared names"


def copy(source: Path, to: Location) -> Location:
    """Copy a file or folder, without hidden files, to a name that its content gives, unless it is there already.

    Links are followed, as they are where the command reads the folder itself.

    Raises:
        StorageError: It cannot be read, or not written; or something in it would not arrive, such as a link to nothing.
    """
    source = source.resolve()
    try:
        name = f"{source.stem}-{_digest(source)}{source.suffix}"
        target, done = to / name, to / f"{name}.copied.json"
        if done.is_file():
            return target
        count = size = 0
        for file, inner in _files(source):
            goal = Location(target.fs, f"{target.path}/{inner}" if inner else target.path, target.uri)
            if to.is_local:
                target.fs.create_dir(goal.path.rpartition("/")[0], recursive=True)
            with file.open("rb") as stream, target.fs.open_output_stream(goal.path) as sink:
                shutil.copyfileobj(stream, sink, 2**20)
            count, size = count + 1, size + file.stat().st_size
        done.write_text(json.dumps({"files": count, "bytes": size}) + "\n")
    except OSError as error:
        raise StorageError(f"cannot copy {source} to {to}: {error}") from error
    return target


def _files(source: Path) -> Iterator[tuple[Path, str]]:
    """Files with their path below the source, which is empty for a source that is a file itself."""
    if source.is_file():
        yield source, ""
        return
    for found in walk(Location.of(source)):
        if found.error is not None:
            raise StorageError(f"cannot copy {source}: {found.error}; what cannot be read there has to go first")
        yield source / found.path, found.path


def _digest(source: Path) -> str:
    total = hashlib.sha256()
    for file, inner in _files(source):
        with file.open("rb") as stream:
            total.update(f"{inner}\n{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    return total.hexdigest()[:12]
