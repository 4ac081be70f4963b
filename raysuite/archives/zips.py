"""Zip archives: members in a stream from the central directory, and their bytes.

Python's own reader keeps every member in memory, half a kilobyte each; this one keeps none. An ``Item.at`` is ``(offset
of the local header, packed size, size, method, CRC-32)``. Format: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from raysuite.archives.limits import Limits
from raysuite.archives.tars import TooMuchError, unsafe
from raysuite.archives.units import BadItemError, Item
from raysuite.storage import Location

SUFFIXES = (".zip",)
_END, _END64, _LOCATOR64 = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_CENTRAL, _LOCAL, _SIGNATURE = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x05"
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_ENTRIES = 0xFFFF
"""The most members that an end record without 64 bits can count."""
_BUFFER = 1 << 18


def members(where: Location, name: str, size: int, limits: Limits) -> Iterator[Item]:
    """The archive's members, in the order of its directory; folders are left out.

    What cannot be read is an item with an error; so is the archive itself where it is damaged or asks for too much.

    Args:
        where: The archive.
        name: What ids begin with.
        size: Its bytes.
        limits: How much it may ask for.
    """
    count, total = 0, 0
    try:
        with where.fs.open_input_file(where.path) as file:
            entries, length, start, shift = _directory(file, size)
            if entries > limits.members:
                raise TooMuchError(f"it has {entries} members, {limits.members} are allowed")
            for label, at, flags, kind in _entries(file, length, start, shift):
                count += 1
                if count > limits.members:
                    raise TooMuchError(f"it has more than {limits.members} members")
                total += at[2]
                if total > limits.unpacked(size):
                    raise TooMuchError(f"it unpacks to more than {limits.unpacked(size)} bytes")
                if not label.endswith("/"):
                    yield _item(where, name, label, at, flags, kind, limits)
            # Writers that know no 64-bit records count on from 0 after 65,535.
            if count % (_ENTRIES + 1) != entries % (_ENTRIES + 1):
                raise ValueError(f"its directory has {count} members, its end record counts {entries}")
    except TooMuchError as error:
        yield Item(name, str(where), error=f"Bomb: {name} is given up after {count} members: {error}")
    except (OSError, ValueError, OverflowError, struct.error, pa.ArrowException) as error:
        yield Item(name, str(where), error=f"Damaged: {name} cannot be read after {count} members: {error}")


def _directory(file: Any, size: int) -> tuple[int, int, int, int]:
    """Number of entries, bytes of the central directory, where it begins, and by how much all offsets are off."""
    tail_size = min(size, 22 + 65535)
    tail = bytes(file.read_at(tail_size, size - tail_size))
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:
        raise ValueError("it has no end record: it is cut off, or no zip archive")
    entries, length, start = struct.unpack("<10xHII2x", tail[at : at + 22])
    end = size - tail_size + at
    if entries == _ENTRIES or 0xFFFFFFFF in (length, start):
        locator = bytes(file.read_at(20, end - 20)) if end >= 20 else b""
        if locator[:4] == _LOCATOR64:
            end = struct.unpack("<8xQ4x", locator)[0]
            record = bytes(file.read_at(56, end))
            if record[:4] != _END64:
                raise ValueError("its 64-bit end record is damaged")
            entries, length, start = struct.unpack("<32xQQQ", record)
    # Something may stand before the archive, such as a program that unpacks it.
    shift = end - length - start
    if shift < 0 or start + shift > size:
        raise ValueError("its end record is damaged")
    return entries, length, start + shift, shift


def _entries(file: Any, length: int, start: int, shift: int) -> Iterator[tuple[str, tuple[int, ...], int, int]]:
    """Name, `Item.at`, flags and Unix mode of each entry: all that stand there, whatever the end record counts."""
    buffer, used, at = b"", 0, start
    end = start + length

    def take(count: int) -> bytes:
        nonlocal buffer, used, at
        if len(buffer) - used < count:
            more = bytes(file.read_at(max(_BUFFER, count), at))
            at += len(more)
            buffer, used = buffer[used:] + more, 0
        if len(buffer) - used < count:
            raise ValueError("its directory is cut off")
        used += count
        return buffer[used - count : used]

    while at - (len(buffer) - used) < end:
        head = take(46)
        if head[:4] == _SIGNATURE:
            return
        if head[:4] != _CENTRAL:
            raise ValueError("its directory is damaged")
        flags, method, crc, packed, size, n_name, n_extra, n_comment, mode, offset = struct.unpack(
            "<8xHH4xIIIHHH6xHI", head
        )
        raw, extra = take(n_name), take(n_extra)
        take(n_comment)
        size, packed, offset = _wide(extra, size, packed, offset)
        label = raw.decode("utf-8" if flags & 0x800 else "cp437", "backslashreplace")
        yield label, (offset + shift, packed, size, method, crc), flags, mode


def _wide(extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Sizes and offset that do not fit into 32 bits stand in an extra field."""
    while len(extra) >= 4:
        kind, length = struct.unpack("<HH", extra[:4])
        if kind == 1:
            wide = iter(struct.unpack(f"<{length // 8}Q", extra[4 : 4 + length // 8 * 8]))
            size, packed, offset = (
                next(wide, value) if value == 0xFFFFFFFF else value for value in (size, packed, offset)
            )
        extra = extra[4 + length :]
    return size, packed, offset


def _item(where: Location, name: str, label: str, at: tuple[int, ...], flags: int, mode: int, limits: Limits) -> Item:
    item = Item(f"{name}/{label}", f"{where}!/{label}", size=at[2], at=at)
    if why := unsafe(label):
        return item.failed(f"Unsafe: {name} has a member {label!r}, {why}")
    if mode & 0o170000 == 0o120000:
        return item.failed(f"Link: {label} of {name} is a link: links are not followed")
    if flags & 0x1:
        return item.failed(f"Encrypted: {label} of {name} is encrypted")
    if at[3] not in {_STORED, _DEFLATED, _BZIP2}:
        return item.failed(f"Undecodable: {label} of {name} is packed by method {at[3]}, which is not known")
    if max(at[1], at[2]) > limits.item_bytes:
        return item.failed(f"TooLarge: {label} of {name} has {at[2]} bytes, {limits.item_bytes} are allowed")
    return item


class ZipReader:
    """Reads members of one archive by their ``Item.at``; from several threads at once, if need be."""

    def __init__(self, where: Location) -> None:
        """Open the archive."""
        self._file = where.fs.open_input_file(where.path)

    def read(self, item: Item) -> bytes:
        """The member's bytes.

        Raises:
            BadItemError: It cannot be read, or is not what the directory says.
        """
        offset, packed, size, method, crc = item.at
        try:
            head = bytes(self._file.read_at(30, offset))
            if head[:4] != _LOCAL:
                raise BadItemError(f"Damaged: {item.id} is not where the directory says")
            n_name, n_extra = struct.unpack("<26xHH", head)
            raw = bytes(self._file.read_at(packed, offset + 30 + n_name + n_extra))
            if len(raw) < packed:
                raise BadItemError(f"Truncated: {item.id} ends too early: {len(raw)} of {packed} bytes are there")
            data = _unpack(raw, method, size)
        except (OSError, ValueError, EOFError, struct.error, zlib.error, pa.ArrowException) as error:
            raise BadItemError(f"Damaged: {item.id} cannot be unpacked: {error}") from error
        if len(data) != size or zlib.crc32(data) != crc:
            raise BadItemError(f"Damaged: {item.id} is not what the directory says: its length or checksum differs")
        return data

    def close(self) -> None:
        """Close the archive."""
        self._file.close()


def _unpack(raw: bytes, method: int, size: int) -> bytes:
    """At most one byte more than ``size``: what claims less than it unpacks to shows, and unpacks to no more."""
    if method == _STORED:
        return raw
    if method == _DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, size + 1)
    return bz2.BZ2Decompressor().decompress(raw, size + 1)
