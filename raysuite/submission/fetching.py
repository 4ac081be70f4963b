"""Bringing results here from storage that this machine sees too."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raysuite.errors import StorageError
from raysuite.storage import Location

LEFT_OUT = ("shards/*", "*/checkpoint/*", "checkpoint/*", ".ray/*", "*/.ray/*", "owner.json", "*.tmp")
"""Of a run: the data itself, and what is only of use while it is worked on."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """How much was brought.

    Attributes:
        files: Their number.
        bytes: Their size.
    """

    files: int
    bytes: int


def wanted(name: str, patterns: Sequence[str], *, everything: bool) -> bool:
    """Whether a file is to be brought: one that a pattern fits, if there are any; else all but `LEFT_OUT`."""
    if patterns:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    return everything or not any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT)


def fetch(source: Location, to: Path, patterns: Sequence[str], *, everything: bool) -> Fetched:
    """Copy files of a folder, each whole or not at all, over those of the same name.

    Raises:
        StorageError: The folder is not there, or cannot be read; or the files cannot be written.
    """
    count = size = 0
    for name in source.walk():
        if not wanted(name, patterns, everything=everything):
            continue
        file, target = source / name, to / name
        draft = target.with_name(f"{target.name}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.fs.open_input_stream(file.path) as stream, draft.open("wb") as sink:
                shutil.copyfileobj(stream, sink, 2**20)
            count, size = count + 1, size + draft.stat().st_size
            draft.replace(target)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StorageError(f"cannot copy {file} to {target}: {error}") from error
    return Fetched(count, size)
