import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from raysuite.detection.difference import rounding_noise
from raysuite.detection.maps import _pooled, _shifted, divisor, pool, smooth, usual_errors
from raysuite.metrics.image import image_metrics

ROUNDING = rounding_noise("squared")


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
    assert pool(maps_NHW, "top", share).numpy() == pytest.approx(wanted, rel=1e-5)


def test_the_highest_pixel_and_the_mean_of_all_are_pools_too():
    maps_NHW = maps(3, (40, 50))
    assert torch.equal(pool(maps_NHW, "max", 0.3), maps_NHW.amax((1, 2)))
    assert torch.allclose(pool(maps_NHW, "mean", 0.3), maps_NHW.mean((1, 2)))


def test_usual_errors_are_mean_plus_two_deviations_however_the_images_are_batched():
    maps_NHW = maps(7, (40, 48))
    filters = {(1, 0), (21, 2)}
    whole, parts = usual_errors([maps_NHW], filters), usual_errors(torch.split(maps_NHW, 3), filters)
    for kernel, passes in filters:
        values = smooth(maps_NHW, kernel, passes).numpy().astype(float)
        wanted = values.mean(0) + 2 * values.std(0)
        assert whole[kernel, passes].numpy() == pytest.approx(wanted, rel=1e-5)
        assert torch.allclose(whole[kernel, passes], parts[kernel, passes], rtol=1e-5)
    assert usual_errors([maps_NHW[:1]], {(1, 0)})[1, 0].isfinite().all(), "one image has no deviation"


def test_the_divisor_is_what_is_usual_over_a_floor():
    usual_HW = maps(1, (20, 24))[0]
    usual_HW[:, :5] = 0.0
    for floor in (0.0, 0.5, 2.0):
        wanted = smooth(usual_HW.clamp(min=floor * float(usual_HW.mean()))[None], 11, 3)[0] + ROUNDING
        assert torch.allclose(divisor(usual_HW, "place", floor, ROUNDING), wanted, rtol=1e-5)
    even_HW = divisor(usual_HW, "image", 0.5, ROUNDING)
    assert even_HW.unique().tolist() == pytest.approx([float(usual_HW.mean()) + ROUNDING])
    assert (divisor(usual_HW, "none", 0.5, ROUNDING) == 1).all()
    for normalise in ("place", "image", "none"):
        assert (divisor(torch.zeros(8, 8), normalise, 0.5, ROUNDING) > 0).all(), "perfect repair is no division by zero"


def flat_background(count, level, seed):
    """Errors on an object before a plain background, where noise has a heavy tail: a few images are a bit noisier."""
    rng = np.random.default_rng(seed)
    errors_NHW = rng.gamma(2.0, 4e-4, (count, 64, 64))
    errors_NHW[:, :, 24:] = level * rng.gamma(2.0, 1.0, (count, 64, 40)) * rng.pareto(1.5, (count, 1, 1))
    return torch.from_numpy(errors_NHW).float()


@pytest.mark.parametrize("level", [1e-7, 1e-6, 1e-5])
def test_noise_on_a_flat_background_does_not_outshine_a_defect(level):
    usual_HW = usual_errors([flat_background(100, level, 0)], {(11, 3)})[11, 3]
    errors_NHW, mask_NHW = flat_background(10, level, 1), torch.zeros(10, 64, 64, dtype=torch.bool)
    mask_NHW[:, 20:30, 8:18] = True
    errors_NHW[mask_NHW] += 4e-3
    map_NHW = smooth(errors_NHW, 11, 3)

    def auroc(floor):
        normalised_NHW = map_NHW / divisor(usual_HW, "place", floor, ROUNDING)
        return image_metrics(normalised_NHW.flatten().numpy(), mask_NHW.flatten().int().numpy()).auroc

    assert auroc(0.5) > 0.99
    assert auroc(0.5) >= auroc(0.0)


@pytest.mark.parametrize("side", [1, 3, 11, 21])
def test_both_ways_to_average_are_one(side):
    padded_NCHW = torch.rand(3, 1, 40, 52, generator=torch.Generator().manual_seed(side))
    for axis in (2, 3):
        torch.testing.assert_close(_shifted(padded_NCHW, side, axis), _pooled(padded_NCHW, side, axis))
