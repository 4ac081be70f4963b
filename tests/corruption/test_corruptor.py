import dataclasses

import pytest
import torch

from raysuite.config import FILLS, SHAPES, CorruptionConfig
from raysuite.corruption.corruptor import VISIBLE, Corruptor
from tests.corruption.drawing import corruption, generator, images


def test_a_seed_decides_and_another_decides_otherwise():
    corruptor = Corruptor(CorruptionConfig())
    first, again, other = (corruptor(images(), generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.inputs_NCHW, again.inputs_NCHW)
    assert torch.equal(first.targets_NCHW, again.targets_NCHW)
    assert torch.equal(first.mask_N1HW, again.mask_N1HW)
    assert not torch.equal(first.mask_N1HW, other.mask_N1HW)
    assert not torch.equal(first.targets_NCHW, other.targets_NCHW)


@pytest.mark.parametrize("noise", ["preserved", "none"])
def test_the_generators_state_alone_brings_a_batch_back(noise):
    # Clean images draw the least, yet the next batch must be another one.
    for config in (corruption(noise=noise), corruption(noise=noise, clean_share=0.9)):
        corruptor, used = Corruptor(config), generator()
        for _ in range(3):
            corruptor(images(), used)
        state = used.get_state()
        following = [corruptor(images(), used) for _ in range(6)]
        restored = generator(5)
        restored.set_state(state)
        for batch in following:
            again = Corruptor(config)(images(), restored)
            assert torch.equal(batch.inputs_NCHW, again.inputs_NCHW)
            assert torch.equal(batch.mask_N1HW, again.mask_N1HW)
        assert any(not torch.equal(following[0].mask_N1HW, batch.mask_N1HW) for batch in following[1:])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_outside_the_mask_only_the_soft_rim_is_touched(shape, noise):
    config = corruption(shape, max_count=1, noise_level=noise)
    batch = Corruptor(config)(images(32), generator())
    change_NCHW = (batch.inputs_NCHW - batch.targets_NCHW).abs()
    # The mask ends where the soft one falls to 0.1, and a picture differs from an image by 1 at most.
    assert change_NCHW[~batch.mask_N1HW.expand_as(change_NCHW)].max() <= 0.1 + 1e-5
    rim = (change_NCHW.amax(1, keepdim=True) > (1e-6 if noise else 0)) & ~batch.mask_N1HW
    assert rim.float().mean() < 0.1, "the rim is thin; all else is untouched"


def test_preserved_noise_is_in_input_and_target_alike():
    clean_NCHW = images(32)
    batch = Corruptor(CorruptionConfig(max_count=1, noise_level=0.06))(clean_NCHW, generator())
    noise_NCHW = batch.targets_NCHW - clean_NCHW
    deviation = noise_NCHW.flatten(1).std(1)
    assert deviation.max() < 0.06 * 1.1
    assert deviation.max() > 2 * deviation.min(), "every image has a level of its own"
    assert noise_NCHW.mean().abs() < 0.002
    quiet = Corruptor(CorruptionConfig(max_count=1, noise="none"))(clean_NCHW, generator())
    assert torch.equal(quiet.targets_NCHW, clean_NCHW)
    assert torch.equal(quiet.mask_N1HW, batch.mask_N1HW)
    assert torch.allclose(batch.inputs_NCHW - noise_NCHW, quiet.inputs_NCHW, atol=1e-6)


def test_removed_noise_is_in_the_input_alone():
    clean_NCHW = images(32)
    kept, removed = (
        Corruptor(CorruptionConfig(noise=noise, noise_level=0.2))(clean_NCHW, generator())
        for noise in ("preserved", "removed")
    )
    assert torch.equal(removed.targets_NCHW, clean_NCHW)
    assert torch.equal(removed.inputs_NCHW, kept.inputs_NCHW)
    outside = ~removed.mask_N1HW.expand_as(clean_NCHW)
    assert (removed.inputs_NCHW - clean_NCHW)[outside].std() > 0.05


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


def test_an_image_has_up_to_the_most_spots_and_mostly_one():
    def share(most):
        config = corruption(
            "rectangle", "colour", max_count=most, min_area=0.01, max_area=0.01, clean_share=0.0, noise="none"
        )
        return Corruptor(config)(images(200, (32, 32)), generator()).mask_N1HW.flatten(1).float().mean(1)

    # Counts 1, 2, 3, 4 are drawn as 8 : 4 : 2 : 1, so there are 26 spots on 15 images.
    assert 1.4 < share(4).mean() / share(1).mean() < 2.0
    assert (share(4) < 1.6 * share(1).median()).float().mean() > 0.4


def test_areas_are_drawn_between_the_bounds():
    config = corruption("rectangle", max_count=1, min_area=0.02, max_area=0.08, clean_share=0.0)
    masks = Corruptor(config)(images(200), generator()).mask_N1HW.flatten(1).float().mean(1)
    assert 0.06 < masks.quantile(0.98) < 0.11
    # Log-uniform: half of them below the geometric mean.
    assert 0.02 < masks[masks > 0].median() < 0.055


@pytest.mark.parametrize("fill", FILLS)
def test_grey_images_stay_grey_whatever_fills_them(fill):
    config = corruption(fill=fill, noise="none", clean_share=0.0)
    batch = Corruptor(config)(images(grey=True), generator())
    assert batch.mask_N1HW.any()
    assert (batch.inputs_NCHW.amax(1) - batch.inputs_NCHW.amin(1)).max() < 1e-5


def test_grey_spots_are_of_all_grey_levels():
    config = corruption("rectangle", "colour", noise="none", clean_share=0.0, opaque_share=1.0, max_count=1)
    middle_NCHW = torch.full((100, 3, 32, 32), 0.5)
    batch = Corruptor(config)(middle_NCHW, generator())
    levels = batch.inputs_NCHW[:, 0].flatten(1)
    assert levels.amax(1).max() > 0.9
    assert levels.amin(1).min() < 0.1


def test_coloured_images_get_coloured_spots():
    config = corruption(fill="colour", noise="none", clean_share=0.0, opaque_share=1.0)
    flat_NCHW = torch.tensor([0.2, 0.5, 0.8]).view(1, 3, 1, 1).expand(8, 3, 64, 64).contiguous()
    batch = Corruptor(config)(flat_NCHW, generator())
    inside = batch.inputs_NCHW.amax(1)[batch.mask_N1HW[:, 0]] - batch.inputs_NCHW.amin(1)[batch.mask_N1HW[:, 0]]
    assert inside.std() > 0.05


def test_opaque_spots_hide_and_others_let_through():
    black_NCHW = torch.zeros(200, 3, 32, 32)
    white = corruption("rectangle", "hue", noise="none", clean_share=0.0, max_count=1, min_area=0.1)
    hue = dataclasses.replace(white.fills.hue, max_shift=1.0)
    white = dataclasses.replace(white, fills=dataclasses.replace(white.fills, hue=hue))

    def peaks(**changes):
        batch = Corruptor(dataclasses.replace(white, **changes))(black_NCHW, generator())
        peaks_N = batch.inputs_NCHW.flatten(1).amax(1)
        return peaks_N[peaks_N > 0]

    opaque, faint = peaks(opaque_share=1.0), peaks(opaque_share=0.0, min_opacity=0.0)
    assert opaque.median() > 1.5 * faint.median()
    half = peaks(opaque_share=0.0, min_opacity=0.5)
    assert faint.median() < half.median() < opaque.median()
    assert torch.equal(peaks(opaque_share=0.0, min_opacity=1.0), opaque)


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


@pytest.mark.parametrize("fill", FILLS)
def test_what_is_masked_can_be_seen(fill):
    config = corruption(fill=fill, noise="none", max_count=1, min_opacity=0.0, opaque_share=0.0)
    batch = Corruptor(config)(images(32), generator())
    change_N = (batch.inputs_NCHW - batch.targets_NCHW).abs().flatten(1).amax(1)
    masked_N = batch.mask_N1HW.flatten(1).any(1)
    assert change_N[masked_N].min() >= VISIBLE - 1e-6
    assert ((change_N == 0) | (change_N >= VISIBLE - 1e-6)).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_family_without_weight_is_never_drawn(shape, monkeypatch):
    from raysuite.corruption import shapes

    drawn = []
    for name, draw in shapes.BY_NAME.items():
        monkeypatch.setitem(
            shapes.BY_NAME, name, lambda *given, name=name, draw=draw: drawn.append(name) or draw(*given)
        )
    Corruptor(corruption(shape))(images(), generator())
    assert set(drawn) == {shape}
