import pytest
import torch

from raysuite.config import FILLS
from raysuite.config.fills import Blur, Elastic, Fills, Gamma, Gradient, Hue, Other, PixelNoise, Same, Shuffle
from raysuite.corruption import fills
from raysuite.corruption.fills import BY_NAME
from tests.corruption.drawing import generator, images


def draw(name, batch_NCHW, rows=None, seed=0, settings=None):
    rows_n = torch.arange(len(batch_NCHW)) if rows is None else torch.tensor(rows)
    return BY_NAME[name](settings or getattr(Fills(), name), batch_NCHW, rows_n, generator(seed))


@pytest.fixture(scope="module")
def batch_NCHW():  # noqa: N802
    # Extremes and noise, so that anything that overshoots leaves [0, 1].
    batch = images(6).round()
    batch[0], batch[1] = 0.0, 1.0
    return batch


def smooth(count=4, side=64):
    """Images whose grey level tells the place: red is the row, green the column, blue the image."""
    ramp = (torch.arange(side) + 0.5) / side
    rows, columns = torch.meshgrid(ramp, ramp, indexing="ij")
    return torch.stack([torch.stack([rows, columns, torch.full_like(rows, k / count)]) for k in range(count)])


def test_every_configured_fill_exists():
    assert tuple(fills.BY_NAME) == FILLS


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FILLS)
def test_pictures_are_finite_and_in_range(name, seed, batch_NCHW):
    pictures_nCHW = draw(name, batch_NCHW, [0, 1, 2, 2, 5], seed)
    assert pictures_nCHW.shape == (5, 3, 64, 64)
    assert pictures_nCHW.dtype == torch.float32
    assert pictures_nCHW.isfinite().all()
    # Interpolation and averages round in float32, so that 1 may come back as 1 + 1e-6.
    assert pictures_nCHW.min() >= -1e-5
    assert pictures_nCHW.max() <= 1 + 1e-5


