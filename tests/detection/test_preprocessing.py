import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.detection.preprocessing import LONGEST, choose_size, to_input
from raysuite.errors import DetectorError

SIDES = st.integers(16, 4000)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(SIDES, SIDES, st.integers(32, 600), st.sampled_from([2, 4, 8, 16, 32]))
def test_sides_are_multiples_of_the_stride_and_keep_the_shape(height, width, short_side, stride):
    size = choose_size([(height, width)], short_side, stride)
    short, long = min(size), max(size)
    assert short % stride == long % stride == 0
    assert short_side <= short < short_side + stride
    assert long <= LONGEST * short
    aspect = min(max(height, width) / min(height, width), LONGEST)
    assert abs(long - aspect * short) <= stride / 2 + 1e-6
    if long > short:
        assert (size[0] > size[1]) == (height > width)


def test_the_median_shape_decides():
    sizes = [(100, 100), (100, 200), (100, 200), (100, 210), (300, 100)]
    assert choose_size(sizes, 64, 8) == (64, 128)


@pytest.mark.parametrize("shape", [(50, 70, 3), (64, 64, 3), (300, 20, 3), (1, 1, 3)])
def test_a_picture_of_any_size_becomes_the_input(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    tensor = to_input(picture, (64, 64))
    assert tensor.shape == (3, 64, 64)
    assert tensor.dtype == torch.uint8
    if shape == (64, 64, 3):
        assert np.array_equal(tensor.permute(1, 2, 0).numpy(), picture)


def test_read_only_and_strided_pictures_are_taken_and_left_alone():
    # Warnings are errors here, and torch warns of memory that it may not write.
    picture = np.frombuffer(bytes(range(192)), np.uint8).reshape(8, 8, 3)
    assert not picture.flags.writeable
    assert np.array_equal(to_input(picture, (8, 8)).permute(1, 2, 0).numpy(), picture)
    backwards = picture[::-1, ::-1, ::-1]
    tensor = to_input(backwards, (8, 8))
    assert np.array_equal(tensor.permute(1, 2, 0).numpy(), backwards)


def test_flat_pictures_stay_flat():
    assert (to_input(np.full((97, 55, 3), 201, np.uint8), (64, 32)) == 201).all()


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint16),
        np.zeros((0, 8, 3), np.uint8),
    ],
)
def test_what_is_no_rgb_picture_is_refused_by_shape_and_type(picture):
    with pytest.raises(DetectorError, match=str(picture.dtype)):
        to_input(picture, (16, 16))
