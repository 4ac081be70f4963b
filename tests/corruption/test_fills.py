import pytest
import torch

from raysuite.config import FILLS
from raysuite.corruption import fills


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pool_NCHW():  # noqa: N802
    # Extremes and noise, so that anything that overshoots leaves [0, 1].
    images = torch.rand(6, 3, 64, 64, generator=generator(7)).round()
    images[0], images[1] = 0.0, 1.0
    return images


def test_every_configured_fill_exists():
    assert tuple(fills.BY_NAME) == FILLS


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("name", FILLS)
def test_pictures_are_finite_and_in_range(name, seed, pool_NCHW):
    pictures_NCHW = fills.BY_NAME[name](pool_NCHW, pool_NCHW, generator(seed))
    assert pictures_NCHW.shape == pool_NCHW.shape
    assert pictures_NCHW.dtype == torch.float32
    assert pictures_NCHW.isfinite().all()
    # Interpolation rounds in float32, so that 1 may come back as 1 + 1e-6.
    assert pictures_NCHW.min() >= -1e-5
    assert pictures_NCHW.max() <= 1 + 1e-5


@pytest.mark.parametrize("size", [(32, 80), (72, 40)])
@pytest.mark.parametrize("name", FILLS)
def test_sides_may_differ_and_a_batch_may_be_one(name, size):
    image_1CHW = torch.rand(1, 3, *size, generator=generator())
    assert fills.BY_NAME[name](image_1CHW, image_1CHW, generator()).shape == image_1CHW.shape


@pytest.mark.parametrize("name", FILLS)
def test_a_seed_decides_and_another_decides_otherwise(name, pool_NCHW):
    first, again, other = (fills.BY_NAME[name](pool_NCHW, pool_NCHW, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", FILLS)
def test_good_images_are_left_as_they_were(name, pool_NCHW):
    before = pool_NCHW.clone()
    fills.BY_NAME[name](pool_NCHW, pool_NCHW, generator())
    assert torch.equal(pool_NCHW, before)


def test_shuffled_tiles_keep_the_pixels_they_had():
    # Sides are multiples of every tile, so that tiles are only put in another order.
    image_1CHW = torch.rand(1, 3, 64, 64, generator=generator())
    for seed in range(20):
        shuffled = fills.shuffle(image_1CHW, image_1CHW, generator(seed))
        if torch.equal(shuffled.flatten().sort().values, image_1CHW.flatten().sort().values):
            return
    pytest.fail("no seed of twenty shuffled tiles")


def test_other_borrows_from_the_pool():
    black_1CHW, white_NCHW = torch.zeros(1, 3, 32, 32), torch.ones(2, 3, 32, 32)
    assert torch.allclose(fills.other(black_1CHW, white_NCHW, generator()), torch.ones(1, 3, 32, 32), atol=1e-5)
