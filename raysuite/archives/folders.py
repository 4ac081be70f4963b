"""Files below a folder, or that match a pattern, in a stream: local or on any pyarrow filesystem."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import pyarrow.fs as pafs

from raysuite.errors import DatasetError, StorageError
from raysuite.storage import Location, is_folder, readable

SORTED = 1_000_000
"""Folders of fewer entries are passed through in order; larger ones as the filesystem gives them, to hold none in
memory. One that grows to more has other units of work from then on."""


@dataclass(frozen=True, slots=True)
class Found:
    r"""One file, or a folder that cannot be listed.

    Attributes:
        path: Relative to where the walk began; what is no UTF-8 in it is written as ``\xff``. A
            folder ends in a slash.
        size: Bytes.
        modified: Nanoseconds since 1970, as text; empty where it is not known.
        error: Why it cannot be read, if that shows already.
    """

    path: str
    size: int | None = None
    modified: str = ""
    error: str | None = None


def walk(root: Location, enters: Callable[[str], bool] = lambda _: True) -> Iterator[Found]:
    """All files below a folder, hidden ones (with a leading dot) left out; folders in order of their names.

    A folder that cannot be listed is one thing found, with an error. Links to folders are followed, not in a circle.

    Args:
        root: The folder.
        enters: Whether a folder below it, by its path from there, is looked into.
    """
    if isinstance(root.fs, pafs.LocalFileSystem):
        yield from _local(root.path, "", frozenset(), enters)
    else:
        yield from _remote(root, "", enters)


def _local(top: str, below: str, above: frozenset[tuple[int, int]], enters: Callable[[str], bool]) -> Iterator[Found]:
    folder = f"{top}/{below}" if below else top
    try:
        stat = Path(folder).stat()
        if (here := (stat.st_dev, stat.st_ino)) in above:
            return
        with os.scandir(folder) as scan:
            visible = (entry for entry in scan if not entry.name.startswith("."))
            first = list(islice(visible, SORTED))
            if len(first) < SORTED:
                first.sort(key=lambda entry: entry.name)
            folders = []
            for entry in chain(_drained(first), visible):
                path = f"{below}/{entry.name}" if below else entry.name
                if not is_folder(entry):
                    yield _file(path, entry)
                elif enters(path):
                    folders.append(path)
    except OSError as error:
        yield Found(f"{readable(below)}/", error=f"Unreadable: the folder cannot be listed: {error.strerror or error}")
        return
    for path in sorted(folders):
        yield from _local(top, path, above | {here}, enters)


def _drained(entries: list[os.DirEntry[str]]) -> Iterator[os.DirEntry[str]]:
    """All of a list, which keeps none that has been passed: each comes to hold what the system tells of it."""
    entries.reverse()
    while entries:
        yield entries.pop()


def _file(path: str, entry: os.DirEntry[str]) -> Found:
    if (name := readable(path)) != path:
        return Found(name, error=f"Unreadable: the name of {name} is not UTF-8: rename it")
    try:
        stat = entry.stat()
    except OSError as error:
        return Found(path, error=f"Unreadable: {path}: {error.strerror or error}")
    if not entry.is_file():
        return Found(path, error=f"Unreadable: {path} is no regular file")
    return Found(path, stat.st_size, str(stat.st_mtime_ns))


def _remote(root: Location, below: str, enters: Callable[[str], bool]) -> Iterator[Found]:
    where = f"{root.path}/{below}" if below else root.path
    try:
        infos = root.fs.get_file_info(pafs.FileSelector(where))
    except (OSError, UnicodeDecodeError) as error:
        yield Found(f"{below}/", error=f"Unreadable: the folder cannot be listed: {error}")
        return
    infos.sort(key=lambda info: info.base_name)
    folders = []
    for info in infos:
        if info.base_name.startswith("."):
            continue
        path = f"{below}/{info.base_name}" if below else info.base_name
        if info.type != pafs.FileType.Directory:
            yield Found(path, info.size, modified(info))
        elif enters(path):
            folders.append(path)
    for path in folders:
        yield from _remote(root, path, enters)


def modified(info: pafs.FileInfo) -> str:
    """When a file was changed, as text; empty where the filesystem does not tell."""
    return "" if info.mtime_ns is None else str(info.mtime_ns)


def version_of(where: Location) -> tuple[int, str]:
    """Size of a file, and when it was changed.

    Raises:
        StorageError: There is no such file, or it may not be looked at.
    """
    try:
        info = where.fs.get_file_info(where.path)
    except OSError as error:
        raise StorageError(f"cannot look at {where}: {error}") from error
    if info.type != pafs.FileType.File:
        raise StorageError(f"there is no file {where}")
    return int(info.size or 0), modified(info)


def split_pattern(text: str) -> tuple[str, str] | None:
    """The folder above the first part with ``*``, ``?`` or ``[``, and what follows; None if there is no such part."""
    bare = text.partition("?")[0] if "://" in text else text
    parts = bare.split("/")
    magic = next((k for k, part in enumerate(parts) if re.search(r"[*?\[]", part)), None)
    if magic is None:
        return None
    options = text[len(bare) :]
    return ("/".join(parts[:magic]) or ("/" if bare.startswith("/") else ".")) + options, "/".join(parts[magic:])


def matcher(pattern: str) -> re.Pattern[str]:
    """A pattern of the shell as a regular expression: ``*`` stays within a folder, ``**`` is any number of them.

    Raises:
        DatasetError: What stands between ``[`` and ``]`` is no set of characters.
    """
    out = ""
    parts = pattern.split("/")
    for k, part in enumerate(parts):
        last = k == len(parts) - 1
        if part == "**":
            out += ".*" if last else "(?:[^/]+/)*"
            continue
        out += re.sub(
            r"\\\*|\\\?|\\\[(!?)(.*?)\\\]",
            lambda m: "[^/]*" if m[0] == r"\*" else "[^/]" if m[0] == r"\?" else f"(?!/)[{'^' if m[1] else ''}{m[2]}]",
            re.escape(part).replace(r"\-", "-") if "[" in part else re.escape(part),
        ) + ("" if last else "/")
    try:
        return re.compile(out, re.DOTALL)
    except re.error as error:
        raise DatasetError(
            f"the pattern {pattern!r} cannot be read: {error.msg}; write a set as [abc] or [a-z], and a bracket that "
            "stands for itself as [[]"
        ) from error


def folders_of(pattern: str) -> Callable[[str], bool]:
    """Whether a folder, by its path from where a pattern begins, may hold what fits it, itself or further below.

    Raises:
        DatasetError: As `matcher`.
    """
    *above, _ = pattern.split("/")
    deep = "**" in pattern.split("/")
    above = above[: above.index("**")] if "**" in above else above
    fits = [matcher(part) for part in above]

    def may_hold(path: str) -> bool:
        parts = path.split("/") if path else []
        return (deep or len(parts) <= len(fits)) and all(
            fit.fullmatch(part) is not None for fit, part in zip(fits, parts, strict=False)
        )

    return may_hold
