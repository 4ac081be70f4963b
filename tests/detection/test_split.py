import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.config import DataConfig
from raysuite.detection.split import split_good

SHARES = st.floats(0.001, 0.4)


@settings(deadline=None, max_examples=200, derandomize=True)
@given(st.integers(3, 400), SHARES, SHARES, st.integers(0, 2**31))
def test_the_split_is_whole_disjoint_and_reproducible(count, held_out_share, validation_share, seed):
    data = DataConfig(held_out_share=held_out_share, validation_share=validation_share)
    split, again = split_good(count, data, seed), split_good(count, data, seed)
    parts = [split.train, split.validation, split.held_out]
    assert sorted(torch.cat(parts).tolist()) == list(range(count))
    assert min(len(part) for part in parts) >= 1
    assert all(part.tolist() == sorted(part.tolist()) for part in parts)
    assert split.shared == ""
    assert all(torch.equal(a, b) for a, b in zip(parts, (again.train, again.validation, again.held_out), strict=True))
    if count >= 50:
        assert len(split.held_out) == max(1, round(held_out_share * count))
        assert len(split.validation) == max(1, round(validation_share * count))


def test_another_seed_splits_otherwise():
    one, other = (split_good(100, DataConfig(), seed) for seed in (0, 1))
    assert not torch.equal(one.held_out, other.held_out)
    assert not torch.equal(one.validation, other.validation)


def test_another_validation_share_leaves_the_held_out_images_alone():
    one, other = (split_good(100, DataConfig(validation_share=share), 0) for share in (0.05, 0.3))
    assert torch.equal(one.held_out, other.held_out)


@pytest.mark.parametrize("seed", range(4))
def test_of_two_images_the_threshold_has_one_to_itself(seed):
    split = split_good(2, DataConfig(), seed)
    assert split.train.tolist() == split.validation.tolist() != split.held_out.tolist()
    assert "training image" in split.shared


def test_a_single_image_serves_as_all_three_and_that_is_said():
    split = split_good(1, DataConfig(), 0)
    assert [part.tolist() for part in (split.train, split.validation, split.held_out)] == [[0], [0], [0]]
    assert "all three" in split.shared
