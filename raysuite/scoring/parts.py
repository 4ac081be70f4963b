"""The parts of a scored archive: one Parquet file a unit of work, named after the unit's place.

A part is written whole and at once, and says which unit it is of, so that it accounts for itself: what is done is known
from the parts alone. Scoring a unit again puts its part in the place of the old one: no row can be there twice.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from raysuite.archives.units import Unit
from raysuite.errors import StorageError
from raysuite.storage import Location

FORMAT = 1
FOLDER, SUPERSEDED = "parts", "superseded"
SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("uri", pa.string()),
        pa.field("sha256", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("p_value", pa.float64()),
        pa.field("anomalous", pa.bool_()),
        pa.field("map", pa.binary()),
        pa.field("height", pa.int32()),
        pa.field("width", pa.int32()),
        pa.field("tiles", pa.int32()),
        pa.field("error", pa.string()),
        pa.field("model", pa.string()),
        pa.field("engine", pa.string()),
        pa.field("ms", pa.float32()),
        pa.field("size", pa.int64()),
        pa.field("modified", pa.string()),
        pa.field("scored_at", pa.timestamp("ms", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class Part:
    """What a part says of itself.

    Attributes:
        digest: Of the unit that it was made of.
        rows: Its rows.
        failed: How many of them have an error.
    """

    digest: str
    rows: int
    failed: int


def place_of(out: Location, unit: Unit) -> Location:
    """Where the part of a unit lies, or will."""
    return out / FOLDER / unit.key[:2] / f"{unit.key}.parquet"


def read_part(file: Location) -> Part | None:
    """What a part says of itself, from its footer; None if there is none, or none that can be read."""
    try:
        with file.fs.open_input_file(file.path) as opened:
            meta = pq.read_metadata(opened)
        card = json.loads(meta.metadata[b"raysuite.part"])
        return Part(str(card["digest"]), int(meta.num_rows), int(card["failed"])) if card["format"] == FORMAT else None
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
        return None


def write_part(out: Location, unit: Unit, rows: Sequence[Mapping[str, Any]], scale: float | None) -> Part:
    """Write the part of a unit, atomically.

    Args:
        out: The output folder.
        unit: The unit.
        rows: One an item, in order, of `SCHEMA`.
        scale: What one level of the maps stands for, if there are maps of whole numbers.

    Raises:
        StorageError: It cannot be written.
    """
    part = Part(unit.digest, len(rows), sum(row["error"] is not None for row in rows))
    card = {"format": FORMAT, "digest": part.digest, "failed": part.failed, "map_scale": scale}
    packed = base64.b64encode(zlib.compress(unit.to_json().encode()))
    schema = SCHEMA.with_metadata({"raysuite.part": json.dumps(card), "raysuite.unit": packed})
    place_of(out, unit).write_table(pa.Table.from_pylist(list(rows), schema=schema))
    return part


def unit_of(file: Location) -> Unit:
    """The unit that a part was made of: where each of its rows came from.

    Raises:
        StorageError: The part cannot be read.
    """
    try:
        with file.fs.open_input_file(file.path) as opened:
            packed = pq.read_metadata(opened).metadata[b"raysuite.unit"]
        return Unit.from_json(zlib.decompress(base64.b64decode(packed)).decode())
    except (OSError, pa.ArrowException, ValueError, KeyError, TypeError, zlib.error) as error:
        raise StorageError(f"cannot read the part {file}: {error}") from error


def all_parts(out: Location) -> Iterator[tuple[str, Location]]:
    """Key and place of each part that is there, a folder of 256 at a time."""
    folder = out / FOLDER
    if not folder.is_dir():
        return
    for shelf, is_dir in folder.children():
        if not is_dir:
            continue
        for name, _ in (folder / shelf).children():
            if name.endswith(".parquet"):
                yield name.removesuffix(".parquet"), folder / shelf / name


def supersede(out: Location, key: str, file: Location) -> None:
    """Take a part out of the result, and keep it beside: what it accounts for is in the input no more.

    Raises:
        StorageError: It cannot be moved.
    """
    _move(file, out / SUPERSEDED / f"{key}.parquet")


def superseded_part(out: Location, unit: Unit, *, restore: bool) -> Part | None:
    """What a part says that was taken out, and is of this very unit, which is there again; None if there is none.

    Args:
        out: The output folder.
        unit: The unit.
        restore: Put it back.

    Raises:
        StorageError: It cannot be moved.
    """
    file = out / SUPERSEDED / f"{unit.key}.parquet"
    part = read_part(file)
    if part is None or part.digest != unit.digest:
        return None
    if restore:
        _move(file, place_of(out, unit))
    return part


def _move(file: Location, target: Location) -> None:
    try:
        if isinstance(file.fs, pafs.LocalFileSystem):
            file.fs.create_dir(target.path.rpartition("/")[0], recursive=True)
        file.fs.move(file.path, target.path)
    except OSError as error:
        raise StorageError(f"cannot move {file} to {target}: {error}") from error
