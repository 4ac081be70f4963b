import numpy as np
import pytest
import torch
from scipy import ndimage

from raysuite.training.similarity import SCALES, STABILITY, gradient_dissimilarity


def oracle(first_NCHW, second_NCHW):
    """The formula in float64, with SciPy's Prewitt filter, image by image."""
    scales = []
    first, second = (np.asarray(images, dtype=float).mean(1) for images in (first_NCHW, second_NCHW))
    for scale in range(SCALES):
        if scale:
            if min(first.shape[1:]) < 16:
                break
            first, second = (
                grey.reshape(len(grey), grey.shape[1] // 2, 2, grey.shape[2] // 2, 2).mean((2, 4))
                for grey in (first, second)
            )
        g = [
            np.stack([np.hypot(*(ndimage.prewitt(one, axis, mode="mirror") / 3 for axis in (0, 1))) for one in grey])
            for grey in (first, second)
        ]
        scales.append(1 - np.mean((2 * g[0] * g[1] + STABILITY) / (g[0] ** 2 + g[1] ** 2 + STABILITY)))
    return np.mean(scales)


@pytest.mark.parametrize("size", [(64, 64), (16, 24), (32, 128), (8, 8)])
def test_it_is_the_formula(size):
    first, second = torch.rand(2, 3, 3, *size, generator=torch.Generator().manual_seed(0))
    assert float(gradient_dissimilarity(first, second)) == pytest.approx(oracle(first, second), rel=1e-4)


def test_a_picture_is_like_itself_at_any_brightness():
    image = torch.rand(2, 3, 32, 32)
    assert float(gradient_dissimilarity(image, image + 0.2)) == pytest.approx(0.0, abs=1e-5)


def test_lost_detail_costs():
    image = torch.rand(2, 3, 32, 32)
    assert float(gradient_dissimilarity(torch.full_like(image, 0.5), image)) > 0.5


def test_flat_pictures_have_a_finite_gradient():
    flat = torch.full((1, 3, 16, 16), 0.5, requires_grad=True)
    gradient_dissimilarity(flat, torch.rand(1, 3, 16, 16)).backward()
    assert flat.grad.isfinite().all()
