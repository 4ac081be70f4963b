import pytest
import torch

from raysuite.config import SHAPES
from raysuite.corruption import shapes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_every_configured_shape_exists():
    assert tuple(shapes.BY_NAME) == SHAPES


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [(64, 64), (32, 80), (96, 40)])
def test_masks_are_soft_and_of_the_size_asked(name, size):
    for count in (1, 5):
        masks_NHW = shapes.BY_NAME[name](size, torch.full((count,), 0.05), generator())
        assert masks_NHW.shape == (count, *size)
        assert masks_NHW.dtype == torch.float32
        assert masks_NHW.min() >= 0
        assert masks_NHW.max() <= 1


@pytest.mark.parametrize("name", SHAPES)
def test_a_seed_decides_and_another_decides_otherwise(name):
    areas_N = torch.full((6,), 0.05)
    first, again, other = (shapes.BY_NAME[name]((48, 64), areas_N, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1]), "masks of one batch differ"


# Spots centred near the border lose a part beyond it, and a scratch is never thinner than 1.2 pixels.
@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [(128, 128), (96, 192)])
@pytest.mark.parametrize("area", [0.01, 0.04, 0.12])
def test_areas_are_about_the_ones_asked(name, size, area):
    if name == "scratch" and area > 0.01:
        pytest.skip("a scratch is at most six pixels wide")
    masks_NHW = shapes.BY_NAME[name](size, torch.full((96,), area), generator())
    mean = float((masks_NHW > 0.5).float().mean())
    assert 0.5 * area < mean < 1.5 * area


@pytest.mark.parametrize("name", SHAPES)
def test_larger_areas_give_larger_masks(name):
    small, large = (shapes.BY_NAME[name]((96, 96), torch.full((64,), area), generator()) for area in (0.004, 0.02))
    assert large.mean() > small.mean()
