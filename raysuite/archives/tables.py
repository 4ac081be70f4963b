"""Tables of images: Parquet files with the images in a column, and lists of paths in Parquet or CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raysuite.archives.folders import version_of
from raysuite.archives.units import Item
from raysuite.errors import DatasetError, StorageError
from raysuite.storage import Location

PARQUET, CSV = (".parquet",), (".csv", ".tsv")
_IMAGES = ("image", "bytes", "data", "content", "img", "jpg", "jpeg", "png")
_PATHS = ("path", "uri", "url", "file", "filename", "file_name", "image_path", "image")
_IDS = ("id", "image_id", "key", "__key__")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of columns; empty ones are looked for.

    Attributes:
        image: The images' bytes, or their paths.
        id: What becomes the ``id``.
        category: What the images are of.
    """

    image: str = ""
    id: str = ""
    category: str = "category"

    def found(self, names: Sequence[str], kinds: Sequence[str], where: object) -> tuple[str, str, str, str]:
        """The kind of the images' column, ``bytes`` or ``path``, and the columns that a table has.

        Args:
            names: The table's columns.
            kinds: ``bytes``, ``path`` or something else, for each.
            where: The table's name, for the error.

        Raises:
            DatasetError: It has none with images, or not the one that is asked for.
        """
        kind_of = dict(zip(names, kinds, strict=True))
        image = self.image
        if not image:
            wanted = [*((name, "bytes") for name in _IMAGES), *((name, "path") for name in _PATHS)]
            image = next((name for name, kind in wanted if kind_of.get(name) == kind), "")
            only = [name for name in names if kind_of[name] == "bytes"]
            image = image or (only[0] if len(only) == 1 else "")
        if kind_of.get(image) not in {"bytes", "path"}:
            raise DatasetError(
                f"{where} has no column {image!r} with the bytes or paths of images"
                if image
                else f"{where} has no column that is known to hold images or paths among {', '.join(names)}; "
                "name it with --image-column"
            )
        if self.id and self.id not in kind_of:
            raise DatasetError(f"{where} has no column {self.id!r} for --id-column")
        ident = self.id or next((name for name in _IDS if name in kind_of), "")
        return kind_of[image], image, ident, self.category if self.category in kind_of else ""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a Parquet file with images looks like.

    Attributes:
        kind: ``bytes`` or ``path``.
        columns: Image, id and category; the latter two may be empty.
        groups: Rows of each row group.
    """

    kind: str
    columns: tuple[str, str, str]
    groups: tuple[int, ...]


def shape_of(where: Location, columns: Columns) -> Shape:
    """Look at the schema of a Parquet file.

    Raises:
        DatasetError: It is none, or has no images.
    """
    try:
        with pq.ParquetFile(where.path, filesystem=where.fs) as file:
            schema: pa.Schema = file.schema_arrow
            meta = file.metadata
            groups = tuple(meta.row_group(k).num_rows for k in range(meta.num_row_groups))
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{where} cannot be read as Parquet: {error}") from error
    kind, *names = columns.found(schema.names, [_kind(field.type) for field in schema], where)
    return Shape(kind, (names[0], names[1], names[2]), groups)


def _kind(column: pa.DataType) -> str:
    if pa.types.is_dictionary(column):
        # As pandas writes categories.
        column = column.value_type
    if pa.types.is_binary(column) or pa.types.is_large_binary(column) or pa.types.is_binary_view(column):
        return "bytes"
    if pa.types.is_string(column) or pa.types.is_large_string(column) or pa.types.is_string_view(column):
        return "path"
    # As Hugging Face's datasets write images.
    if pa.types.is_struct(column) and column.get_field_index("bytes") >= 0:
        return "bytes"
    return "other"


def parquet_rows(where: Location, shape: Shape) -> Iterator[dict[str, Any]]:
    """``image``, ``id`` and ``category`` of each row of a list of paths.

    Raises:
        StorageError: It cannot be read, or not to its end.
    """
    try:
        with pq.ParquetFile(where.path, filesystem=where.fs) as file:
            for batch in file.iter_batches(batch_size=4096, columns=[name for name in shape.columns if name]):
                for row in rows_of(batch):
                    yield _named(row, shape.columns)
    except (OSError, pa.ArrowException) as error:
        raise StorageError(f"cannot read {where}: {error}") from error


def rows_of(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The rows of a table as plain values; text that is no UTF-8 does not end them, and of images the bytes count."""
    return [
        dict(zip(batch.schema.names, values, strict=True)) for values in zip(*map(_values, batch.columns), strict=True)
    ]


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = pc.struct_field(column, "bytes")
    if pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        raw = column.cast(pa.large_binary() if pa.types.is_large_string(column.type) else pa.binary())
        return [None if text is None else text.decode("utf-8", "backslashreplace") for text in raw.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def csv_rows(where: Location, columns: Columns) -> Iterator[dict[str, Any]]:
    """The same of a CSV file with a head line; a ``.tsv`` is separated by tabs.

    Raises:
        DatasetError: It has no such column.
        StorageError: It cannot be read.
    """
    delimiter = "\t" if where.path.lower().endswith(".tsv") else ","
    try:
        with where.fs.open_input_file(where.path) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", errors="replace", newline="")
            reader = csv.DictReader(text, delimiter=delimiter)
            names = [name for name in reader.fieldnames or [] if name]
            _, *found = columns.found(names, ["path"] * len(names), where)
            for row in reader:
                yield _named(row, (found[0], found[1], found[2]))
            text.detach()
    except (OSError, csv.Error) as error:
        raise StorageError(f"cannot read {where}: {error}") from error


def _named(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    keys = ("image", "id", "category")
    return {key: row.get(column) if column else None for key, column in zip(keys, columns, strict=True)}


def item_of(row: dict[str, Any], table: Location, number: int) -> Item:
    """The file that a row names; a path is relative to the table's own folder.

    Local files are looked at, so that a change is noticed; remote ones would take too long.
    """
    path = row["image"]
    if not path:
        name = f"{table.name}:{number}"
        return Item(name, f"{table}#{number}", error=f"Unreadable: row {number} of {table.name} names no file")
    ident = str(row["id"]) if row["id"] is not None else str(path)
    category = None if row["category"] is None else str(row["category"])
    if "://" in path:
        return Item(ident, path, category)
    if not isinstance(table.fs, pafs.LocalFileSystem) and not path.startswith("/"):
        return Item(ident, str(Location(table.fs, table.path.rpartition("/")[0], _folder(table.uri)) / path), category)
    where = None
    try:
        where = Location.of(Path(table.path).parent / path)
        size, modified = version_of(where)
    except StorageError as error:
        return Item(ident, str(where or path), category, error=f"Unreadable: {path}: {error}")
    return Item(ident, str(where), category, size, modified)


def _folder(uri: str) -> str:
    bare, mark, options = uri.partition("?")
    return bare.rpartition("/")[0] + mark + options
