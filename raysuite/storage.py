"""Places where files lie: a local path or any pyarrow filesystem URI, with one interface.

Writes are atomic: a reader sees the old file, the new file or none, never half of one. On a local disk that takes a
rename; object stores make an object visible only when its upload is complete.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raysuite.errors import StorageError, TextError


@dataclass(frozen=True, slots=True)
class Location:
    """A file or folder on a pyarrow filesystem.

    Attributes:
        fs: The filesystem.
        path: The path on that filesystem, without a trailing slash.
        uri: How a person, or another process, would name the same place.
    """

    fs: pafs.FileSystem
    path: str
    uri: str

    @classmethod
    def of(cls, where: str | os.PathLike[str]) -> Location:
        """Resolve a local path or a URI such as ``s3://bucket/folder``.

        Raises:
            StorageError: The URI names no filesystem that pyarrow knows, or the path cannot be one: it is no UTF-8,
                has a NUL in it, begins with the ``~`` of a user whom nobody knows, or is a link to itself.
        """
        text = os.fspath(where)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise StorageError(f"cannot open {text!r}: the name is not UTF-8; rename it") from error
        if "://" not in text:
            try:
                path = str(Path(text).expanduser().resolve())
            except (OSError, RuntimeError, ValueError) as error:
                raise StorageError(f"cannot open {text!r}: {error}") from error
            return cls(pafs.LocalFileSystem(), path.rstrip("/") or "/", path)
        try:
            fs, path = pafs.FileSystem.from_uri(text)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise StorageError(f"cannot open {text}: {error}") from error
        root = "/" if isinstance(fs, pafs.LocalFileSystem) else ""
        bare, mark, options = text.partition("?")
        uri = bare.rstrip("/")
        return cls(fs, path.rstrip("/") or root, (f"{uri}//" if uri.endswith(":") else uri) + mark + options)

    def __truediv__(self, name: str) -> Location:
        uri = f"{self.uri}/{name}"
        if "://" in self.uri:
            # What options follow the path, such as an S3 endpoint, must go on following it; names may hold anything.
            bare, mark, options = self.uri.partition("?")
            uri = f"{bare}/{quote(name)}{mark}{options}"
        return Location(self.fs, f"{self.path}/{name}", uri)

    def __str__(self) -> str:
        return self.uri

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def is_local(self) -> bool:
        """Whether this is the machine's own file system."""
        return isinstance(self.fs, pafs.LocalFileSystem)

    def is_file(self) -> bool:
        """Whether a file lies here."""
        return bool(self._info().type == pafs.FileType.File)

    def is_dir(self) -> bool:
        """Whether a folder lies here."""
        return bool(self._info().type == pafs.FileType.Directory)

    def _info(self) -> pafs.FileInfo:
        try:
            return self.fs.get_file_info(self.path)
        except OSError as error:
            raise StorageError(f"cannot look at {self.uri}: {error}") from error

    def children(self, *, lost: bool = False) -> list[tuple[str, bool]]:
        r"""Names in this folder, sorted, each with whether it is a folder.

        What is no UTF-8 in the name of a file on a local disk is written as ``\xff``: such a file is told of, but
        cannot be opened by that name.

        Args:
            lost: Also links on a local disk that lead nowhere.

        Raises:
            StorageError: The folder is missing or may not be read, or a folder in it has a name that is no UTF-8.
        """
        try:
            if self.is_local:
                return _local_children(self.path, lost=lost)
            infos = self.fs.get_file_info(pafs.FileSelector(self.path))
            return sorted((info.base_name, info.type == pafs.FileType.Directory) for info in infos)
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"cannot list {self.uri}: {error}") from error

    def walk(self) -> Iterator[str]:
        """Paths of all files below this folder, relative to it, sorted.

        Raises:
            StorageError: A folder is missing or may not be read.
        """
        for name, is_dir in self.children():
            if is_dir:
                for below in (self / name).walk():
                    yield f"{name}/{below}"
            else:
                yield name

    def read_bytes(self) -> bytes:
        """The whole file.

        Raises:
            StorageError: The file is missing or may not be read.
        """
        try:
            with self.fs.open_input_stream(self.path) as stream:
                return bytes(stream.read())
        except OSError as error:
            raise StorageError(f"cannot read {self.uri}: {_why(error)}") from error

    def read_at_most(self, most: int) -> bytes:
        """The beginning of the file, or all of it if it has no more bytes; of a stranger's file, which may be anything.

        On a local disk only regular files are read: a pipe would be waited on for ever, and a device may never end.

        Raises:
            StorageError: The file is missing, may not be read, or is no regular file.
        """
        try:
            if self.is_local:
                return _read_regular(self.path, most)
            with self.fs.open_input_stream(self.path) as stream:
                return bytes(stream.read(most))
        except OSError as error:
            raise StorageError(f"cannot read {self.uri}: {_why(error)}") from error

    def write_bytes(self, data: bytes) -> None:
        """Write the whole file atomically, making the folders above it.

        Raises:
            StorageError: The place may not be written.
        """
        parent, _, _ = self.path.rpartition("/")
        # A killed writer leaves its draft behind: whoever reads a folder as a table passes over names with a dot.
        target = f"{parent}/.{self.name}.{uuid.uuid4().hex[:8]}.tmp" if self.is_local else self.path
        try:
            if self.is_local:
                self.fs.create_dir(parent, recursive=True)
            with self.fs.open_output_stream(target) as stream:
                stream.write(data)
            if target != self.path:
                # Else the name may reach the disk before what it names, and a power cut leave an empty file.
                with Path(target).open("rb") as draft:
                    os.fsync(draft.fileno())
                Path(target).replace(self.path)
        except OSError as error:
            if target != self.path:
                with contextlib.suppress(OSError):
                    Path(target).unlink()
            raise StorageError(f"cannot write {self.uri}: {error}") from error

    def read_text(self) -> str:
        """The whole file as UTF-8 text.

        Raises:
            StorageError: The file is missing or may not be read; a `TextError` if it is no such text.
        """
        data = self.read_bytes()
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise TextError(f"{self.uri} is not UTF-8 text (byte {error.start})") from error

    def write_text(self, text: str) -> None:
        """Write UTF-8 text atomically."""
        self.write_bytes(text.encode("utf-8"))

    def read_table(self, columns: list[str] | None = None) -> pa.Table:
        """Read one Parquet file.

        Raises:
            StorageError: The file is missing or is not Parquet.
        """
        try:
            # Opened once: by its path it would be opened for its footer and again for its rows, and may be another one.
            with self.fs.open_input_file(self.path) as file:
                return pq.read_table(file, columns=columns, partitioning=None)
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"cannot read the table {self.uri}: {error}") from error

    def write_table(self, table: pa.Table) -> None:
        """Write one Parquet file atomically."""
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        self.write_bytes(sink.getvalue().to_pybytes())

    def delete_dir(self) -> None:
        """Remove this folder and all below it, if it is there."""
        if self.is_dir():
            self.fs.delete_dir(self.path)


