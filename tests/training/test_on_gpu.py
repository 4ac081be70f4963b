"""What holds on the CPU holds on a GPU; skipped where there is none."""

import warnings
from dataclasses import replace

import pytest
import torch

from raysuite.config import OBJECTIVES, CorruptionConfig, DetectionConfig
from raysuite.corruption.corruptor import Corrupted, Corruptor
from raysuite.detection.calibration import calibrate
from raysuite.detection.detector import Detector
from raysuite.models.autoencoder import build
from raysuite.settings import for_objective, with_words
from raysuite.storage import Location
from raysuite.training import loop
from raysuite.training.accumulation import Accumulation
from raysuite.training.augmentation import Augmentation
from raysuite.training.averaging import AveragedNet
from raysuite.training.batches import draw_batch
from raysuite.training.loop import train
from raysuite.training.objectives import make_objective
from raysuite.training.recording import Recording, recorded_if_it_works
from tests.training.test_checkpoints import Killed
from tests.training.test_loop import TINY, stripes, with_training

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.timeout(300),
]
GPU = torch.device("cuda")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_loss_falls(precision):
    config = with_training(steps=60, log_every=10, learning_rate=5e-3, batch_size=4, precision=precision)
    trained = train(config, stripes(), seed=0, device=GPU)
    assert trained.history[-1].loss < 0.6 * trained.history[0].loss
    assert next(trained.net.parameters()).device.type == "cuda"


def test_a_killed_training_goes_on_but_for_rounding(tmp_path):
    """Some backward passes of CUDA add up in any order."""
    config = with_training(steps=10, log_every=4, checkpoint_every=3, batch_size=4)
    undisturbed = train(config, stripes(), seed=1, device=GPU)

    def kill(line):
        if line.step == 8:
            raise Killed

    where = Location.of(tmp_path)
    with pytest.raises(Killed):
        train(config, stripes(), seed=1, device=GPU, on_progress=kill, checkpoint=where)
    again = train(config, stripes(), seed=1, device=GPU, checkpoint=where)
    assert again.resumed_at == 6
    assert again.history[-1].loss == pytest.approx(undisturbed.history[-1].loss, rel=1e-2)
    other = train(config, stripes(), seed=2, device=GPU)
    assert other.history[-1].loss != pytest.approx(undisturbed.history[-1].loss, rel=1e-2)


TERMS = ["objective.gradient_weight=0.1", "objective.idempotence_weight=0.1"]
KINDS = {kind: for_objective(TINY, kind) for kind in OBJECTIVES} | {"filter with all terms": with_words(TINY, TERMS)}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_never_waits_for_the_gpu(kind):
    """Whatever it waits for, the GPU idles meanwhile."""
    config = KINDS[kind]
    images_NCHW = stripes().to(GPU)
    net = build(config.model, 0).to(GPU).train()
    objective, averaged = make_objective(config, net), AveragedNet(net, 0.9)
    accumulation = Accumulation(net, objective, 4)
    optimiser = torch.optim.AdamW(net.parameters(), fused=True)
    generator = torch.Generator(GPU).manual_seed(0)
    augmentation = Augmentation(flips=("mirror", "flip", "turn"), rotation="free", angle=180.0, shift=0.03)

    def step():
        clean_NCHW = draw_batch(images_NCHW, 32, 32, augmentation, generator)
        batch = objective.draw(clean_NCHW, generator)
        accumulation.gradients(net, batch)
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        averaged.update()

    step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # That this mode is a prototype.
        torch.cuda.set_sync_debug_mode("error")
    try:
        step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_corruption_changes_the_images_where_its_mask_says_so_alone():
    images_NCHW = torch.rand(64, 3, 64, 64, device=GPU, generator=torch.Generator(GPU).manual_seed(1))
    config = CorruptionConfig(noise="none")
    first, again = (Corruptor(config)(images_NCHW, torch.Generator(GPU).manual_seed(2)) for _ in range(2))
    assert torch.equal(first.mask_N1HW, again.mask_N1HW)
    torch.testing.assert_close(first.inputs_NCHW, again.inputs_NCHW)
    changed_N1HW = (first.inputs_NCHW - images_NCHW).abs().amax(1, keepdim=True)
    assert first.mask_N1HW.any()
    # The faint rim of a soft spot is not counted as part of it.
    assert changed_N1HW[~first.mask_N1HW].max() < changed_N1HW[first.mask_N1HW].max() / 2
    assert (changed_N1HW[first.mask_N1HW] > 0).float().mean() > 0.9


