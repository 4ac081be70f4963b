"""Training images out of the shards, through Ray Data, for a category that does not fit into memory.

An epoch is one pass over all images. Its order is shuffled twice: row groups are read in a random order, and what
several of them hold is mixed. All of that follows from the seed, so that a training that was stopped goes on with the
very images that would have come next, and whole windows that it has seen are not read again.

Ray Data's own shuffles do not do: that of batches cannot be taken up in the middle, and may give workers that train
together different numbers of batches; that of all rows needs room for all of them, for every epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
import torch
from numpy.typing import NDArray
from torch import Tensor

from raysuite.datasets.decoding import decode_image
from raysuite.datasets.pieces import Piece
from raysuite.detection.preprocessing import to_input
from raysuite.errors import DatasetError, DecodeError, RaysuiteError
from raysuite.storage import Location
from raysuite.training.sources import Stream

WINDOW_BYTES = 2**28
"""What is mixed at a time: 1365 images of 256 × 256 pixels. While a window is used, as much is read ahead; when the
next one is filled, the images of the last are about to go."""

PIECES_A_TASK = 4
"""A row group of shards holds 16 images or so, which would be small for a task."""

DECODED_BYTES = 2**25
"""Most bytes of images that a task decodes at a time, unless a single one has more."""


def open_stream(folder: Location, pieces: Sequence[Piece], size: tuple[int, int], seed: int, taken: int) -> Stream:
    """Training images without an end, each once an epoch, behind the first ``taken`` of them.

    Args:
        folder: The category's folder of shards.
        pieces: Where the images lie; the same order gives the same stream.
        size: Height and width of the images.
        seed: Of the order.
        taken: Where to begin.

    Yields:
        Some images: (n, 3, height, width) uint8 on the CPU. They are not written to later.

    Raises:
        RaysuiteError: The shards cannot be read any more.
    """
    epoch, behind = divmod(taken, sum(map(len, pieces)))
    while True:
        windows = _windows([pieces[index] for index in _permutation(len(pieces), seed, epoch)], size)
        first = 0
        while behind >= sum(map(len, windows[first])):
            behind -= sum(map(len, windows[first]))
            first += 1
        flow = decoded(folder, [piece for window in windows[first:] for piece in window], size)
        left_NCHW = np.empty((0, 3, *size), np.uint8)
        for number, window in enumerate(windows[first:], first):
            places = _permutation(sum(map(len, window)), seed, epoch, number)
            window_NCHW = torch.empty((len(places), 3, *size), dtype=torch.uint8)
            filled = 0
            while filled < len(places):
                if len(left_NCHW) == 0:
                    left_NCHW = next(flow)
                here = places[filled : filled + len(left_NCHW)]
                window_NCHW.numpy()[here], left_NCHW = left_NCHW[: len(here)], left_NCHW[len(here) :]
                filled += len(here)
            yield window_NCHW[behind:]
            behind = 0
        epoch += 1


def _permutation(count: int, *seed: int) -> NDArray[np.int64]:
    mixed = hashlib.sha256(" ".join(map(str, seed)).encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(mixed[:7], "big"))
    order: NDArray[np.int64] = torch.randperm(count, generator=generator).numpy()
    return order


def _windows(pieces: Sequence[Piece], size: tuple[int, int]) -> list[list[Piece]]:
    """Pieces that are mixed with one another: as many as fit, and at least two."""
    most = WINDOW_BYTES // (3 * size[0] * size[1])
    windows: list[list[Piece]] = []
    for piece in pieces:
        if not windows or (len(windows[-1]) > 1 and sum(map(len, windows[-1])) + len(piece) > most):
            windows.append([])
        windows[-1].append(piece)
    return windows


def decoded(folder: Location, pieces: Sequence[Piece], size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """The images of some pieces, in order, read and decoded in tasks on this node that run ahead a little.

    Args:
        folder: The category's folder of shards.
        pieces: Where the images lie.
        size: Height and width.

    Yields:
        Some images: (n, 3, height, width) uint8, read-only.

    Raises:
        RaysuiteError: The shards cannot be read any more.
    """
    where, at_once = folder.uri, max(1, DECODED_BYTES // (3 * size[0] * size[1]))

    def decode(batch: pa.Table) -> Iterator[dict[str, NDArray[np.uint8]]]:
        torch.set_num_threads(1)
        here = Location.of(where)
        for piece in batch.to_pylist():
            for images_NCHW in decode_rows(here, **piece, size=size, at_once=at_once):
                yield {"images": images_NCHW.numpy()}

    items = [{"file": piece.file, "group": piece.group, "rows": piece.rows} for piece in pieces]
    tasks = -(-len(items) // PIECES_A_TASK)
    dataset = ray.data.from_items(items, override_num_blocks=tasks).map_batches(
        decode,
        batch_format="pyarrow",
        # A training holds its CPUs while its images are read, so that tasks which ask for one might wait for ever. They
        # take the training's own: as many as it has, on its node, where what they give needs no way over the network.
        num_cpus=0,
        compute=ray.data.TaskPoolStrategy(size=min(torch.get_num_threads(), tasks)),
        label_selector={"ray.io/node-id": ray.get_runtime_context().get_node_id()},
    )
    dataset.context.enable_progress_bars = False
    dataset.context.execution_options.preserve_order = True
    dataset.context.execution_options.resource_limits = ray.data.ExecutionResources.for_limits(
        object_store_memory=WINDOW_BYTES
    )
    try:
        for batch in dataset.iter_batches(batch_size=None, batch_format="numpy"):
            yield np.asarray(batch["images"])
    except ray.exceptions.RayError as error:
        raise _told(error) from error


def decode_rows(
    folder: Location, file: str, group: int, rows: Sequence[int], size: tuple[int, int], at_once: int = 64
) -> Iterator[Tensor]:
    """The images of a piece at one size, in order of ``rows``: (up to ``at_once``, 3, height, width) uint8.

    Raises:
        DatasetError: An image cannot be decoded, although it could be when the shards were written.
    """
    with pq.ParquetFile((folder / file).path, filesystem=folder.fs) as shard:
        encoded = shard.read_row_group(group, columns=["image"])["image"].take(pa.array(rows))
    for start in range(0, len(rows), at_once):
        some = []
        for row, image in zip(rows[start:], encoded[start : start + at_once], strict=False):
            try:
                some.append(to_input(decode_image(image.as_py()), size))
            except DecodeError as error:
                raise DatasetError(
                    f"row {row} of row group {group} of {folder / file} {error}, although it was read when the shards "
                    "were written: delete the folder of shards and give the command again"
                ) from error
        yield torch.stack(some)


def _told(error: BaseException) -> RaysuiteError:
    """What went wrong in a task, without Ray's words around it."""
    cause: Any = error
    while cause is not None:
        if isinstance(cause, RaysuiteError) and not isinstance(cause, ray.exceptions.RayError):
            return cause
        cause = getattr(cause, "cause", None) or cause.__cause__
    return DatasetError(f"the shards cannot be read any more: {str(error).strip().splitlines()[-1]}")
