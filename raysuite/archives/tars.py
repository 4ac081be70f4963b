"""Tar archives, plain or compressed, WebDataset shards among them: members in a stream, and their bytes.

Nothing is unpacked to disk: a member's name is a label and nothing else. An ``Item.at`` is ``(offset, size)`` of its
bytes in the unpacked archive. Plain archives are read at any place; compressed ones only from their beginning on.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import IO, Any, cast

import pyarrow as pa

from raysuite.archives.limits import CHUNK, Limits
from raysuite.archives.units import BadItemError, Item
from raysuite.storage import Location

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
BROKEN = (
    tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException, ValueError, OverflowError,
    RecursionError,
)  # fmt: skip
"""What a damaged archive makes the libraries raise."""


class TooMuchError(OSError):
    """The archive asks for more than the limits allow."""


def is_compressed(path: str) -> bool:
    """Whether the archive can be read from its beginning only."""
    return not path.lower().endswith(".tar")


class Forward(io.RawIOBase):
    """A file read from its beginning on: it may be skipped forward, and not by more than it may unpack to."""

    def __init__(self, raw: Any, most: int, largest_read: int) -> None:
        """``raw`` has ``read(n)``; ``most`` bytes may be passed over in all, ``largest_read`` asked for at once."""
        self._raw, self._at, self._most, self._largest = raw, 0, most, largest_read
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        """Exactly so many bytes, fewer only at the end."""
        if size < 0 or size > self._largest:
            raise TooMuchError(f"it has a header of {size} bytes")
        parts = []
        while size > 0 and (part := self._raw.read(min(size, CHUNK))):
            parts.append(part)
            size -= len(part)
            self._at += len(part)
            if self._at > self._most:
                raise TooMuchError(f"it unpacks to more than {self._most} bytes")
        self.last = b"".join(parts)
        return self.last

    def seek(self, offset: int, whence: int = 0) -> int:
        """Skip forward to a place counted from the beginning; beyond the end is no error, as for other files."""
        if whence != 0 or offset < self._at:
            raise OSError("a compressed archive is read forward only")
        while self._at < offset and self.read(min(offset - self._at, self._largest, CHUNK)):
            pass
        return self._at

    def tell(self) -> int:
        """How far it has been read."""
        return self._at


class _Guarded:
    """A file of which no more than so many bytes are read at once: whoever parses it may be told a wrong size."""

    def __init__(self, file: Any, largest_read: int) -> None:
        self._file, self._largest = file, largest_read
        self.seek, self.tell = file.seek, file.tell
        self.last = b""

    def read(self, size: int) -> bytes:
        if size < 0 or size > self._largest:
            raise TooMuchError(f"it has a header of {size} bytes")
        self.last = bytes(self._file.read(size))
        return self.last


def _unpacked(file: Any, path: str) -> Any:
    path = path.lower()
    if path.endswith((".gz", ".tgz")):
        return gzip.GzipFile(fileobj=file)
    if path.endswith(".bz2"):
        return bz2.BZ2File(file)
    if path.endswith(".xz"):
        return lzma.LZMAFile(file)
    return pa.CompressedInputStream(file, "zstd")


def members(where: Location, name: str, size: int, limits: Limits) -> Iterator[Item]:
    """The archive's members that are files, links or devices, in order; folders are left out.

    What cannot be read is an item with an error; so is the archive itself where it is damaged or asks for too much.

    Args:
        where: The archive.
        name: What ids begin with.
        size: Its bytes.
        limits: How much it may ask for.
    """
    count = 0
    try:
        with where.fs.open_input_file(where.path) as file:
            packed = is_compressed(where.path)
            source: Any = (
                Forward(_unpacked(file, where.path), limits.unpacked(size), limits.header_bytes)
                if packed
                else _Guarded(file, limits.header_bytes)
            )
            with tarfile.open(fileobj=cast("IO[bytes]", source), mode="r:") as tar:
                while (member := tar.next()) is not None:
                    # It would keep them all.
                    tar.members.clear()  # type: ignore[attr-defined]
                    if member.size < 0:
                        # It would be found again and again.
                        raise tarfile.ReadError(f"{member.name!r} has a size of {member.size}")
                    if member.isdir():
                        continue
                    count += 1
                    if count > limits.members:
                        raise TooMuchError(f"it has more than {limits.members} members")
                    yield _item(member, where, name, limits)
                # A damaged header is taken for the end: only zeros, or nothing, are one.
                if source.last.strip(b"\0"):
                    raise tarfile.ReadError("a header is damaged")
                # A header that was wiped out looks like the end too. And the checksum of what is packed comes last.
                while rest := source.read(min(CHUNK, limits.header_bytes)):
                    if rest.strip(b"\0"):
                        raise tarfile.ReadError("something follows its end, which may be more members")
    except TooMuchError as error:
        yield Item(name, str(where), error=f"Bomb: {name} is given up after {count} members: {error}")
    except BROKEN as error:
        kind = "Truncated" if "end of" in str(error).lower() or isinstance(error, EOFError) else "Damaged"
        yield Item(name, str(where), error=f"{kind}: {name} cannot be read after {count} members: {error}")


def _item(member: tarfile.TarInfo, where: Location, name: str, limits: Limits) -> Item:
    label = member.name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    item = Item(f"{name}/{label}", f"{where}!/{label}", size=member.size, at=(member.offset_data, member.size))
    if why := unsafe(label):
        return item.failed(f"Unsafe: {name} has a member {label!r}, {why}")
    if member.issym() or member.islnk():
        return item.failed(f"Link: {label} of {name} is a link to {member.linkname!r}: links are not followed")
    if not member.isreg() or member.issparse():
        return item.failed(f"Unsafe: {label} of {name} is no ordinary file")
    if member.size > limits.item_bytes:
        return item.failed(f"TooLarge: {label} of {name} has {member.size} bytes, {limits.item_bytes} are allowed")
    return item


def unsafe(label: str) -> str:
    """Why a member's name cannot be taken for a path within the archive; empty if it can."""
    path = PurePosixPath(label.replace("\\", "/"))
    if path.is_absolute() or label[1:3] in {":\\", ":/"}:
        return "an absolute path"
    if ".." in path.parts:
        return "a path that leads out of it"
    return ""


class TarReader:
    """Reads members of one archive by their ``Item.at``; those of a compressed one in order."""

    def __init__(self, where: Location, size: int, limits: Limits) -> None:
        """Open the archive of ``size`` bytes."""
        self._file = where.fs.open_input_file(where.path)
        self._forward: Forward | None = None
        if is_compressed(where.path):
            unpacked = _unpacked(self._file, where.path)
            self._forward = Forward(unpacked, limits.unpacked(size), max(limits.item_bytes, CHUNK))

    def read(self, item: Item) -> bytes:
        """The member's bytes.

        Raises:
            BadItemError: It cannot be read.
        """
        offset, size = item.at
        try:
            if self._forward is not None:
                self._forward.seek(offset)
                data = self._forward.read(size)
            else:
                data = bytes(self._file.read_at(size, offset))
        except BROKEN as error:
            raise BadItemError(f"Unreadable: {item.id} cannot be read: {error}") from error
        if len(data) < size:
            raise BadItemError(f"Truncated: {item.id} ends too early: {len(data)} of {size} bytes are there")
        return data

    def close(self) -> None:
        """Close the archive."""
        self._file.close()
