from dataclasses import replace

import pytest
import torch

from raysuite.training.augmentation import Augmentation
from raysuite.training.batches import draw_batch
from raysuite.training.turning import SYMMETRIES
from tests.training.pictures import generator, noise, parts, rings

PLAIN = Augmentation()
ALL = Augmentation(flips=tuple(SYMMETRIES), rotation="free", angle=180, shift=0.1, padding="border")


def place(size=(64, 64)):
    """One image whose pixels tell where they are: red the row, green the column."""
    image = torch.zeros(1, 3, *size, dtype=torch.uint8)
    image[0, 0] = torch.arange(size[0]).view(-1, 1)
    image[0, 1] = torch.arange(size[1]).view(1, -1)
    return image


def test_a_seed_decides_the_batch():
    for augmentation in (PLAIN, ALL):
        first, again, other = (draw_batch(noise(), 5, 32, augmentation, generator(seed)) for seed in (1, 1, 2))
        assert torch.equal(first, again)
        assert not torch.equal(first, other)


def test_a_seed_picks_the_same_images_whatever_is_done_to_them():
    images_NCHW = (torch.arange(50).view(-1, 1, 1, 1) * 5).expand(-1, 3, 32, 32).to(torch.uint8)
    plain, changed = (draw_batch(images_NCHW, 16, 16, augmentation, generator()) for augmentation in (PLAIN, ALL))
    assert torch.allclose(plain, changed, atol=1e-5)
    assert len(plain[:, 0, 0, 0].unique()) > 10


@pytest.mark.parametrize("augmentation", [PLAIN, ALL, replace(ALL, padding="reflection")])
@pytest.mark.parametrize(("crop", "shape"), [(32, (32, 32)), (80, (64, 80)), (200, (64, 96))])
def test_crops_have_the_size_asked_or_the_images_and_values_between_0_and_1(augmentation, crop, shape):
    batch_NCHW = draw_batch(noise(size=(64, 96)), 6, crop, augmentation, generator())
    assert batch_NCHW.shape == (6, 3, *shape)
    assert batch_NCHW.dtype == torch.float32
    assert batch_NCHW.min() >= 0
    assert batch_NCHW.max() <= 1


def test_without_augmentation_a_whole_image_comes_out_as_it_is():
    images_NCHW = parts()[:1]
    batch_NCHW = draw_batch(images_NCHW, 8, 64, PLAIN, generator())
    assert torch.equal(batch_NCHW, (images_NCHW.float() / 255).expand(8, -1, -1, -1))


def test_every_image_is_cropped_at_a_place_of_its_own_and_all_places_are_met():
    batch = (draw_batch(place((40, 36)), 600, 32, PLAIN, generator()) * 255).round()
    tops, lefts = batch[:, 0, 0, 0], batch[:, 1, 0, 0]
    assert tops.unique().tolist() == list(range(9))
    assert lefts.unique().tolist() == list(range(5))
    assert torch.equal(batch[:, 0, 31, 31] - tops, torch.full((600,), 31.0))


def test_only_allowed_symmetries_are_drawn():
    image = parts()[:1]
    as_is = image.float() / 255
    for name, change in SYMMETRIES.items():
        drawn = draw_batch(image, 24, 64, replace(PLAIN, flips=(name,)), generator())
        same = [torch.equal(one, as_is[0]) for one in drawn]
        assert 4 < sum(same) < 20, "about half are changed"
        assert all(kept or torch.equal(one, change(as_is)[0]) for one, kept in zip(drawn, same, strict=True))


def test_crops_that_are_not_square_are_not_turned_by_a_quarter():
    image = noise(1, (64, 96))
    drawn = draw_batch(image, 12, 96, replace(PLAIN, flips=("turn",)), generator())
    assert torch.equal(drawn, (image.float() / 255).expand(12, -1, -1, -1))


def test_a_shift_is_by_whole_pixels_and_as_far_as_allowed():
    drawn = (draw_batch(place(), 400, 64, replace(PLAIN, shift=0.05, padding="border"), generator()) * 255).round()
    middle = drawn[:, :2, 32, 32] - 32
    assert middle.amin(0).tolist() == [-3, -3]
    assert middle.amax(0).tolist() == [3, 3]
    # Whole pixels: each drawn value is one of the image's, and neighbours are one apart.
    inner = drawn[:, 0, 8:56, 32]
    assert torch.equal(inner.diff(dim=1), torch.ones(400, 47))


def test_what_lies_beyond_goes_on_as_the_border_or_mirrored():
    shift = {"shift": 0.25}
    border, mirrored = (
        (draw_batch(place(), 40, 64, replace(PLAIN, padding=padding, **shift), generator()) * 255).round()
        for padding in ("border", "reflection")
    )
    down = (border[:, 0, 32, 32] - 32).int().tolist()
    one = min(range(40), key=down.__getitem__)
    assert down[one] < -4
    assert border[one, 0, :4, 0].tolist() == [0, 0, 0, 0]
    assert mirrored[one, 0, :4, 0].tolist() == [-down[one] - 1 - row for row in range(4)]


def test_half_of_the_images_are_turned_by_odd_angles_and_the_others_stay_sharp():
    image = parts()[:1]
    as_is = (image.float() / 255)[0]
    drawn = draw_batch(image, 40, 64, replace(PLAIN, rotation="free", angle=180.0, padding="border"), generator())
    sharp = sum(torch.equal(one, as_is) for one in drawn)
    assert 10 < sharp < 30


def test_small_angles_stay_small():
    drawn = (
        draw_batch(place(), 60, 64, replace(PLAIN, rotation="small", angle=5.0, padding="border"), generator()) * 255
    )
    # Along the middle row of an image turned by φ the row number changes by sin φ a pixel.
    slope = (drawn[:, 0, 32, 52] - drawn[:, 0, 32, 12]) / 40
    assert slope.abs().max() < torch.sin(torch.deg2rad(torch.tensor(5.2)))
    assert slope.abs().max() > torch.sin(torch.deg2rad(torch.tensor(3.0)))
    assert slope.min() < 0 < slope.max()


def test_a_turned_crop_that_fits_makes_nothing_up():
    size, crop = (64, 80), 44
    image = place(size)
    drawn = draw_batch(image, 200, crop, replace(PLAIN, rotation="free", angle=180.0), generator()) * 255
    # Where nothing is mirrored, rows and columns change steadily all over the crop.
    for channel in (0, 1):
        for dim in (1, 2):
            steps = drawn[:, channel].diff(dim=dim)[:, 2:-2, 2:-2]
            assert (steps.amax((1, 2)) - steps.amin((1, 2))).max() < 0.2


def test_a_round_part_stays_where_it_is_when_turned():
    images_NCHW = rings(6)
    drawn = draw_batch(images_NCHW, 16, 64, replace(PLAIN, rotation="free", angle=180.0, padding="border"), generator())
    ground = images_NCHW[:, :, 0, 0].float().mean() / 255
    for row, column in ((0, 0), (0, 63), (63, 0), (63, 63)):
        assert (drawn[:, :, row, column] - ground).abs().max() < 0.05, "corners go on as the plain ground"