@pytest.mark.parametrize("size", [(32, 80), (72, 40), (37, 53)])
@pytest.mark.parametrize("name", FILLS)
def test_sides_may_differ_and_a_batch_may_be_one(name, size):
    assert draw(name, images(1, size)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", FILLS)
def test_a_seed_decides_and_another_decides_otherwise(name, batch_NCHW):
    first, again, other = (draw(name, batch_NCHW, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("name", FILLS)
def test_spots_on_one_image_differ(name):
    pictures_nCHW = draw(name, images(2), [1] * 6)
    assert len({tuple(picture.flatten().tolist()) for picture in pictures_nCHW}) >= 3


@pytest.mark.parametrize("name", FILLS)
def test_good_images_are_left_as_they_were(name, batch_NCHW):
    before = batch_NCHW.clone()
    draw(name, batch_NCHW)
    assert torch.equal(batch_NCHW, before)


@pytest.mark.parametrize("name", ["elastic", "same", "blur", "shuffle"])
def test_own_content_comes_from_the_own_image(name):
    batch = torch.stack([torch.full((3, 32, 32), level) for level in (0.1, 0.5, 0.9)])
    pictures_nCHW = draw(name, batch, [2, 0, 1, 2])
    assert torch.allclose(pictures_nCHW, batch[[2, 0, 1, 2]], atol=1e-5)


def test_other_content_comes_from_another_image():
    pictures_nCHW = draw("other", smooth(4), [0, 1, 2, 3] * 8)
    source = (pictures_nCHW[:, 2].mean((1, 2)) * 4).round()
    assert (source != torch.tensor([0, 1, 2, 3] * 8)).all()
    assert set(source.tolist()) == {0, 1, 2, 3}


def test_elastic_moves_content_as_far_as_set_and_no_further():
    def moved(most):
        # In half sides, as the setting is; a spline of normal values rarely reaches three deviations.
        shifts = 2 * (draw("elastic", smooth(), [0] * 8, settings=Elastic(max_shift=most)) - smooth()[:1])
        return shifts[:, :2, 16:-16, 16:-16].abs()

    assert moved(0.05).quantile(0.9) < 2 * 0.05
    assert moved(0.2).mean() > 2.5 * moved(0.05).mean()


@pytest.mark.parametrize("kind", [Same, Other])
def test_content_is_enlarged_and_reduced_as_far_as_set(kind):
    def steps(most):
        """How far apart in the source neighbours are, in pixels."""
        settings = kind(max_scale=most)
        pictures = draw(kind.__name__.lower(), smooth(side=128), [0] * 48, settings=settings)[:, :2] * 128
        return pictures.diff(dim=3)[:, :, 1:].square().sum(1).sqrt().flatten(1).median(1).values

    assert torch.allclose(steps(1.0), torch.ones(48), atol=0.02)
    assert steps(3.0).max() > 1.8
    assert steps(3.0).min() < 0.6
    assert steps(3.0).max() < 3.1


def test_a_colour_is_one_colour_and_a_gradient_is_none():
    plain, sloping = draw("colour", images(4)), draw("gradient", images(4))
    assert plain.flatten(2).std(2).max() < 1e-6
    assert sloping.flatten(2).std(2).amax(1).min() > 0.005
    assert (sloping.diff(dim=2).diff(dim=2).abs() < 1e-5).float().mean() > 0.95, "linear wherever it is not clipped"
    flat = draw("gradient", images(4), settings=Gradient(max_step=0.0))
    assert flat.flatten(2).std(2).max() < 1e-6


def test_a_wider_blur_leaves_less_detail():
    def detail(radius):
        return draw("blur", images(1), [0] * 16, settings=Blur(max_radius=radius)).std()

    assert detail(1) > 1.5 * detail(16)
    # A radius of one is the mean of nine neighbours.
    box = torch.nn.functional.avg_pool2d(images(1), 3, 1)
    assert torch.allclose(draw("blur", images(1), settings=Blur(max_radius=1))[:, :, 1:-1, 1:-1], box, atol=1e-5)


def test_hue_shifts_whole_channels_as_far_as_set():
    middle = torch.full((1, 3, 32, 32), 0.5)
    shift = draw("hue", middle, [0] * 32, settings=Hue(max_shift=0.2)) - 0.5
    assert shift.flatten(2).std(2).max() < 1e-6
    assert 0.15 < shift.abs().max() <= 0.2 + 1e-6
    assert shift.abs().amax((1, 2, 3)).min() >= 0.08 - 1e-6, "every spot can be seen"
    assert (shift.amax(1) - shift.amin(1)).mean() > 0.05, "channels differ"


def test_gamma_keeps_the_order_of_grey_levels():
    ramp = smooth()[:1, :1].expand(-1, 3, -1, -1)
    for picture in draw("gamma", ramp, [0] * 16):
        assert (picture[0, :, 0].diff() >= 0).all()
    unchanged = draw("gamma", ramp, settings=Gamma(max_log=0.0, max_shift=0.0))
    assert torch.allclose(unchanged, ramp, atol=1e-5)


def test_pixel_noise_is_as_strong_as_set_and_grey():
    middle = torch.full((1, 3, 64, 64), 0.5)
    noise = draw("noise", middle, [0] * 32, settings=PixelNoise(max_level=0.1)) - 0.5
    assert (noise.amax(1) - noise.amin(1)).max() < 1e-6
    deviations = noise[:, 0].flatten(1).std(1)
    assert deviations.max() < 0.11
    assert deviations.min() > 0.02


def test_shuffled_tiles_keep_the_pixels_they_had():
    # Sides are multiples of every tile, so that tiles are only put in another order.
    batch = images(3)
    pictures_nCHW = draw("shuffle", batch, [0, 1, 2, 0, 1, 2])
    for picture, row in zip(pictures_nCHW, [0, 1, 2, 0, 1, 2], strict=True):
        assert torch.equal(picture.flatten(1).sort(1).values, batch[row].flatten(1).sort(1).values)


@pytest.mark.parametrize("tile", [2, 8, 32])
def test_tiles_are_as_large_as_set(tile):
    picture = draw("shuffle", smooth(), [0], settings=Shuffle(tiles=(tile,)))[0]
    steps = picture[0, :, 0].diff() * 64
    inner = torch.ones(63, dtype=torch.bool)
    inner[tile - 1 :: tile] = False
    assert torch.allclose(steps[inner], torch.ones(int(inner.sum())), atol=1e-3), "rows of a tile stay together"


def test_drawn_textures_are_of_several_kinds():
    pictures = draw("texture", images(1), [0] * 64)
    contrast = pictures.flatten(2).std(2).amax(1)
    assert (contrast > 0.02).float().mean() > 0.9
    # Neighbours of fine grain have nothing to do with one another; those in clouds have.
    grey = pictures.mean(1) - pictures.mean((1, 2, 3))[:, None, None]
    likeness = (grey[:, :, 1:] * grey[:, :, :-1]).mean((1, 2)) / grey.square().mean((1, 2)).clamp(min=1e-9)
    assert likeness.min() < 0.4
    assert likeness.max() > 0.9
