"""Memory that runs out is played by a hook: the net refuses more than some images at once, before or after its pass."""

import logging
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import nn

import raysuite.training.loop
from raysuite.config import OBJECTIVES, Config, DataConfig, ModelConfig, TrainingConfig
from raysuite.errors import TrainingError
from raysuite.models.autoencoder import build
from raysuite.settings import for_objective
from raysuite.training.acceleration import Compilation, compiled_if_it_works
from raysuite.training.accumulation import Accumulation
from raysuite.training.loop import train
from raysuite.training.objectives import make_objective
from tests.training.pictures import noise

CPU = torch.device("cpu")
TINY = Config(
    data=DataConfig(image_size=32),
    model=ModelConfig(width=8, blocks=1, branch_width=4, dilations=(1, 2), norm="none"),
    training=TrainingConfig(steps=6, batch_size=6, log_every=2, learning_rate=2e-3, precision="float32"),
)
TERMS = replace(TINY, objective=replace(TINY.objective, gradient_weight=0.3, idempotence_weight=0.5))
CONFIGS = {kind: for_objective(TINY, kind) for kind in OBJECTIVES} | {"filter with all terms": TERMS}


@contextmanager
def memory_for(count, monkeypatch, from_call=0):
    """Nets that are trained within hold ``count`` images at once; gives what sizes they were called with."""
    seen = []

    def built(config, seed, template_CHW=None):
        net = build(config, seed, template_CHW)

        def check(module, _inputs, output):
            if module.training:
                seen.append(len(output))
                if len(output) > count and len(seen) > from_call:
                    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.\nmore lines")

        net.refine[0].register_forward_hook(check)
        return net

    with monkeypatch.context() as patch:
        patch.setattr(raysuite.training.loop, "build", built)
        yield seen


def trained(config):
    return train(config, noise(size=(32, 32)), seed=0, device=CPU)


def lines(found):
    return [(line.step, line.loss, line.kept_loss, line.repaired_loss, line.extra_loss) for line in found.history]


