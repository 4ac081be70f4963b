"""The good images of one training, as it needs them: all in memory, or, of a large category, streamed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from raysuite.config import Config
from raysuite.datasets.pieces import Piece, find_pieces, fingerprint
from raysuite.datasets.shards import category_folder
from raysuite.detection.calibration import MOST_IMAGES
from raysuite.detection.preprocessing import choose_size
from raysuite.detection.split import held_out_and_validation, split_good
from raysuite.errors import TrainingError
from raysuite.pipelines.streaming import decode_rows, decoded, open_stream
from raysuite.runs import Run
from raysuite.storage import Location
from raysuite.training.sources import Resident, Source, Streamed

MOST_KEPT = 1000
"""Of a streamed category, at most so many images are held out, and at most so many validated on: they are kept in
memory, and more would not make a threshold any surer."""


@dataclass(frozen=True, slots=True)
class GoodImages:
    """A category's good images, each with its task.

    Attributes:
        source: What the net learns from.
        train_NCHW: Those images, or a sample of them that normal errors can be measured on, uint8.
        validation_NCHW: Those that map, score and figures are chosen and judged on, uint8.
        held_out_NCHW: Those that the threshold alone sees, uint8.
        shared: What served twice because there were too few images; empty if nothing did.
        streamed: Whether the source streams its images.
    """

    source: Source
    train_NCHW: Tensor
    validation_NCHW: Tensor
    held_out_NCHW: Tensor
    shared: str
    streamed: bool


def good_images(run: Run, category: str, config: Config, seed: int, stride: int | None = None) -> GoodImages:
    """Find a category's readable good training images, and split them.

    Args:
        run: The run, its shards complete.
        category: Its name.
        config: The settings of the training.
        seed: Of the split, and of a stream's order.
        stride: What the sides are multiples of; the net's own if nothing is given.

    Raises:
        TrainingError: There are fewer than two.
    """
    folder, pieces = category_folder(run.shards, category), find_pieces(run.shards, category)
    count = sum(map(len, pieces))
    if count < 2:
        raise TrainingError(f"category {category} has {count} readable good training images; it needs 2 or more")
    sizes = [size for piece in pieces for size in piece.sizes]
    size = choose_size(sizes, config.data.image_size, stride or config.model.stride)
    if count > 2 and count * 3 * size[0] * size[1] > config.data.resident_gb * 1e9:
        return _streamed(folder, pieces, size, config, seed)
    images_NCHW = _all(folder, pieces, size)
    split = split_good(count, config.data, seed)
    train_NCHW = images_NCHW[split.train]
    return GoodImages(
        source=Resident(train_NCHW),
        train_NCHW=train_NCHW,
        validation_NCHW=images_NCHW[split.validation],
        held_out_NCHW=images_NCHW[split.held_out],
        shared=split.shared,
        streamed=False,
    )


def _all(folder: Location, pieces: Sequence[Piece], size: tuple[int, int]) -> Tensor:
    """All images, in order of their ids: however shards were written, a seed is enough to repeat a training."""
    ids = sorted(identity for piece in pieces for identity in piece.ids)
    place = {identity: index for index, identity in enumerate(ids)}
    images_NCHW = torch.empty((len(ids), 3, *size), dtype=torch.uint8)
    for piece in pieces:
        places = torch.tensor([place[identity] for identity in piece.ids])
        some = decode_rows(folder, piece.file, piece.group, piece.rows, size)
        images_NCHW[places] = torch.cat(list(some))
    return images_NCHW


def _streamed(
    folder: Location, pieces: Sequence[Piece], size: tuple[int, int], config: Config, seed: int
) -> GoodImages:
    """Some row groups for what is kept, all others for the stream.

    Rows of shards lie in a random order, so that the images of a row group are a random sample of all. Single images
    drawn from everywhere would be as good, but reading them would mean reading all there are before the first step.
    """
    held, judged = (min(MOST_KEPT, n) for n in held_out_and_validation(sum(map(len, pieces)), config.data))
    order = torch.randperm(len(pieces), generator=torch.Generator().manual_seed(seed)).tolist()
    kept, rest = _cut([pieces[index] for index in order], held + judged)
    sample, _ = _cut(rest, MOST_IMAGES)
    read = [torch.tensor(images) for images in decoded(folder, [*kept, *sample], size)]
    held_out_NCHW, validation_NCHW, train_NCHW = torch.split(torch.cat(read), [held, judged, sum(map(len, sample))])
    source = Streamed(
        lambda taken: open_stream(folder, rest, size, seed, taken),
        size=sum(map(len, rest)),
        sample_NCHW=train_NCHW,
        fingerprint=fingerprint(rest, size),
    )
    return GoodImages(source, train_NCHW, validation_NCHW, held_out_NCHW, shared="", streamed=True)


def _cut(pieces: Sequence[Piece], count: int) -> tuple[list[Piece], list[Piece]]:
    """The first ``count`` images, or all if there are fewer, and the rest."""
    first: list[Piece] = []
    for index, piece in enumerate(pieces):
        if len(piece) > count:
            return ([*first, piece[:count]] if count else first), [piece[count:], *pieces[index + 1 :]]
        first.append(piece)
        count -= len(piece)
    return first, []