def _local_children(path: str, *, lost: bool) -> list[tuple[str, bool]]:
    names = []
    with os.scandir(path) as scan:
        for entry in scan:
            if not lost and entry.is_symlink() and not Path(entry.path).exists():
                continue
            name = readable(entry.name)
            is_dir = is_folder(entry)
            if is_dir and name != entry.name:
                raise OSError(f"the name of the folder {name} in it is not UTF-8: rename it")
            names.append((name, is_dir))
    names.sort()
    for (name, _), (other, _) in itertools.pairwise(names):
        if name == other:
            raise OSError(f"two names in it both read {name}, one of which is not UTF-8: rename that one")
    return names


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is a folder on a local disk, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:
        # A link that leads to itself, for one: that is no reason to give up the folder around it.
        return False


def _why(error: OSError) -> str:
    """In the system's words, without pyarrow's around them; a store has its own."""
    return os.strerror(error.errno) if error.errno else str(error)


def readable(name: str) -> str:
    r"""A file's name as text for people and tables: what is no UTF-8 in it is written as ``\xff``."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _read_regular(path: str, most: int) -> bytes:
    # Without waiting: what was a file when its folder was listed may be a pipe by now.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb", buffering=0) as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is no regular file")
        parts = []
        # One byte more than it has shows its end; it may be growing.
        while most > 0 and (part := file.read(min(most, max(status.st_size + 1, 1 << 16)))):
            parts.append(part)
            most -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)
