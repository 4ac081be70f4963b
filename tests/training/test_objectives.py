from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from raysuite.config import OBJECTIVES, Config, DataConfig, ModelConfig, ObjectiveConfig, TrainingConfig
from raysuite.corruption.corruptor import Corrupted
from raysuite.errors import ConfigError
from raysuite.models.autoencoder import build
from raysuite.settings import for_objective, with_words
from raysuite.training.loop import train
from raysuite.training.objectives import NUDGE, SMALLEST_SHARE, Contractive, Share, make_objective, region_errors
from tests.training.pictures import noise

CPU = torch.device("cpu")
TINY = Config(
    data=DataConfig(image_size=32),
    model=ModelConfig(width=8, blocks=1, branch_width=4, dilations=(1, 2)),
    training=TrainingConfig(steps=40, batch_size=4, log_every=10, learning_rate=5e-3, precision="float32"),
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def made(kind, **changes):
    config = for_objective(TINY, kind)
    config = replace(config, objective=replace(config.objective, **changes))
    net = build(config.model, 0).train()
    return make_objective(config, net), net


def loss_of(objective, net, batch):
    """That of a whole batch."""
    return objective.loss(net, batch, Share.of(batch))


def errors_of(outputs_NCHW, targets_NCHW, mask_N1HW):
    """Those of a whole batch."""
    share = Share.of(Corrupted(outputs_NCHW, targets_NCHW, mask_N1HW))
    return region_errors(outputs_NCHW, targets_NCHW, mask_N1HW, share)


def clean():
    return torch.rand(4, 3, 32, 32, generator=generator(1))


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_every_objective_lowers_its_own_loss_in_training(kind):
    history = train(for_objective(TINY, kind), noise(size=(32, 32)), seed=0, device=CPU).history
    assert history[-1].loss < 0.6 * history[0].loss


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_loss_is_the_sum_of_its_parts_and_only_the_total_has_a_gradient(kind):
    objective, net = made(kind)
    loss = loss_of(objective, net, objective.draw(clean(), generator()))
    kept, repaired = (0.5, 0.5) if kind == "filter" else (1.0, 0.0)
    parts = kept * loss.kept + repaired * loss.repaired + loss.extra
    assert float(loss.total.detach()) == pytest.approx(float(parts), rel=1e-5)
    assert loss.total.requires_grad
    assert not any(part.requires_grad for part in (loss.kept, loss.repaired, loss.extra))
    loss.total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("kind", OBJECTIVES)
def test_a_generator_decides_the_draw(kind):
    objective, _ = made(kind)
    first, again = (objective.draw(clean(), generator(5)) for _ in range(2))
    assert torch.equal(first.inputs_NCHW, again.inputs_NCHW)
    assert torch.equal(first.targets_NCHW, again.targets_NCHW)


@pytest.mark.parametrize("kind", ["plain", "sparse", "denoise", "contractive"])
def test_the_others_ask_for_the_clean_image_and_corrupt_nothing(kind):
    objective, net = made(kind)
    batch = objective.draw(clean(), generator())
    assert torch.equal(batch.targets_NCHW, clean())
    assert not batch.mask_N1HW.any()
    assert float(loss_of(objective, net, batch).repaired) == 0


def test_plain_and_sparse_are_shown_the_clean_image():
    for kind in ("plain", "sparse"):
        assert torch.equal(made(kind)[0].draw(clean(), generator()).inputs_NCHW, clean())


def test_denoise_shows_independent_noise_of_the_level_asked():
    objective, _ = made("denoise", noise_level=0.3)
    images = torch.full((8, 3, 64, 64), 0.5)
    batch = objective.draw(images, generator())
    added = batch.inputs_NCHW - images
    assert float(added.std()) == pytest.approx(0.3, rel=0.02)
    beside = (added[..., 1:] * added[..., :-1]).mean() / added.var()
    assert abs(float(beside)) < 0.02


def test_sparse_charges_the_mean_absolute_activation_of_the_bottleneck():
    objective, net = made("sparse", sparsity=0.5)
    codes = []
    net.middle.register_forward_hook(lambda _module, _inputs, output: codes.append(output.detach()))
    loss = loss_of(objective, net, objective.draw(clean(), generator()))
    assert float(loss.extra) == pytest.approx(0.5 * float(codes[0].abs().mean()), rel=1e-5)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_linear_net_is_charged_its_exact_jacobian(weight):
    torch.manual_seed(0)
    linear = nn.Linear(3 * 4 * 4, 3 * 4 * 4).double()

    def net(images_NCHW):
        return linear(images_NCHW.double().flatten(1)).view_as(images_NCHW)

    objective = Contractive(weight)
    # Of many images each is nudged its own way; for a linear net all have the same Jacobian.
    images = torch.rand(4000, 3, 4, 4, generator=generator(2))
    loss = loss_of(objective, net, objective.draw(images, generator(3)))
    exact = torch.autograd.functional.jacobian(net, images[:1].double()).square().sum() / (3 * 4 * 4)
    assert float(loss.extra.detach()) == pytest.approx(weight * float(exact), rel=0.02)


def test_the_identity_has_a_penalty_of_one_a_value():
    objective = Contractive(1.0)
    loss = loss_of(objective, lambda images: images, objective.draw(torch.rand(64, 3, 16, 16), generator()))
    assert float(loss.extra) == pytest.approx(1.0, rel=0.03)
    assert NUDGE > 100 * 2**-24, "the difference must stand out of float32's rounding"


def test_contraction_makes_the_net_less_steep():
    def slope(weight):
        config = with_words(for_objective(TINY, "contractive"), [f"objective.contraction={weight}"])
        net = train(config, noise(size=(32, 32)), seed=0, device=CPU).net
        images = torch.rand(16, 3, 32, 32, generator=generator(4))
        step = 0.01 * torch.randn(images.shape, generator=generator(5))
        with torch.no_grad():
            return float((net(images + step) - net(images)).square().mean())

    assert slope(1.0) < 0.5 * slope(0.0)


def test_a_gradient_term_costs_what_a_blurred_answer_lacks():
    batch = Corrupted(clean(), clean(), torch.zeros(4, 1, 32, 32, dtype=torch.bool))
    objective, _ = made("filter", gradient_weight=0.1)
    perfect = loss_of(objective, lambda images: images, batch)
    blurred = loss_of(objective, lambda images: images.mean((2, 3), keepdim=True).expand_as(images), batch)
    assert float(perfect.extra) == pytest.approx(0.0, abs=1e-6)
    assert 0.02 < float(blurred.extra) <= 0.1


def test_a_projection_costs_nothing_and_another_net_its_second_change():
    batch = Corrupted(clean(), clean(), torch.zeros(4, 1, 32, 32, dtype=torch.bool))
    objective, _ = made("filter", idempotence_weight=2.0)
    assert float(loss_of(objective, lambda images: images.clamp(0.4, 0.6), batch).extra) == 0
    halved = loss_of(objective, lambda images: images / 2, batch)
    assert float(halved.extra) == pytest.approx(2.0 * float((clean() / 4).square().mean()), rel=1e-5)


def test_the_second_pass_takes_its_input_without_a_gradient_and_pulls_at_both_ends():
    scale = torch.tensor(0.5, requires_grad=True)
    objective, _ = made("filter", idempotence_weight=1.0)
    images = torch.ones(1, 3, 32, 32)
    # The targets are the outputs, so that the squared errors pull at nothing.
    batch = Corrupted(images, images / 2, torch.zeros(1, 1, 32, 32, dtype=torch.bool))
    loss_of(objective, lambda inputs: scale * inputs, batch).total.backward()
    # (s·y₀ − s·x)² with y₀ = 0.5 held: slope 2·(0.25 − 0.5)·(0.5 − 1). Through y₀ as well it would be zero.
    assert float(scale.grad) == pytest.approx(0.25)


@pytest.mark.parametrize("kind", ["plain", "sparse", "contractive"])
def test_what_is_solved_by_copying_is_refused_with_skips(kind):
    with pytest.raises(ConfigError, match=r"model\.skip.*none"):
        replace(TINY, objective=ObjectiveConfig(kind=kind))
    narrow = for_objective(TINY, kind).model
    assert (narrow.skip, narrow.bottleneck) == ("none", 4)


def test_a_difference_of_two_passes_is_refused_in_bfloat16():
    with pytest.raises(ConfigError, match=r"training\.precision.*float32"):
        with_words(for_objective(TINY, "contractive"), ["training.precision=bfloat16"])


def oracle(outputs_NCHW, targets_NCHW, mask_N1HW):
    """The formula of Bauer et al. pixel by pixel, over float64 arrays."""
    kept, repaired = [], []
    for image, target, mask in zip(outputs_NCHW, targets_NCHW, mask_N1HW, strict=True):
        for row, column in np.ndindex(mask.shape[1:]):
            error = np.mean((image[:, row, column] - target[:, row, column]) ** 2)
            (repaired if mask[0, row, column] else kept).append(error)
    least = SMALLEST_SHARE * mask_N1HW.size
    return [sum(part) / max(len(part), least) for part in (kept, repaired)]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    outputs, targets = rng.random((2, 2, 3, 12, 10)).astype(np.float32)
    return outputs, targets, rng.random((2, 1, 12, 10)) < 0.3


@pytest.mark.parametrize("share", ["some", "none", "all", "one"])
def test_the_region_errors_are_the_formula(batch, share):
    outputs, targets, mask = batch
    if share in {"none", "one"}:
        mask = np.zeros_like(mask)
        mask[0, 0, 5, 5] = share == "one"
    elif share == "all":
        mask = np.ones_like(mask)
    found = errors_of(*map(torch.from_numpy, (outputs, targets, mask)))
    wanted = oracle(outputs.astype(float), targets.astype(float), mask)
    assert [float(part) for part in found] == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_weight_mixes_kept_and_repaired(batch, weight):
    outputs, targets, mask = map(torch.from_numpy, batch)
    objective, _ = made("filter", repair_weight=weight)
    loss = loss_of(objective, lambda _: outputs, Corrupted(outputs, targets, mask))
    kept, repaired = errors_of(outputs, targets, mask)
    assert float(loss.total) == pytest.approx(float((1 - weight) * kept + weight * repaired), rel=1e-6)


def test_one_corrupted_pixel_does_not_outweigh_the_picture():
    outputs, targets = torch.zeros(1, 3, 100, 100, requires_grad=True), torch.ones(1, 3, 100, 100)
    mask = torch.zeros(1, 1, 100, 100, dtype=torch.bool)
    mask[0, 0, 3, 4] = True
    sum(errors_of(outputs, targets, mask)).backward()
    pull = outputs.grad.abs()[0, 0]
    assert pull[3, 4] / pull[0, 0] == pytest.approx(1 / SMALLEST_SHARE, rel=0.01)


def test_half_precision_outputs_are_compared_in_float32(batch):
    outputs, targets, mask = map(torch.from_numpy, batch)
    assert all(part.dtype == torch.float32 for part in errors_of(outputs.bfloat16(), targets, mask))
