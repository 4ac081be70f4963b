import pytest
import torch

from raysuite.corruption.noise import choices, log_uniform, smooth_fields
from tests.corruption.drawing import generator


def test_choices_keep_to_their_weights():
    drawn = choices([1.0, 0.0, 3.0], 4000, generator())
    assert drawn.count(1) == 0
    assert 0.22 < drawn.count(0) / 4000 < 0.28


def test_choices_follow_the_generators_state_and_move_it_on():
    used = generator(3)
    first = choices([1.0] * 50, 20, used)
    assert choices([1.0] * 50, 20, used) != first
    assert choices([1.0] * 50, 20, generator(3)) == first


def test_log_uniform_values_have_uniform_logarithms():
    values = log_uniform((4000,), 0.001, 0.1, generator())
    assert values.min() >= 0.001
    assert values.max() <= 0.1
    assert 0.47 < float((values < 0.01).float().mean()) < 0.53


@pytest.mark.parametrize("cells", [1.0, 4.5, 20.0])
def test_smooth_fields_have_unit_variance_whatever_their_spacing(cells):
    fields = smooth_fields(torch.full((200, 2), cells), 24, 2, (48, 64), generator())
    assert fields.shape == (200, 2, 48, 64)
    assert 0.85 < fields.std() < 1.15
    assert fields.mean().abs() < 0.1


def test_each_row_of_smooth_fields_has_its_own_spacing():
    cells_n2 = torch.tensor([[2.0, 2.0], [16.0, 16.0], [2.0, 16.0]])
    fields = smooth_fields(cells_n2, 16, 8, (64, 64), generator())
    down, across = fields.diff(dim=2).abs().mean((1, 2, 3)), fields.diff(dim=3).abs().mean((1, 2, 3))
    assert down[1] > 4 * down[0]
    assert across[2] > 4 * down[2]
