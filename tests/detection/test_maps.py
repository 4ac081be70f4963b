import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from raysuite.detection.maps import TINY, pool, smooth, spread, squared_error


def maps(count=2, size=(256, 280), seed=0):
    return torch.rand(count, *size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("kernel", "passes"), [(3, 1), (11, 3), (5, 2), (101, 1)])
def test_smoothing_is_a_box_filter_with_reflected_borders(kernel, passes):
    maps_NHW = maps()
    wanted = maps_NHW.numpy().astype(float)
    for _ in range(passes):
        wanted = np.stack([uniform_filter(one, kernel, mode="mirror") for one in wanted])
    assert np.abs(smooth(maps_NHW, kernel, passes).numpy() - wanted).max() < 1e-5


@pytest.mark.parametrize(("side", "kernel"), [(128, 5), (64, 3), (512, 21)])
def test_kernels_follow_the_size_of_the_picture(side, kernel):
    maps_NHW = maps(1, (side, side + 8))
    wanted = uniform_filter(maps_NHW[0].numpy(), kernel, mode="mirror")
    # Eleven pixels at 256 are 5.5, 2.75 and 22 here; the nearest odd kernels are taken.
    assert np.abs(smooth(maps_NHW, 11, 1)[0].numpy() - wanted).max() < 1e-5


def test_a_constant_stays_and_a_spot_keeps_its_mass():
    assert torch.allclose(smooth(torch.full((1, 64, 72), 0.3), 21, 3), torch.tensor(0.3), atol=1e-6)
    spot_NHW = torch.zeros(1, 128, 128)
    spot_NHW[0, 60, 70] = 5.0
    smoothed_NHW = smooth(spot_NHW, 21, 3)
    assert float(smoothed_NHW.sum()) == pytest.approx(5.0, rel=1e-5)
    assert smoothed_NHW.argmax() == spot_NHW.argmax()


@pytest.mark.parametrize(("kernel", "passes"), [(1, 3), (11, 0), (3, 2)])
def test_no_passes_or_a_kernel_of_one_pixel_change_nothing(kernel, passes):
    maps_NHW = maps(1, (32, 32))
    assert torch.equal(smooth(maps_NHW, kernel, passes), maps_NHW)


@pytest.mark.parametrize("share", [1e-6, 0.005, 0.3, 1.0])
def test_pooling_is_the_mean_of_the_highest(share):
    maps_NHW = maps(3, (40, 50))
    ranked = np.sort(maps_NHW.numpy().reshape(3, -1).astype(float), axis=1)[:, ::-1]
    wanted = ranked[:, : max(1, round(share * 2000))].mean(1)
    assert pool(maps_NHW, share).numpy() == pytest.approx(wanted, rel=1e-5)


def test_spread_is_mean_plus_two_deviations_over_a_floor():
    maps_NHW = maps(7, (20, 30))
    maps_NHW[:, :, :5] = 0.0
    values = maps_NHW.numpy().astype(float)
    free = values.mean(0) + 2 * values.std(0)
    for floor in (0.0, 0.5, 2.0):
        wanted = np.maximum(free, floor * free.mean()) + TINY
        assert spread(maps_NHW, floor).numpy() == pytest.approx(wanted, rel=1e-4)
    assert (spread(torch.zeros(2, 8, 8), 0.5) > 0).all(), "perfect repair is no division by zero"
    assert spread(maps_NHW[:1], 0.5).isfinite().all(), "one image has no deviation"


def test_the_error_is_the_mean_over_channels():
    images_NCHW = torch.zeros(1, 3, 2, 2)
    repaired_NCHW = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.allclose(squared_error(images_NCHW, repaired_NCHW), torch.full((1, 2, 2), 0.07))
