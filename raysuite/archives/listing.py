"""Inputs of any kind → units of work, in a stream: nothing is read but names, and nothing is kept.

Files are cut into units at places that their own names choose, so that a file more or less changes one unit and not all
that follow. Members of an archive and rows of a table are counted off.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path

import pyarrow.fs as pafs

from raysuite.archives import tables, tars, zips
from raysuite.archives.folders import Found, folders_of, matcher, split_pattern, version_of, walk
from raysuite.archives.limits import Limits
from raysuite.archives.tables import Columns
from raysuite.archives.units import Item, Unit
from raysuite.datasets.layouts.folders import IMAGE_SUFFIXES
from raysuite.errors import DatasetError, StorageError
from raysuite.storage import Location

PICTURES = IMAGE_SUFFIXES | {"gif", "jfif", "jpe", "heic", "heif", "avif", "jp2", "jxl", "ppm", "pgm", "dng"}
"""Suffixes of what is an image to a person: those that cannot be decoded are rows with an error, not left out."""

PACKED_FACTOR = 8
"""Compressed tars and row groups, which are read from their beginning on, are cut into units so many times larger."""


@dataclass(slots=True)
class Listing:
    """Lists inputs.

    Attributes:
        inputs: Folders, patterns, archives, tables; paths or URIs.
        columns: Of tables.
        unit_size: Most items of a unit; `PACKED_FACTOR` times as many in compressed tars and Parquet with images.
        limits: Of archives.
        skipped: Counts what was passed over as no image, by suffix; grows while the units are listed.
    """

    inputs: Sequence[str]
    columns: Columns = field(default_factory=Columns)
    unit_size: int = 256
    limits: Limits = field(default_factory=Limits)
    skipped: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Refuse what cannot be listed before any work begins.

        Raises:
            DatasetError: An input is missing, given twice, within another one, or of no known kind.
        """
        places: list[_Given] = []
        for text in self.inputs:
            where = Location.of(text)
            is_file = where.is_file()
            if (pattern := split_pattern(text)) and not (is_file or where.is_dir()):
                matcher(pattern[1])
                if not (top := Location.of(pattern[0])).is_dir():
                    raise DatasetError(f"there is no folder {pattern[0]} for the pattern {text}")
                places.append(_Given(text, top, False, pattern[1]))
                continue
            if is_file:
                if not _is_known(where.path):
                    raise DatasetError(f"{text} is no image, archive, Parquet or CSV file by its suffix")
            elif not where.is_dir():
                raise DatasetError(f"there is nothing at {text}")
            places.append(_Given(text, where, is_file))
        for k, one in enumerate(places):
            for other in places[:k]:
                if one.where.fs != other.where.fs:
                    continue
                if (one.where.path, one.pattern) == (other.where.path, other.pattern):
                    raise DatasetError(f"{one.text} is given twice: its images would have two rows each")
                if one.holds(other) or other.holds(one):
                    raise DatasetError(
                        f"{one.text} and {other.text} lie in one another: images would have two rows each"
                    )

    def units(self) -> Iterator[Unit]:
        """All units of all inputs, in order; what two of them list, by patterns, is in those of the first alone."""
        before: list[_Given] = []
        for text in self.inputs:
            where = Location.of(text)
            if where.is_file():
                yield from self._file(text, where, where.name, *version_of(where), named=True)
            else:
                if where.is_dir():
                    given = _Given(text, where, False)
                elif pattern := split_pattern(text):
                    given = _Given(text, Location.of(pattern[0]), False, pattern[1])
                else:
                    raise DatasetError(f"there is nothing at {text} any more")
                found = (one for one in walk(given.where, given.enters) if given.lists(one.path))
                # Two folders without a pattern that have images in common are refused.
                rivals = [one for one in before if (one.pattern or given.pattern) and one.where.fs == given.where.fs]
                yield from self._folder(text, given.where, _not_in(rivals, given.top, found) if rivals else found)
                before.append(given)

    def _folder(self, source: str, root: Location, found: Iterable[Found]) -> Iterator[Unit]:
        pending: list[Item] = []
        for one in found:
            where = root / one.path
            if len(pending) >= max(1, self.unit_size // 4) and _folder_of(one.path) != _folder_of(pending[-1].id):
                # What comes or goes in one folder leaves the units of the next as they are.
                yield _files(source, pending)
                pending = []
            if one.error is not None and not _is_other(one.path):
                pending.append(Item(one.path, str(where), size=one.size, error=one.error))
            elif _is_image(one.path):
                pending.append(Item(one.path, str(where), None, one.size, one.modified))
            elif _is_archive(one.path):
                yield from self._file(source, where, one.path, one.size or 0, one.modified)
                continue
            else:
                self.skipped[_suffix(one.path)] += 1
                continue
            if self._is_cut(pending):
                yield _files(source, pending)
                pending = []
        if pending:
            yield _files(source, pending)

    def _is_cut(self, pending: list[Item]) -> bool:
        """Whether a unit ends here: at its largest size, or, from a quarter of it on, where the last name says so."""
        if len(pending) < max(1, self.unit_size // 4):
            return False
        hit = zlib.crc32(pending[-1].id.encode()) % max(1, self.unit_size // 4) == 0
        return hit or len(pending) >= self.unit_size

    def _file(
        self, source: str, where: Location, name: str, size: int, modified: str, *, named: bool = False
    ) -> Iterator[Unit]:
        """Units of one file; ``named`` if it was given itself, and not found in a folder."""
        version = f"{size} {modified}"
        path = where.path.lower()
        if path.endswith(zips.SUFFIXES):
            members = zips.members(where, name, size, self.limits)
            yield from self._members("zip", source, where, version, members, self.unit_size)
        elif path.endswith(tars.SUFFIXES):
            count = self.unit_size * (PACKED_FACTOR if tars.is_compressed(where.path) else 1)
            members = tars.members(where, name, size, self.limits)
            yield from self._members("tar", source, where, version, members, count)
        elif path.endswith(tables.PARQUET):
            yield from self._parquet(source, where, name, version, named=named)
        elif path.endswith(tables.CSV):
            yield from self._listed(source, where, tables.csv_rows(where, self.columns))
        else:
            yield _files(source, [Item(name, str(where), None, size, modified)])

    def _members(
        self, kind: str, source: str, where: Location, version: str, members: Iterator[Item], most: int
    ) -> Iterator[Unit]:
        wanted = (item for item in members if _is_harm(item) or self._wanted(item.id))
        start = 0
        while some := tuple(islice(wanted, most)):
            yield Unit(kind, source, str(where), version, str(start), some)
            start += len(some)

    def _wanted(self, name: str) -> bool:
        # What lies beside the images in WebDataset shards and in archives made on a Mac.
        if _is_image(name) and not name.rpartition("/")[2].startswith("."):
            return True
        self.skipped[_suffix(name)] += 1
        return False

    def _parquet(self, source: str, where: Location, name: str, version: str, *, named: bool) -> Iterator[Unit]:
        try:
            shape = tables.shape_of(where, self.columns)
        except DatasetError as error:
            if named:
                raise
            if "no column" in str(error):
                self.skipped["parquet"] += 1
            else:
                yield _files(source, [Item(name, str(where), error=f"Damaged: {name}: {error}")])
            return
        if shape.kind == "path":
            if named:
                yield from self._listed(source, where, tables.parquet_rows(where, shape))
            else:
                # The images that it names mostly lie beside it; a scored archive is such a list, too.
                self.skipped["parquet"] += 1
            return
        for group, rows in enumerate(shape.groups):
            most = self.unit_size * PACKED_FACTOR
            for first in range(0, rows, most):
                span = (group, first, min(first + most, rows))
                yield Unit("rows", source, str(where), version, f"{group}:{first}", rows=span, columns=shape.columns)

    def _listed(self, source: str, where: Location, rows: Iterator[dict[str, str]]) -> Iterator[Unit]:
        items = _named_in(where, rows)
        start = 0
        while some := tuple(islice(items, self.unit_size)):
            yield Unit("files", source, "", "", f"{where} {start}", some)
            start += len(some)


def _named_in(table: Location, rows: Iterator[dict[str, str]]) -> Iterator[Item]:
    """The files that a list names; where it cannot be read on, that is one more item, with an error."""
    number = 0
    try:
        for number, row in enumerate(rows, 1):
            yield tables.item_of(row, table, number)
    except StorageError as error:
        told = f"Damaged: {table.name} cannot be read after {number} rows: {error}"
        yield Item(table.name, str(table), error=told)


def absolute(text: str) -> str:
    """An input as it is named from anywhere: what keys of units are made of."""
    if "://" in text:
        return text
    if (pattern := split_pattern(text)) and not Path(text).exists():
        return f"{Location.of(pattern[0]).uri.rstrip('/')}/{pattern[1]}"
    return Location.of(text).uri


def inside(output: Location, inputs: Sequence[str]) -> str | None:
    """The input that an output folder would lie in, and be listed with; None if there is none."""
    for text in inputs:
        pattern = split_pattern(text)
        top = Location.of(pattern[0] if pattern and not Path(text).exists() else text)
        if type(top.fs) is type(output.fs) and f"{output.path}/".startswith(f"{top.path.rstrip('/')}/"):
            return text
    return None


def is_local(unit: Unit) -> bool:
    """Whether its bytes lie on this machine's filesystem."""
    where = unit.container or next((item.uri for item in unit.items), "")
    try:
        return "://" not in where or isinstance(Location.of(where).fs, pafs.LocalFileSystem)
    except StorageError:
        # A list names it, of a kind that is not known: that is for its row to say.
        return False


@dataclass(frozen=True)
class _Given:
    """An input that is there: of a pattern the folder it begins at, and what follows."""

    text: str
    where: Location
    is_file: bool
    pattern: str = ""

    def holds(self, other: _Given) -> bool:
        """Whether all that the other one lists is listed here too, as far as its name tells."""
        if not f"{other.where.path.rstrip('/')}/".startswith(self.top):
            return False
        if not self.pattern:
            return True
        return other.is_file and self.lists(other.where.path[len(self.top) :])

    @cached_property
    def top(self) -> str:
        """Where its paths begin, with a slash at the end."""
        return f"{self.where.path.rstrip('/')}/"

    @cached_property
    def _fits(self) -> re.Pattern[str]:
        return matcher(self.pattern)

    @cached_property
    def enters(self) -> Callable[[str], bool]:
        """Whether it looks into a folder, by its path within it."""
        return folders_of(self.pattern) if self.pattern else lambda _: True

    def lists(self, path: str) -> bool:
        """Whether it lists a file, or looks into a folder, whose path ends in a slash, by the path within it."""
        if any(part.startswith(".") for part in path.split("/")):
            return False
        if path.endswith("/"):
            return self.enters(path.rstrip("/"))
        return not self.pattern or self._fits.fullmatch(path) is not None


def _not_in(before: Sequence[_Given], top: str, found: Iterable[Found]) -> Iterator[Found]:
    """What no earlier input has listed, of what is found below ``top``."""
    for one in found:
        path = top + one.path
        if not any(path.startswith(other.top) and other.lists(path[len(other.top) :]) for other in before):
            yield one


def _files(source: str, items: list[Item]) -> Unit:
    return Unit("files", source, "", "", items[0].uri, tuple(items))


def _is_harm(item: Item) -> bool:
    """Whether a member is wrong whatever it is; one that cannot be read matters if it is an image alone."""
    return item.error is not None and not item.error.startswith(("TooLarge:", "Encrypted:", "Undecodable:"))


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


def _suffix(path: str) -> str:
    name = path.rpartition("/")[2]
    return name.rpartition(".")[2].lower()[:12] if "." in name else ""


def _is_image(path: str) -> bool:
    return _suffix(path) in PICTURES


def _is_archive(path: str) -> bool:
    return path.lower().endswith((*tars.SUFFIXES, *zips.SUFFIXES, *tables.PARQUET))


def _is_known(path: str) -> bool:
    return _is_image(path) or _is_archive(path) or path.lower().endswith(tables.CSV)


def _is_other(path: str) -> bool:
    """Whether it has a suffix that is that of neither an image nor an archive."""
    return bool(_suffix(path)) and not _is_image(path) and not _is_archive(path)
