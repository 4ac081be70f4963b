import pytest
import torch

from raysuite.config import FILLS, SHAPES
from raysuite.corruption import unseen

NAMES = tuple(unseen.BY_NAME)


def weave(count=6, size=(96, 128), grey=True):
    """Threads in two directions with some noise: structure everywhere, as in a textile."""
    rows, columns = torch.arange(size[0])[:, None], torch.arange(size[1])
    pattern_HW = 0.5 + 0.15 * torch.sin(0.7 * rows) + 0.15 * torch.sin(0.6 * columns)
    noise = 0.02 * torch.randn(count, 1 if grey else 3, *size, generator=torch.Generator().manual_seed(9))
    return (pattern_HW + noise).clamp(0, 1).expand(count, 3, *size).contiguous()


def make(name, images_NCHW, seed=0):
    return unseen.BY_NAME[name](images_NCHW, torch.Generator().manual_seed(seed))


def test_training_draws_none_of_them():
    assert len(NAMES) >= 5
    assert not {*NAMES} & {*SHAPES, *FILLS}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [(96, 128), (32, 32), (200, 64)])
def test_masks_say_exactly_where_a_change_can_be_seen(name, size):
    images_NCHW = weave(size=size)
    changed_NCHW, masks_NHW = make(name, images_NCHW)
    assert changed_NCHW.shape == images_NCHW.shape
    assert masks_NHW.shape == (6, *size)
    assert masks_NHW.dtype == torch.bool
    assert changed_NCHW.min() >= 0
    assert changed_NCHW.max() <= 1
    seen_NHW = (changed_NCHW - images_NCHW).abs().amax(1) >= unseen.VISIBLE
    assert not (seen_NHW & ~masks_NHW).any(), "no visible change is outside"
    # Closing a gap of two pixels each way takes in nothing that is further from what is seen.
    near_NHW = torch.nn.functional.max_pool2d(seen_NHW[:, None].float(), 5, 1, 2)[:, 0] > 0
    assert not (masks_NHW & ~near_NHW).any()
    assert (masks_NHW.flatten(1).float().mean(1) >= unseen.LEAST_AREA).all(), "on a structure every family shows"
    assert masks_NHW.flatten(1).float().mean(1).max() < 0.5, "a defect is partial"


@pytest.mark.parametrize("name", NAMES)
def test_grey_stays_grey(name):
    changed_NCHW, _ = make(name, weave(grey=True))
    assert (changed_NCHW.amax(1) - changed_NCHW.amin(1)).max() < 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_decides_and_another_decides_otherwise(name):
    images_NCHW = weave(grey=False)
    before = images_NCHW.clone()
    first, again, other = (make(name, images_NCHW, seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[1][0], first[1][1]), "defects of one batch differ"
    assert torch.equal(images_NCHW, before), "the good images stay as they are"


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_runs_from_faint_to_strong(name):
    images_NCHW = weave(24)
    changed_NCHW, _ = make(name, images_NCHW)
    energy_N = (changed_NCHW - images_NCHW).square().mean((1, 2, 3))
    assert energy_N.max() > 8 * energy_N.min()


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_seen_is_no_defect(name):
    blank_NCHW = torch.full((4, 3, 64, 64), 0.5)
    changed_NCHW, masks_NHW = make(name, blank_NCHW)
    for image, changed, mask in zip(blank_NCHW, changed_NCHW, masks_NHW, strict=True):
        assert torch.equal(image, changed) == (not mask.any())
    if name in {"dent", "smear", "fracture", "missing"}:
        assert not masks_NHW.any(), "these only move what is there"


def test_a_gap_is_closed_over_by_what_surrounds_it():
    ramp_HW = torch.linspace(0.2, 0.8, 64).expand(64, 64)
    images_NCHW = ramp_HW.expand(1, 3, 64, 64).clone()
    known_NHW = torch.ones(1, 64, 64, dtype=torch.bool)
    known_NHW[:, 20:40, 20:40] = False
    hidden_NCHW = torch.where(known_NHW[:, None], images_NCHW, 9.0)
    filled_NCHW = unseen._closed_over(hidden_NCHW, known_NHW)
    assert torch.equal(filled_NCHW[:, :, known_NHW[0]], images_NCHW[:, :, known_NHW[0]])
    assert (filled_NCHW - images_NCHW).abs().max() < 0.15
