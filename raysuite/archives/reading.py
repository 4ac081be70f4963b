"""The items of a unit with the bytes of each, as something to call: in which thread is the caller's choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysuite.archives.folders import version_of
from raysuite.archives.limits import Limits
from raysuite.archives.tables import rows_of
from raysuite.archives.tars import TarReader, is_compressed
from raysuite.archives.units import BadItemError, Item, Unit
from raysuite.archives.zips import ZipReader
from raysuite.errors import StorageError
from raysuite.storage import Location

ROWS = 32


@dataclass(frozen=True, slots=True)
class Fetch:
    """One item and how to get its bytes.

    Attributes:
        item: The item.
        read: Gives the bytes, or raises a BadItemError; to be called once, or not at all.
    """

    item: Item
    read: Callable[[], bytes]


@contextmanager
def opened(unit: Unit, limits: Limits, is_known: Callable[[Item], bool] = lambda _: False) -> Iterator[Iterator[Fetch]]:
    """All items of a unit, in order; they can be read until this is left.

    A container that cannot be opened gives each of its items that error: none is missing.

    Args:
        unit: The unit.
        limits: How much an item may ask for.
        is_known: Tells of items that will not be read.
    """
    if unit.kind == "rows":
        yield _rows(unit, limits)
        return
    reader: TarReader | ZipReader | None = None
    broken = ""
    if unit.kind in {"tar", "zip"}:
        where = Location.of(unit.container)
        try:
            size = _size_as_listed(where, unit)
            reader = ZipReader(where) if unit.kind == "zip" else TarReader(where, size, limits)
        except (StorageError, OSError, pa.ArrowException) as error:
            broken = f"Unreadable: {unit.container} cannot be opened: {error}"
    try:
        yield _members(unit, reader, broken, limits, is_known)
    finally:
        if reader is not None:
            reader.close()


def _size_as_listed(where: Location, unit: Unit) -> int:
    """The container's bytes.

    Raises:
        StorageError: It is another one than was listed: what lies at a place may be another member, or row.
    """
    size, modified = version_of(where)
    listed, _, then = unit.version.partition(" ")
    if not where.is_local:
        # Some stores tell more than the second when they list, and not when they are asked for one object.
        then, modified = then[:-9], modified[:-9]
    if str(size) != listed or then != modified:
        raise StorageError(
            "its size or time of change is not as it was listed: if it has changed, the same command scores it anew; "
            "copies on several nodes have to keep the time (rsync -a), and then --retry-failed scores it"
        )
    return size


def _members(
    unit: Unit,
    reader: TarReader | ZipReader | None,
    broken: str,
    limits: Limits,
    is_known: Callable[[Item], bool],
) -> Iterator[Fetch]:
    for item in unit.items:
        if told := item.error or broken:
            yield Fetch(item, partial(_fail, told))
        elif is_known(item):
            yield Fetch(item, partial(_fail, "Unreadable: not read"))
        elif reader is None:
            yield Fetch(item, partial(_read_file, item, limits))
        elif unit.kind == "tar" and is_compressed(unit.container):
            # In the order of the archive, now.
            yield Fetch(item, _now(partial(reader.read, item)))
        else:
            yield Fetch(item, partial(reader.read, item))


def _read_file(item: Item, limits: Limits) -> bytes:
    """The whole file, but no more than is allowed: it may have grown since it was listed, or grow now."""
    try:
        data = Location.of(item.uri).read_at_most(limits.item_bytes + 1)
    except (StorageError, pa.ArrowException, ValueError) as error:
        raise BadItemError(f"Unreadable: {item.id} cannot be read: {error.__cause__ or error}") from error
    return _bounded(data, item, limits)


def _bounded(data: bytes, item: Item, limits: Limits) -> bytes:
    if len(data) > limits.item_bytes:
        raise BadItemError(f"TooLarge: {item.id} has more than the {limits.item_bytes} bytes that are allowed")
    return data


def _rows(unit: Unit, limits: Limits) -> Iterator[Fetch]:
    where, (group, first, end) = Location.of(unit.container), unit.rows
    image, ident, category = unit.columns
    number = first
    try:
        _size_as_listed(where, unit)
        with pq.ParquetFile(where.path, filesystem=where.fs) as file:
            names = [name for name in unit.columns if name]
            seen = 0
            for batch in file.iter_batches(batch_size=ROWS, row_groups=[group], columns=names):
                start, seen = seen, seen + len(batch)
                if seen <= first:
                    continue
                for offset, row in enumerate(rows_of(batch.slice(max(0, first - start)))):
                    number = max(first, start) + offset
                    if number >= end:
                        return
                    item = _row_item(unit, where, row, number, ident, category)
                    yield Fetch(item, partial(_row_bytes, row[image], item, limits))
                number += 1
        told = f"Truncated: row group {group} of {unit.container} has fewer rows than it had"
    except StorageError as error:
        told = f"Unreadable: {unit.container} cannot be opened: {error}"
    except (OSError, pa.ArrowException, KeyError, ValueError) as error:
        told = f"Damaged: {unit.container} cannot be read: {error}"
    for missing in range(number, end):
        yield Fetch(_row_item(unit, where, {}, missing, "", ""), partial(_fail, told))


def unread(unit: Unit) -> tuple[Item, ...]:
    """The unit's items as they are known without reading anything: rows of a table go by their numbers."""
    if unit.kind != "rows":
        return unit.items
    where = Location.of(unit.container)
    return tuple(_row_item(unit, where, {}, number, "", "") for number in range(*unit.rows[1:]))


def _row_item(unit: Unit, where: Location, row: dict[str, Any], number: int, ident: str, category: str) -> Item:
    """The item of a row; rows are counted within their row group."""
    place = f"{unit.rows[0]}:{number}"
    name = row.get(ident) if ident else None
    of = row.get(category) if category else None
    text = f"{where.name}#{place}" if name is None else str(name)
    return Item(text, f"{where}#{place}", None if of is None else str(of), modified=unit.version)


def _row_bytes(value: Any, item: Item, limits: Limits) -> bytes:
    if value is None:
        raise BadItemError(f"Unreadable: {item.id} has no image: it is null")
    return _bounded(bytes(value), item, limits)


def _now(read: Callable[[], bytes]) -> Callable[[], bytes]:
    try:
        data = read()
    except BadItemError as error:
        return partial(_fail, str(error))
    return lambda: data


def _fail(told: str) -> bytes:
    raise BadItemError(told)
