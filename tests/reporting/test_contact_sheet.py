import io

import numpy as np
import pytest
import torch
from PIL import Image

from raysuite.config import FILLS, SHAPES, Config, DataConfig
from raysuite.datasets.layouts import find_entries
from raysuite.errors import DatasetError
from raysuite.reporting.contact_sheet import CELL, GAP, MARGIN, contact_sheet, load_crops
from raysuite.storage import Location
from tests.corruption.drawing import corruption


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "PNG"
    return image


def test_the_sheet_has_a_column_an_image_and_a_row_a_family_in_use():
    images_NCHW = torch.full((3, 3, 40, 64), 0.5)
    sheet = opened(contact_sheet(corruption(), images_NCHW, seed=0))
    rows = 3 + len(SHAPES) + len(FILLS)
    assert sheet.size == (MARGIN + 3 * (64 + GAP), rows * (40 + GAP) + GAP)
    only = opened(contact_sheet(corruption("disc", "colour"), images_NCHW, seed=0))
    assert only.height == 5 * (40 + GAP) + GAP


def test_the_first_rows_are_originals_corruptions_and_masks():
    images_NCHW = torch.full((8, 3, 32, 32), 0.5)
    pixels = np.asarray(opened(contact_sheet(corruption("disc", "colour"), images_NCHW, seed=0)))
    original, corrupted, mask = (pixels[GAP + row * (32 + GAP) :][:32, MARGIN:].astype(int) for row in range(3))
    inside = mask.min(2) == 255
    assert inside[:, :32].any() or inside.any()
    assert (original[:, :32] == 128).all()
    changed = np.abs(corrupted - original).max(2) > 12
    gaps = np.zeros(original.shape[1], bool)
    for column in range(8):
        gaps[column * (32 + GAP) + 32 : (column + 1) * (32 + GAP)] = True
    assert changed.any()
    assert (inside[:, ~gaps] | ~changed[:, ~gaps]).mean() > 0.97


def test_large_images_are_reduced():
    sheet = opened(contact_sheet(corruption("disc", "colour"), torch.rand(1, 3, 320, 640), seed=0))
    assert sheet.size == (MARGIN + CELL + GAP, 5 * (CELL // 2 + GAP) + GAP)


def test_a_seed_decides(small_benchmark):
    listing = find_entries(Location.of(str(small_benchmark)), "auto", ("weave",))
    config = Config(data=DataConfig(image_size=72))

    def sheet(seed):
        images_NCHW = load_crops(listing, "weave", config, count=2, seed=seed)
        assert images_NCHW.shape == (2, 3, 72, 72)
        assert 0 <= images_NCHW.min() < images_NCHW.max() <= 1
        return contact_sheet(corruption("disc", "colour"), images_NCHW, seed=seed)

    assert sheet(1) == sheet(1)
    assert sheet(1) != sheet(2)


def test_crops_are_those_of_training(small_benchmark):
    listing = find_entries(Location.of(str(small_benchmark)), "auto", ("weave",))
    config = Config(data=DataConfig(image_size=144, crop_size=80))
    assert load_crops(listing, "weave", config, count=99, seed=0).shape == (8, 3, 80, 80)


def test_the_size_is_that_of_training_whichever_images_are_picked(tmp_path):
    """Two wide images of seven: a median over the picked ones alone would often be wide."""
    folder = tmp_path / "mixed" / "train" / "good"
    folder.mkdir(parents=True)
    for index in range(7):
        Image.new("RGB", (160 if index < 2 else 80, 80), (index, 90, 120)).save(folder / f"{index}.png")
    (folder / "8.png").write_bytes(b"no image")
    listing = find_entries(Location.of(str(tmp_path)), "auto", ("mixed",))
    config = Config(data=DataConfig(image_size=72))
    for seed in range(8):
        assert load_crops(listing, "mixed", config, count=1, seed=seed).shape == (1, 3, 72, 72)


def test_unreadable_images_are_passed_over_and_none_at_all_is_refused(small_benchmark, tmp_path):
    import shutil

    root = tmp_path / "data"
    shutil.copytree(small_benchmark / "weave", root / "weave")
    names = sorted((root / "weave" / "train" / "good").iterdir())
    names[0].write_bytes(b"")
    listing = find_entries(Location.of(str(root)), "auto", ("weave",))
    config = Config(data=DataConfig(image_size=72))
    assert len(load_crops(listing, "weave", config, count=99, seed=0)) == len(names) - 1
    for name in names:
        name.write_bytes(b"")
    with pytest.raises(DatasetError, match="weave"):
        load_crops(listing, "weave", config, count=4, seed=0)
