import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raysuite.config import Config
from raysuite.corruption.corruptor import Corruptor
from raysuite.corruption.photographs import MOST, SIDE, check_textures, load_photographs
from raysuite.errors import ConfigError
from tests.corruption.drawing import corruption, generator, images

KEY = r"corruption\.fills\.texture\.folder"


def textured(folder, **changes):
    config = corruption(fill="texture", noise="none", opaque_share=1.0, clean_share=0.0, **changes)
    texture = dataclasses.replace(config.fills.texture, folder=str(folder))
    return dataclasses.replace(config, fills=dataclasses.replace(config.fills, texture=texture))


def write(path, colour=(200, 30, 30), size=(90, 70)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def folder(tmp_path):
    """Three red photographs at different depths, and files that are none."""
    for name in ("a.png", "deep/b.jpg", "deep/er/c.webp"):
        write(tmp_path / "dtd" / name)
    (tmp_path / "dtd" / "broken.png").write_bytes(b"\x89PNG no more")
    (tmp_path / "dtd" / "empty.jpg").write_bytes(b"")
    (tmp_path / "dtd" / "labels.txt").write_text("red")
    return tmp_path / "dtd"


def test_photographs_are_found_at_any_depth_and_bad_files_are_left_out(folder):
    photographs = load_photographs(str(folder))
    assert photographs.shape == (3, SIDE, SIDE, 3)
    assert photographs.dtype == np.uint8
    assert np.abs(photographs.astype(int).mean((0, 1, 2)) - [200, 30, 30]).max() < 5


def test_spots_show_the_photographs(folder):
    blue_NCHW = torch.tensor([0.1, 0.1, 0.9]).view(1, 3, 1, 1).expand(24, 3, 64, 64).contiguous()
    batch = Corruptor(textured(folder))(blue_NCHW, generator())
    inside = batch.mask_N1HW[:, 0]
    red, _, blue = (batch.inputs_NCHW[:, channel][inside].mean() for channel in range(3))
    assert red > blue + 0.1


def test_a_seed_decides_which_photograph_is_shown(folder):
    write(folder / "green.png", (20, 220, 20))
    corruptor = Corruptor(textured(folder))
    first, again, other = (corruptor(images(6), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.inputs_NCHW, again.inputs_NCHW)
    assert not torch.equal(first.inputs_NCHW, other.inputs_NCHW)


@pytest.mark.parametrize("size", [(64, 64), (40, 96), (300, 280)])
def test_pieces_of_photographs_fill_any_image_and_stay_in_range(folder, size):
    batch = Corruptor(textured(folder, max_area=0.5, min_area=0.3))(images(2, size), generator())
    assert batch.inputs_NCHW.shape == (2, 3, *size)
    assert batch.inputs_NCHW.min() >= -1e-5
    assert batch.inputs_NCHW.max() <= 1 + 1e-5


def test_a_large_folder_is_read_in_part_and_always_the_same_part(tmp_path):
    for index in range(MOST + 20):
        write(tmp_path / f"{index:04d}.png", (index % 256, index // 256, 0), size=(8, 8))
    first = load_photographs(str(tmp_path))
    load_photographs.cache_clear()
    assert len(first) == MOST
    assert np.array_equal(first, load_photographs(str(tmp_path)))


@pytest.mark.parametrize("kind", ["missing", "empty", "unreadable", "a file"])
def test_a_folder_without_photographs_is_refused_with_its_key(tmp_path, kind):
    folder = tmp_path / "textures"
    if kind == "a file":
        folder.write_text("no folder")
    elif kind != "missing":
        folder.mkdir()
    if kind == "unreadable":
        (folder / "broken.png").write_bytes(b"no image")
        (folder / "notes.txt").write_text("no image either")
    config = Config(corruption=textured(folder))
    with pytest.raises(ConfigError, match=rf"{KEY} is .*textures"):
        check_textures(config)
    with pytest.raises(ConfigError, match=rf"{KEY} is .*textures"):
        Corruptor(config.corruption)


def test_an_unused_folder_is_not_asked_for(tmp_path):
    config = textured(tmp_path / "missing")
    off = dataclasses.replace(config.fills.texture, weight=0.0)
    on = dataclasses.replace(config.fills.colour, weight=1.0)
    config = dataclasses.replace(config, fills=dataclasses.replace(config.fills, texture=off, colour=on))
    assert check_textures(Config(corruption=config)).corruption == config
    with pytest.raises(ConfigError, match="missing"):
        check_textures(Config(corruption=config), searched=True)
    assert Corruptor(config)(images(2), generator()).mask_N1HW.any()
    assert check_textures(Config()) == Config()


def test_the_folder_is_written_in_full(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    checked = check_textures(Config(corruption=textured("dtd")))
    assert checked.corruption.fills.texture.folder == str(folder)
    assert check_textures(checked) == checked
    by_uri = check_textures(Config(corruption=textured(f"file://{folder}")))
    assert Corruptor(by_uri.corruption)(images(2), generator()).mask_N1HW.any()


@pytest.mark.data
def test_real_photographs_are_read_and_shown(real_data: Path):
    folder = real_data / "textures_dtd"
    if not folder.is_dir():
        pytest.skip(f"no textures at {folder}")
    config = check_textures(Config(corruption=textured(folder)))
    assert len(load_photographs(str(folder))) >= 100
    batch = Corruptor(config.corruption)(torch.full((8, 3, 96, 96), 0.5), generator())
    inside = batch.inputs_NCHW.mean(1)[batch.mask_N1HW[:, 0]]
    assert inside.std() > 0.05