@pytest.mark.parametrize("name", CONFIGS)
def test_micro_batches_train_the_net_that_whole_batches_would(name, monkeypatch):
    whole = trained(CONFIGS[name])
    # The contractive objective shows the net two of each image.
    with memory_for(4 if name == "contractive" else 2, monkeypatch, from_call=2) as seen:
        parts = trained(CONFIGS[name])
    assert (whole.micro_batch, parts.micro_batch) == (6, 2)
    assert max(seen[-3:]) <= 4, "the smaller size stays"
    assert torch.tensor(lines(parts)).numpy() == pytest.approx(torch.tensor(lines(whole)).numpy(), rel=1e-3, abs=1e-7)
    images_NCHW = noise(size=(32, 32)).float() / 255
    with torch.no_grad():
        assert float((parts.net(images_NCHW) - whole.net(images_NCHW)).abs().max()) < 2e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_of_unequal_micro_batches_add_up_to_those_of_the_batch(name):
    config = CONFIGS[name]
    net = build(config.model, 0).train()
    objective = make_objective(config, net)
    images_NCHW = torch.rand(7, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    batch = objective.draw(images_NCHW, torch.Generator().manual_seed(2))

    def gradients(micro_batch):
        losses = Accumulation(net, objective, micro_batch).gradients(net, batch)
        return losses, [p.grad.clone() for p in net.parameters()]

    losses, wanted = gradients(7)
    for micro_batch in (4, 3, 1):
        again, found = gradients(micro_batch)
        assert again.numpy() == pytest.approx(losses.numpy(), rel=1e-4)
        for one, other in zip(found, wanted, strict=True):
            assert float((one - other).abs().max()) <= 1e-4 * float(other.abs().max()) + 1e-7


def test_no_trace_of_the_attempt_that_failed_is_left_in_the_gradients():
    """Memory runs out in the second micro-batch, when the first has left its gradients already."""
    net = build(TINY.model, 0).train()
    objective = make_objective(TINY, net)
    batch = objective.draw(torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.Generator())
    Accumulation(net, objective, 4).gradients(net, batch)
    wanted = [p.grad.clone() for p in net.parameters()]
    calls = []

    def forward(inputs_NCHW):
        calls.append(len(inputs_NCHW))
        if calls == [2, 2]:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return net(inputs_NCHW)

    accumulation = Accumulation(net, objective, 2)
    accumulation.gradients(forward, batch)
    assert (calls, accumulation.micro_batch) == ([2, 2, 1, 1, 1, 1], 1)
    for p, other in zip(net.parameters(), wanted, strict=True):
        assert float((p.grad - other).abs().max()) <= 1e-4 * float(other.abs().max()) + 1e-7


def test_memory_that_suffices_changes_no_bit(monkeypatch):
    config = replace(TINY, model=replace(TINY.model, norm="batch"))
    first = trained(config).net.state_dict()
    with memory_for(6, monkeypatch):
        again = trained(config).net.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("norm", ["batch", "group"])
def test_it_is_said_once_with_what_it_means_for_batch_normalisation(norm, monkeypatch, caplog):
    config = replace(TINY, model=replace(TINY.model, norm=norm))
    with caplog.at_level(logging.WARNING, "raysuite.training.accumulation"), memory_for(3, monkeypatch):
        found = trained(config)
    assert found.micro_batch == 3
    (record,) = caplog.records
    assert "6 images at once do not fit into memory: going on with micro-batches of 3" in record.getMessage()
    assert ("statistics of each micro-batch" in record.getMessage()) == (norm == "batch")
    assert all(t.isfinite().all() for t in found.net.state_dict().values())


def test_a_single_image_that_does_not_fit_ends_the_training_with_what_to_lower(monkeypatch):
    with memory_for(0, monkeypatch) as seen, pytest.raises(TrainingError) as caught:
        trained(TINY)
    assert seen == [6, 3, 2, 1]
    assert str(caught.value) == (
        "one image of 32 × 32 pixels at a time does not fit into memory: lower data.crop_size or data.image_size, or "
        "take a smaller preset (CUDA out of memory. Tried to allocate 20.00 MiB.)"
    )


def test_memory_that_runs_out_elsewhere_is_a_sentence_too(monkeypatch):
    def full(*_arguments):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(raysuite.training.loop, "draw_batch", full)
    with pytest.raises(TrainingError, match=r"ran out of memory: lower training\.batch_size.*\(CUDA out of memory\.\)"):
        trained(TINY)


def test_another_error_of_the_net_is_neither_halved_nor_renamed():
    net = build(TINY.model, 0).train()
    objective = make_objective(TINY, net)
    batch = objective.draw(torch.rand(4, 3, 32, 32), torch.Generator())
    accumulation = Accumulation(net, objective, 4)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        accumulation.gradients(lambda _: torch.ones(2, 3) @ torch.ones(2, 3), batch)
    assert accumulation.micro_batch == 4


def test_memory_that_runs_out_in_the_trial_is_not_blamed_on_the_compiler(monkeypatch):
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda net, **more: compile_(net, backend="eager", **more))
    net = nn.Conv2d(3, 3, 1)

    def trial(_module):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        compiled_if_it_works(net, Compilation(True, "asked"), trial)


def test_a_compiled_net_that_does_not_fit_is_compiled_for_micro_batches(monkeypatch):
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda net, **more: compile_(net, backend="eager", **more))
    config = replace(TINY, training=replace(TINY.training, compile="on", steps=2))
    calls = []
    attempt = Accumulation._attempt

    def short(self, forward, batch, share):
        calls.append(self.micro_batch)
        if self.micro_batch > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return attempt(self, forward, batch, share)

    monkeypatch.setattr(Accumulation, "_attempt", short)
    found = trained(config)
    assert found.compilation.used
    assert (found.micro_batch, calls) == (3, [6, 3, 3, 3])
