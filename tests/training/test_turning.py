import math

import pytest
import torch

from raysuite.training.turning import SYMMETRIES, reach, sample_turned
from tests.training.pictures import noise, parts


def whole(images_NCHW, angle, padding="border"):
    count, _, height, width = images_NCHW.shape
    centres_N2 = torch.tensor([[height / 2, width / 2]]).expand(count, 2)
    return sample_turned(images_NCHW, centres_N2, torch.full((count,), angle), (height, width), padding)


def test_a_quarter_by_angle_is_the_quarter_turn():
    images_NCHW = parts(3).float() / 255
    turned_NCHW = whole(images_NCHW, math.pi / 2)
    assert torch.allclose(turned_NCHW, SYMMETRIES["turn"](images_NCHW), atol=1e-3)


def test_four_quarter_turns_and_two_flips_give_the_image_back():
    images_NCHW = parts(2)
    for name, times in (("turn", 4), ("mirror", 2), ("flip", 2)):
        changed_NCHW = images_NCHW
        for _ in range(times):
            changed_NCHW = SYMMETRIES[name](changed_NCHW)
        assert torch.equal(changed_NCHW, images_NCHW)
        assert not torch.equal(SYMMETRIES[name](images_NCHW), images_NCHW)


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_no_angle_is_a_plain_cut(size):
    images_NCHW = noise(2, size).float() / 255
    centres_N2 = torch.tensor([[30.0, 40.0], [20.0, 33.0]])
    cut_NCHW = sample_turned(images_NCHW, centres_N2, torch.zeros(2), (20, 30), "reflection")
    assert torch.allclose(cut_NCHW[0], images_NCHW[0, :, 20:40, 25:55], atol=1e-3)
    assert torch.allclose(cut_NCHW[1], images_NCHW[1, :, 10:30, 18:48], atol=1e-3)


def test_there_and_back_is_nearly_the_image():
    images_NCHW = noise(3).float() / 255
    back_NCHW = whole(whole(images_NCHW, 0.4), -0.4)
    middle = (..., slice(20, 44), slice(20, 44))
    error = (back_NCHW - images_NCHW)[middle].std() / images_NCHW[middle].std()
    assert error < 0.1


def test_values_stay_between_0_and_1_at_hard_edges():
    images_NCHW = (parts(2) > 100).float()
    turned_NCHW = whole(images_NCHW, 0.3, "reflection")
    assert turned_NCHW.dtype == torch.float32
    assert turned_NCHW.min() == 0
    assert turned_NCHW.max() == 1


def test_the_box_around_a_turned_rectangle():
    height, width = reach((30, 40), torch.tensor([0.0, math.pi / 2, -math.pi / 2, math.pi / 4]))
    assert height.tolist() == pytest.approx([30, 40, 40, 70 / math.sqrt(2)], abs=1e-4)
    assert width.tolist() == pytest.approx([40, 30, 30, 70 / math.sqrt(2)], abs=1e-4)