@pytest.mark.parametrize("choice", ["auto", "fixed"])
def test_a_detector_calibrated_there_scores_alike_on_the_cpu(tmp_path, choice):
    config = with_training(steps=30, batch_size=4)
    trained = train(config, stripes(), seed=0, device=GPU)
    images_NCHW = stripes(12)
    detector = calibrate(
        trained.net, category="stripes", detection=replace(DetectionConfig(), choice=choice), seed=0, provenance={},
        train_NCHW=images_NCHW[:6], validation_NCHW=images_NCHW[6:9], held_out_NCHW=images_NCHW[9:], device=GPU,
    )  # fmt: skip
    detector.save(Location.of(tmp_path))
    pictures = [*images_NCHW.permute(0, 2, 3, 1).numpy()]
    there, here = (Detector.load(tmp_path, device).score(pictures).scores for device in ("cuda", "cpu"))
    torch.testing.assert_close(torch.tensor(there), torch.tensor(here), rtol=0.05, atol=1e-3)


@pytest.mark.parametrize("compile_", ["off", "on"])
@pytest.mark.parametrize("kind", KINDS)
def test_replayed_passes_train_the_net_that_others_would(kind, compile_, monkeypatch):
    training = replace(TINY.training, steps=12, log_every=3, batch_size=4, compile=compile_)
    config = replace(KINDS[kind], training=training)
    replayed = train(config, stripes(), seed=0, device=GPU)
    assert replayed.recording.used, replayed.recording.reason
    monkeypatch.setattr(loop, "recorded_if_it_works", lambda gradients, *_: (gradients, Recording(False, "not here")))
    as_written = train(config, stripes(), seed=0, device=GPU)
    assert not as_written.recording.used
    assert [line.loss for line in replayed.history] == pytest.approx(
        [line.loss for line in as_written.history], rel=2e-2
    )
    state, other = replayed.net.state_dict(), as_written.net.state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            torch.testing.assert_close(value, other[name], rtol=0.05, atol=0.02)


def test_a_pass_that_cannot_be_recorded_is_gone_on_with_as_it_is():
    net = torch.nn.Linear(2, 2).to(GPU)

    def gradients(batch):
        net.zero_grad(set_to_none=True)
        loss = net(batch.inputs_NCHW).square().mean()
        loss.backward()
        return torch.full((4,), loss.item(), device=GPU)  # waits for the GPU, which cannot be recorded

    batch = Corrupted(*(torch.ones(3, 2, device=GPU) for _ in range(3)))
    found, recording = recorded_if_it_works(gradients, net, lambda: batch, lambda: True, GPU)
    assert found is gradients
    assert not recording.used
    assert "recording failed" in recording.reason
    assert found(batch).isfinite().all()

    def good(batch):
        net.zero_grad(set_to_none=True)
        loss = net(batch.inputs_NCHW).square().mean()
        loss.backward()
        return loss.detach().expand(4).clone()

    _, recording = recorded_if_it_works(good, net, lambda: batch, lambda: True, GPU)
    assert recording.used, recording.reason


def test_a_compiled_training_says_so_and_its_loss_falls():
    config = with_training(steps=60, log_every=10, learning_rate=5e-3, batch_size=4, compile="on")
    trained = train(config, stripes(), seed=0, device=GPU)
    assert trained.compilation.used, trained.compilation.reason
    assert trained.history[-1].loss < 0.6 * trained.history[0].loss
