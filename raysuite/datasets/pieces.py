"""Pieces of shards: row groups and the good training rows in them, found without reading any image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from raysuite.datasets.shards import category_folder
from raysuite.storage import Location

# Footers are small: reading them is waiting, on an object store above all.
READERS = 16


@dataclass(frozen=True, slots=True)
class Piece:
    """Some good, readable training images of a category: rows of one row group of one file.

    Attributes:
        file: The file's name in the category's folder.
        group: The row group.
        rows: Which of its rows.
        ids: Their ids.
        hashes: SHA-256 of their images' bytes, in hex.
        sizes: Their (height, width) as found, in pixels.
    """

    file: str
    group: int
    rows: tuple[int, ...]
    ids: tuple[str, ...]
    hashes: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, some: slice) -> Piece:
        """Some of its images."""
        return Piece(self.file, self.group, self.rows[some], self.ids[some], self.hashes[some], self.sizes[some])


def find_pieces(shards: Location, category: str) -> list[Piece]:
    """All pieces of a category's shards that are not empty, ordered by their first ids.

    The order does not depend on names of files, which are drawn when shards are written.
    """
    folder = category_folder(shards, category)
    files = [name for name, is_dir in folder.children() if not is_dir and name.endswith(".parquet")]
    with ThreadPoolExecutor(READERS) as pool:
        found = [piece for some in pool.map(lambda name: _pieces_of(folder, name), files) for piece in some]
    return sorted(found, key=lambda piece: piece.ids[0])


def _pieces_of(folder: Location, name: str) -> list[Piece]:
    pieces = []
    with pq.ParquetFile((folder / name).path, filesystem=folder.fs) as file:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=["id", "split", "label", "error", "sha256", "height", "width"])
            good = pc.fill_null(pc.equal(table["label"], 0), True)
            good = pc.and_(pc.and_(pc.equal(table["split"], "train"), pc.is_null(table["error"])), good)
            table = table.append_column("row", pa.array(np.arange(len(table)))).filter(good)
            if len(table):
                rows, ids, hashes = (tuple(table[column].to_pylist()) for column in ("row", "id", "sha256"))
                sizes = tuple(zip(table["height"].to_pylist(), table["width"].to_pylist(), strict=True))
                pieces.append(Piece(name, group, rows, ids, hashes, sizes))
    return pieces


def fingerprint(pieces: Sequence[Piece], size: tuple[int, int]) -> str:
    """SHA-256 over ids, contents and order of the images of some pieces, and the size they are used at; in hex."""
    digest = hashlib.sha256(f"{size[0]}×{size[1]}\n".encode())
    for piece in pieces:
        lines = (f"{identity}\0{content}\n" for identity, content in zip(piece.ids, piece.hashes, strict=True))
        digest.update("".join(lines).encode() + b"\n")
    return digest.hexdigest()
