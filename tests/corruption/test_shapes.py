import dataclasses

import pytest
import torch

from raysuite.config import SHAPES
from raysuite.config.shapes import Disc, Hair, Perlin, Rectangle, Scar, Scratch, Shapes, Stain
from raysuite.corruption import shapes
from tests.corruption.drawing import generator

LINES = ("scratch", "hair", "scar")


def draw(settings, size, areas_N, seed=0):
    return shapes.BY_NAME[type(settings).__name__.lower()](settings, size, areas_N, generator(seed))


def default(name):
    return getattr(Shapes(), name)


def test_every_configured_shape_exists():
    assert tuple(shapes.BY_NAME) == SHAPES


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("size", [(64, 64), (32, 80), (96, 40)])
def test_masks_are_soft_and_of_the_size_asked(name, size):
    for count in (1, 5):
        masks_NHW = draw(default(name), size, torch.full((count,), 0.05))
        assert masks_NHW.shape == (count, *size)
        assert masks_NHW.dtype == torch.float32
        assert masks_NHW.min() >= 0
        assert masks_NHW.max() <= 1
        assert masks_NHW.max() > 0.9


@pytest.mark.parametrize("name", SHAPES)
def test_a_seed_decides_and_another_decides_otherwise(name):
    areas_N = torch.full((6,), 0.05)
    first, again, other = (draw(default(name), (48, 64), areas_N, seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1]), "masks of one batch differ"


# Spots centred near the border lose a part beyond it.
@pytest.mark.parametrize("name", [name for name in SHAPES if name not in LINES])
@pytest.mark.parametrize("size", [(128, 128), (96, 192)])
@pytest.mark.parametrize("area", [0.01, 0.04, 0.12])
def test_areas_are_about_the_ones_asked(name, size, area):
    masks_NHW = draw(default(name), size, torch.full((96,), area))
    assert 0.5 * area < float((masks_NHW > 0.5).float().mean()) < 1.5 * area


# Lines are as long and wide as their settings allow, so the area asked must be one that they can have.
@pytest.mark.parametrize(("name", "area"), [("scratch", 0.008), ("hair", 0.008), ("scar", 0.006)])
def test_areas_of_lines_are_about_the_ones_asked(name, area):
    masks_NHW = draw(default(name), (128, 128), torch.full((96,), area))
    assert 0.5 * area < float(masks_NHW.mean()) < 1.5 * area


@pytest.mark.parametrize("name", SHAPES)
def test_larger_areas_give_larger_masks(name):
    small, large = (draw(default(name), (96, 96), torch.full((64,), area)) for area in (0.002, 0.01))
    assert large.mean() > 1.5 * small.mean()


@pytest.mark.parametrize("kind", [Scratch, Hair, Scar])
def test_lines_are_no_wider_than_allowed_in_pixels_of_the_image(kind):
    def thickest(settings, size):
        # How often a line can be peeled before nothing of it is left: half its width.
        masks_NHW = (draw(settings, size, torch.full((48,), 0.2)) > 0.5).float()[:, None]
        masks_NHW = torch.nn.functional.pad(masks_NHW, (1, 1, 1, 1))
        peeled = 0
        while masks_NHW.any():
            masks_NHW = -torch.nn.functional.max_pool2d(-masks_NHW, 3, 1, 1)
            peeled += 1
        return 2 * peeled

    # A hair that crosses itself is thicker at the crossing, so it is asked for straight ones.
    straight = {"curl": 0.0} if kind is Hair else {}
    for width in (3.0, 8.0):
        for size in ((64, 64), (128, 128)):
            assert width - 2 <= thickest(kind(max_width=width, **straight), size) <= width + 3


@pytest.mark.parametrize("kind", [Scratch, Hair, Scar])
def test_longer_lines_reach_further(kind):
    def reach(length):
        masks_NHW = draw(kind(max_length=length), (128, 128), torch.full((48,), 0.1)) > 0.5
        return masks_NHW.any(1).sum(1).float().mean() + masks_NHW.any(2).sum(1).float().mean()

    assert reach(0.8) > 1.8 * reach(0.2)


def test_a_hair_without_curl_is_straight_and_a_curly_one_is_not():
    def spread(curl):
        """Smaller over larger deviation of the pixels of a hair: 0 for a straight line."""
        ratios = []
        for mask_HW in draw(Hair(curl=curl, max_width=2.0), (128, 128), torch.full((24,), 0.004)):
            points = (mask_HW > 0.5).nonzero().float()
            if len(points) > 20:
                values = torch.linalg.eigvalsh(torch.cov(points.T))
                ratios.append((values[0] / values[1]).sqrt())
        return torch.stack(ratios).median()

    assert spread(0.0) < 0.05
    assert spread(2.0) > 3 * spread(0.0)


def roughness(settings):
    """Border in units of the border of discs of the same area."""
    masks_NHW = draw(settings, (128, 128), torch.full((48,), 0.05)) > 0.5
    border = masks_NHW.diff(dim=1).sum((1, 2)) + masks_NHW.diff(dim=2).sum((1, 2))
    return (border / masks_NHW.sum((1, 2)).clamp(min=1).sqrt()).mean()


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (Disc(warp=0.0), Disc(warp=1.0)),
        (Stain(waviness=0.0), Stain(waviness=1.0)),
        (Perlin(finest=4), Perlin(finest=48)),
        (Rectangle(max_aspect=1.0), Rectangle(max_aspect=15.0)),
    ],
)
def test_settings_make_borders_longer(less, more):
    assert roughness(more) > 1.1 * roughness(less)


@pytest.mark.parametrize("kind", [Disc, Perlin])
def test_rims_are_as_wide_as_set(kind):
    def between(rim):
        masks_NHW = draw(kind(rim=rim), (128, 128), torch.full((48,), 0.05))
        return ((masks_NHW > 0.02) & (masks_NHW < 0.98)).float().mean()

    assert between(1.0) > 2 * between(0.05)


def test_settings_without_effect_on_weight_alone():
    for name in SHAPES:
        heavier = dataclasses.replace(default(name), weight=9.0)
        areas_N = torch.full((3,), 0.02)
        assert torch.equal(draw(heavier, (48, 48), areas_N), draw(default(name), (48, 48), areas_N))
