"""A contact sheet of corruption: good images of a category, what training makes of them, and each family by itself."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from raysuite.config import FILLS, SHAPES, Config, CorruptionConfig
from raysuite.config.fills import Fills
from raysuite.config.shapes import Shapes
from raysuite.corruption.corruptor import Corruptor
from raysuite.datasets.decoding import decode_image, image_size
from raysuite.datasets.entries import Entry, Listing
from raysuite.datasets.reading import MOST_BYTES
from raysuite.detection.preprocessing import choose_size, to_input
from raysuite.errors import DatasetError, DecodeError, StorageError

CELL = 256
"""Images with a longer side than this are reduced, in pixels."""

GAP, MARGIN, FONT = 4, 110, 15

Section = TypeVar("Section", Shapes, Fills)


def load_crops(listing: Listing, category: str, config: Config, *, count: int, seed: int) -> Tensor:
    """Good training images of a category as training crops them, without its flips and turns.

    Args:
        listing: Of a data set that has the category.
        category: Its name.
        config: ``data`` and the net's stride matter.
        count: How many; fewer where the category has fewer.
        seed: Which images, and where they are cropped.

    Returns:
        (n, 3, H, W) float32 in [0, 1].

    Raises:
        DatasetError: No good training image can be read.
    """
    entries = [entry for entry in listing.of(category) if entry.split == "train"]
    generator = torch.Generator().manual_seed(seed)
    pixels = []
    for index in torch.randperm(len(entries), generator=generator).tolist():
        try:
            pixels.append(decode_image((listing.root / entries[index].image).read_at_most(MOST_BYTES)))
        except (DecodeError, StorageError):
            continue
        if len(pixels) == count:
            break
    if not pixels:
        raise DatasetError(f"{category}: none of its {len(entries)} good training images can be read")
    # The net's size follows the shape of all good images, as in training, not of those that were picked.
    sizes = list(_sizes(listing, entries))
    height, width = choose_size(sizes, config.data.image_size, config.model.stride)
    crop = config.data.crop_size or config.data.image_size
    rows, columns = min(crop, height), min(crop, width)
    top = int(torch.randint(height - rows + 1, (1,), generator=generator))
    left = int(torch.randint(width - columns + 1, (1,), generator=generator))
    images_NCHW = torch.stack([to_input(image, (height, width)) for image in pixels])
    return images_NCHW[:, :, top : top + rows, left : left + columns].float() / 255


def _sizes(listing: Listing, entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    for entry in entries:
        with contextlib.suppress(DecodeError, StorageError):
            yield image_size((listing.root / entry.image).read_at_most(MOST_BYTES))


def contact_sheet(config: CorruptionConfig, images_NCHW: Tensor, *, seed: int) -> bytes:
    """Draw the sheet: originals, corruptions and masks as they come, then a row for each shape and fill in use.

    In a family's row every image has one opaque spot of that family and nothing else: shapes at the areas that are
    set, in plain colours, and fills in large spots. Noise is left out everywhere.

    Args:
        config: The corruption.
        images_NCHW: Good images, float32 in [0, 1], one a column.
        seed: Of the corruption.

    Returns:
        A PNG file.
    """
    quiet = dataclasses.replace(config, noise="none")
    batch = Corruptor(quiet)(images_NCHW, _seeded(seed))
    rows = [
        ("original", images_NCHW),
        ("corrupted", batch.inputs_NCHW),
        ("mask", batch.mask_N1HW.expand_as(images_NCHW).float()),
    ]
    single = dataclasses.replace(quiet, max_count=1, clean_share=0.0, opaque_share=1.0)
    for name in SHAPES:
        if getattr(config.shapes, name).weight > 0:
            only = dataclasses.replace(
                single, shapes=_only(config.shapes, SHAPES, name), fills=_only(Fills(), FILLS, "colour")
            )
            rows.append((f"shape\n{name}", Corruptor(only)(images_NCHW, _seeded(seed)).inputs_NCHW))
    for name in FILLS:
        if getattr(config.fills, name).weight > 0:
            only = dataclasses.replace(
                single, fills=_only(config.fills, FILLS, name), min_area=max(config.min_area, config.max_area / 2)
            )
            rows.append((f"fill\n{name}", Corruptor(only)(images_NCHW, _seeded(seed)).inputs_NCHW))
    return _png(rows)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _only(section: Section, names: Sequence[str], kept: str) -> Section:
    """The section with the weights of all other families at zero."""
    off = {name: dataclasses.replace(getattr(section, name), weight=0.0) for name in names if name != kept}
    return dataclasses.replace(section, **off)


def _png(rows: Sequence[tuple[str, Tensor]]) -> bytes:
    first_NCHW = rows[0][1]
    scale = min(1.0, CELL / max(first_NCHW.shape[2:]))
    height, width = (round(side * scale) for side in first_NCHW.shape[2:])
    sheet = Image.new("RGB", (MARGIN + len(first_NCHW) * (width + GAP), len(rows) * (height + GAP) + GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for row, (label, images_NCHW) in enumerate(rows):
        top = GAP + row * (height + GAP)
        draw.text((GAP * 2, top + GAP), label, fill="black", font=font)
        for column, cell_HW3 in enumerate(_cells(images_NCHW, (height, width))):
            sheet.paste(Image.fromarray(cell_HW3), (MARGIN + column * (width + GAP), top))
    buffer = io.BytesIO()
    sheet.save(buffer, format="PNG")
    return buffer.getvalue()


def _cells(images_NCHW: Tensor, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    if tuple(images_NCHW.shape[2:]) != size:
        images_NCHW = F.interpolate(images_NCHW, size=size, mode="area")
    levels = (images_NCHW.clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().numpy()
