import math

import pytest
import torch

from raysuite.training.likeness import Likeness, edge_directions
from raysuite.training.turning import SYMMETRIES, sample_turned
from tests.training.pictures import fine_lay, noise, parts, rings, stripes


def moments(images_NCHW):
    return torch.stack([edge_directions(image.float().mean(0) / 255) for image in images_NCHW])


ORDERS = torch.arange(1, 9).repeat(3)
CHANGED = {
    "mirror": lambda moments_NK: moments_NK.conj() * (-1.0) ** ORDERS,
    "flip": lambda moments_NK: moments_NK.conj(),
    "turn": lambda moments_NK: moments_NK * 1j**ORDERS,
}


@pytest.mark.parametrize("name", SYMMETRIES)
@pytest.mark.parametrize("make", [fine_lay, parts, noise])
def test_directions_follow_a_symmetry_by_their_formula(name, make):
    images_NCHW = make(4)
    changed_NK = moments(SYMMETRIES[name](images_NCHW))
    assert torch.allclose(changed_NK, CHANGED[name](moments(images_NCHW)), atol=1e-4)


def test_directions_follow_any_angle_by_their_formula():
    y, x = torch.meshgrid(*[torch.arange(256) / 255 - 0.5] * 2, indexing="ij")
    angle = 0.5

    def waves(turn):
        phase = 40 * (x * math.cos(turn) + y * math.sin(turn))
        return edge_directions(0.5 + 0.2 * phase.sin() + 0.1 * (2 * phase).sin())  # one side steep, the other gentle

    expected_K = waves(0.0) * torch.polar(torch.ones(24), angle * ORDERS)
    assert (waves(angle) - expected_K).abs().max() < 0.15
    assert waves(0.0).abs().max() > 0.5


def test_an_image_without_edges_has_no_direction():
    assert torch.equal(edge_directions(torch.full((64, 64), 0.3)), torch.zeros(24, dtype=torch.complex64))
    assert edge_directions(torch.rand(8, 8, generator=torch.Generator().manual_seed(0))).isfinite().all()


def test_things_with_a_place_are_told_from_textures():
    for make in (parts, rings):
        look = Likeness(make())
        assert look.aligned
        assert look.plain
    for make in (noise, stripes, fine_lay):
        look = Likeness(make())
        assert not look.aligned
        assert not look.plain


def test_a_ratio_is_one_for_what_changes_nothing():
    for make in (noise, parts, rings):
        look = Likeness(make())
        assert look.turned(0.0) == pytest.approx(1, abs=0.02)
        assert look.shifted(0.0) == pytest.approx(1, abs=0.02)


def test_the_ratio_grows_with_the_shift_and_with_the_angle():
    look = Likeness(parts())
    shifts = [look.shifted(share) for share in (0, 0.01, 0.03, 0.1)]
    turns = [look.turned(math.radians(angle)) for angle in (0, 2, 5, 20)]
    assert shifts == sorted(shifts)
    assert turns == sorted(turns)
    assert shifts[-1] > 3
    assert turns[-1] > 3


def test_equal_images_do_not_divide_by_zero():
    same_NCHW = rings(1).expand(5, -1, -1, -1)
    look = Likeness(same_NCHW)
    assert all(math.isfinite(ratio) for ratio in (look.moved, look.symmetry("turn"), look.turned(0.1)))
    assert look.moved > 10
    flat = Likeness(torch.full((4, 3, 40, 40), 90, dtype=torch.uint8))
    assert flat.symmetry("turn") == flat.moved == 0


def test_an_even_spread_of_the_images_is_looked_at():
    images_NCHW = noise(200, (16, 16))
    images_NCHW[::2] = parts(100, (16, 16))
    many = Likeness(images_NCHW)
    assert 1 < many.moved < Likeness(parts(24, (16, 16))).moved


@pytest.mark.parametrize("size", [(256, 64), (40, 130), (33, 35)])
def test_sides_of_any_length_are_looked_at(size):
    look = Likeness(noise(6, size))
    for name in ("mirror", "flip"):
        assert look.symmetry(name) < 1.4
    assert look.turned(0.05) < 1.3


def test_turned_images_are_measured_as_they_are_drawn():
    images_NCHW = rings().float() / 255
    centres_N2 = torch.full((24, 2), 32.0)
    turned_NCHW = sample_turned(images_NCHW, centres_N2, torch.full((24,), 0.7), (64, 64), "border")
    both = torch.cat([images_NCHW, turned_NCHW])
    assert Likeness((both * 255).round().to(torch.uint8)).turned(0.7) < 1.15
