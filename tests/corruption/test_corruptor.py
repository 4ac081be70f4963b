import pytest
import torch

from raysuite.config import FILLS, SHAPES, CorruptionConfig
from raysuite.corruption.corruptor import VISIBLE, Corruptor


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=16, size=(64, 64), grey=False):
    images_NCHW = torch.rand(count, 1 if grey else 3, *size, generator=generator(9))
    return images_NCHW.expand(-1, 3, -1, -1).contiguous()


def one_hot(names, name):
    return tuple(float(n == name) for n in names)


def test_a_seed_decides_and_another_decides_otherwise():
    corruptor = Corruptor(CorruptionConfig())
    first, again, other = (corruptor(images(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.inputs_NCHW, again.inputs_NCHW)
    assert torch.equal(first.targets_NCHW, again.targets_NCHW)
    assert torch.equal(first.mask_N1HW, again.mask_N1HW)
    assert not torch.equal(first.mask_N1HW, other.mask_N1HW)
    assert not torch.equal(first.targets_NCHW, other.targets_NCHW)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_outside_the_mask_only_the_soft_rim_is_touched(shape, noise):
    config = CorruptionConfig(max_count=1, noise=noise, shapes=one_hot(SHAPES, shape))
    batch = Corruptor(config)(images(32), generator())
    change_NCHW = (batch.inputs_NCHW - batch.targets_NCHW).abs()
    # The mask ends where the soft one falls to 0.1, and a picture differs from an image by 1 at most.
    assert change_NCHW[~batch.mask_N1HW.expand_as(change_NCHW)].max() <= 0.1 + 1e-5
    rim = (change_NCHW.amax(1, keepdim=True) > 0) & ~batch.mask_N1HW
    assert rim.float().mean() < 0.1, "the rim is thin; all else is untouched to the last bit"


def test_targets_are_the_clean_images_with_noise_that_the_input_shares():
    clean_NCHW = images(32)
    batch = Corruptor(CorruptionConfig(max_count=1, noise=0.06))(clean_NCHW, generator())
    noise_NCHW = batch.targets_NCHW - clean_NCHW
    deviation = noise_NCHW.flatten(1).std(1)
    assert deviation.max() < 0.06 * 1.1
    assert deviation.max() > 2 * deviation.min(), "every image has a level of its own"
    assert noise_NCHW.mean().abs() < 0.002
    quiet = Corruptor(CorruptionConfig(max_count=1, noise=0.0))(clean_NCHW, generator())
    assert torch.equal(quiet.targets_NCHW, clean_NCHW)
    assert torch.equal(quiet.mask_N1HW, batch.mask_N1HW)
    assert torch.allclose(batch.inputs_NCHW - noise_NCHW, quiet.inputs_NCHW, atol=1e-6)


def test_clean_images_stay_clean():
    batch = Corruptor(CorruptionConfig(clean_share=1.0))(images(), generator())
    assert not batch.mask_N1HW.any()
    assert torch.equal(batch.inputs_NCHW, batch.targets_NCHW)


def test_the_clean_share_is_kept_on_average():
    config = CorruptionConfig(clean_share=0.3, min_area=0.05)
    batch = Corruptor(config)(images(400, (32, 32)), generator())
    clean = float((~batch.mask_N1HW.flatten(1).any(1)).float().mean())
    # Binomial with a deviation of 0.023, and now and then a spot that nobody could see.
    assert 0.22 < clean < 0.42


@pytest.mark.parametrize("fill", FILLS)
def test_grey_images_stay_grey_whatever_fills_them(fill):
    config = CorruptionConfig(noise=0.0, fills=one_hot(FILLS, fill), clean_share=0.0)
    batch = Corruptor(config)(images(grey=True), generator())
    assert batch.mask_N1HW.any()
    assert (batch.inputs_NCHW.amax(1) - batch.inputs_NCHW.amin(1)).max() < 1e-5


def test_coloured_images_get_coloured_spots():
    config = CorruptionConfig(noise=0.0, fills=one_hot(FILLS, "colour"), clean_share=0.0, opaque_share=1.0)
    flat_NCHW = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(8, 3, 64, 64).contiguous()
    batch = Corruptor(config)(flat_NCHW, generator())
    inside = batch.inputs_NCHW.amax(1)[batch.mask_N1HW[:, 0]] - batch.inputs_NCHW.amin(1)[batch.mask_N1HW[:, 0]]
    assert inside.std() > 0.05


@pytest.mark.parametrize("size", [(64, 64), (40, 96), (96, 40)])
@pytest.mark.parametrize("count", [1, 3])
def test_any_batch_and_any_shape_of_image_pass(size, count):
    clean_NCHW = images(count, size)
    before = clean_NCHW.clone()
    for seed in range(4):
        batch = Corruptor(CorruptionConfig(max_count=16))(clean_NCHW, generator(seed))
        assert batch.inputs_NCHW.shape == batch.targets_NCHW.shape == (count, 3, *size)
        assert batch.mask_N1HW.shape == (count, 1, *size)
        assert batch.mask_N1HW.dtype == torch.bool
        assert batch.inputs_NCHW.isfinite().all()
    assert torch.equal(clean_NCHW, before), "the clean images are not written to"


def test_what_is_masked_can_be_seen():
    config = CorruptionConfig(noise=0.0, max_count=1, min_opacity=0.0, opaque_share=0.0)
    batch = Corruptor(config)(images(64), generator())
    change_N = (batch.inputs_NCHW - batch.targets_NCHW).abs().flatten(1).amax(1)
    masked_N = batch.mask_N1HW.flatten(1).any(1)
    assert change_N[masked_N].min() >= VISIBLE - 1e-6
    assert ((change_N == 0) | (change_N >= VISIBLE - 1e-6)).all()
