import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from raysuite.config import ERRORS
from raysuite.detection.difference import CONTRAST, LUMINANCE, difference, dissimilarity, rounding_noise, squared_error


def views(side=64, noise=0.05, seed=0):
    """Two views of a pattern: as it is, and with noise; (2, 3, side, side) each."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:side, 0:side]
    first = np.stack([0.5 + 0.3 * np.sin(down / (2 + k) + across / (5 - k)) for k in range(3)])
    first = np.stack([first, first[::-1] * 0.7])
    second = first + rng.normal(0, noise, first.shape)
    return torch.from_numpy(first).float(), torch.from_numpy(second).float().clamp(0, 1)


def ssim_of_the_paper(first_NCHW, second_NCHW, side):
    """Equation 13 of Wang et al. (2004) with boxes, in float64; moments are means over the channels."""

    def mean(values_NCHW):
        return uniform_filter(values_NCHW, (0, 0, side, side), mode="mirror")

    one, other = first_NCHW.double().numpy(), second_NCHW.double().numpy()
    mean_1, mean_2 = mean(one), mean(other)
    variance_1, variance_2 = mean(one * one) - mean_1**2, mean(other * other) - mean_2**2
    covariance = mean(one * other) - mean_1 * mean_2
    product, squares, covariance, variances = (
        values_NCHW.mean(1)
        for values_NCHW in (mean_1 * mean_2, mean_1**2 + mean_2**2, covariance, variance_1 + variance_2)
    )
    luminance = (2 * product + LUMINANCE) / (squares + LUMINANCE)
    return luminance * (2 * covariance + CONTRAST) / (variances + CONTRAST)


@pytest.mark.parametrize(("side", "box"), [(256, 11), (128, 5), (64, 3), (512, 21)])
@pytest.mark.parametrize("noise", [0.002, 0.05, 0.5])
def test_dissimilarity_is_half_of_what_the_papers_ssim_lacks_to_one(side, box, noise):
    first_NCHW, second_NCHW = views(side, noise)
    wanted_NHW = (1 - ssim_of_the_paper(first_NCHW, second_NCHW, box)) / 2
    np.testing.assert_allclose(dissimilarity(first_NCHW, second_NCHW).numpy(), wanted_NHW, rtol=2e-3, atol=2e-6)


def test_a_change_of_hue_alone_is_a_difference():
    grey_NCHW = torch.full((1, 3, 64, 64), 0.5)
    tinted_NCHW = grey_NCHW.clone()
    tinted_NCHW[:, 0, 20:40, 20:40] += 0.1
    tinted_NCHW[:, 2, 20:40, 20:40] -= 0.1
    for error in ERRORS:
        found_HW = difference(grey_NCHW, tinted_NCHW, error)[0]
        assert found_HW[22:38, 22:38].min() > 5 * rounding_noise(error)


def test_the_squared_error_is_the_mean_over_channels():
    images_NCHW = torch.zeros(1, 3, 2, 2)
    repaired_NCHW = torch.tensor([0.1, 0.2, 0.4]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    assert torch.allclose(squared_error(images_NCHW, repaired_NCHW), torch.full((1, 2, 2), 0.07))


@pytest.mark.parametrize("error", ERRORS)
def test_a_difference_is_at_least_zero_everywhere_and_zero_without_one(error):
    first_NCHW, second_NCHW = views()
    found_NHW = difference(first_NCHW, second_NCHW, error)
    assert found_NHW.shape == (2, 64, 64)
    assert found_NHW.dtype == torch.float32
    assert (found_NHW >= 0).all()
    assert (found_NHW <= 1).all()
    assert (difference(first_NCHW, first_NCHW, error) == 0).all()


def test_the_geometric_mean_lies_between_the_two():
    squared, structural, both = (difference(*views(), error) for error in ERRORS)
    assert torch.allclose(both.square(), squared * structural)


@pytest.mark.parametrize("error", ERRORS)
def test_a_difference_does_not_depend_on_the_rest_of_the_batch_or_on_the_layout(error):
    first_NCHW, second_NCHW = views()
    whole_NHW = difference(first_NCHW, second_NCHW.contiguous(memory_format=torch.channels_last), error)
    single_NHW = torch.cat([difference(first_NCHW[k : k + 1], second_NCHW[k : k + 1], error) for k in range(2)])
    assert torch.allclose(whole_NHW, single_NHW, rtol=1e-5, atol=1e-8)


def test_structure_makes_up_for_contrast():
    """The same step is worse on plain ground than at a strong edge; the squared error sees no difference."""
    plain_NCHW = torch.full((1, 3, 64, 64), 0.5)
    striped_NCHW = plain_NCHW + 0.4 * (torch.arange(64) // 2 % 2 - 0.5)
    spot_NCHW = torch.zeros(1, 3, 64, 64)
    spot_NCHW[..., 30:32, 30:32] = 0.1
    seen = {
        error: [float(difference(ground, ground + spot_NCHW, error).amax()) for ground in (plain_NCHW, striped_NCHW)]
        for error in ERRORS
    }
    assert seen["squared"][0] == pytest.approx(seen["squared"][1], rel=1e-4)
    assert seen["ssim"][0] > 5 * seen["ssim"][1]
    assert seen["geometric"][0] > 2 * seen["geometric"][1]


@pytest.mark.parametrize("error", ERRORS)
def test_the_further_a_repair_is_off_the_larger_the_difference_also_beyond_black_and_white(error):
    first_NCHW, _ = views()
    for shade in (0.0, 1.0):
        means = [
            float(difference(first_NCHW, first_NCHW + share * (shade - first_NCHW), error).mean())
            for share in (0.0, 0.2, 0.5, 1.0, 2.0, 1e4)
        ]
        assert means == sorted(means)
        assert np.isfinite(means).all()
        assert error != "ssim" or means[-1] <= 1


@pytest.mark.parametrize("side", [3, 8])
def test_tiny_images_have_a_difference_too(side):
    first_NCHW, second_NCHW = views(side)
    assert difference(first_NCHW, second_NCHW, "geometric").isfinite().all()


@pytest.mark.parametrize("error", ERRORS)
def test_rounding_a_grey_picture_differs_by_about_what_is_called_rounding(error):
    generator = torch.Generator().manual_seed(0)
    shades_NCHW = 0.5 + (torch.rand(1, 3, 256, 256, generator=generator) - 0.5) / 64
    levels = torch.round(shades_NCHW * 255) / 255
    flat_NCHW = torch.full_like(shades_NCHW, 0.5) + (levels - shades_NCHW)
    found = float(difference(torch.full_like(shades_NCHW, 0.5), flat_NCHW, error).mean())
    assert found == pytest.approx(rounding_noise(error), rel=0.2)
    assert rounding_noise("squared") == 1 / (12 * 255**2)
