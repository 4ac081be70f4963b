import math
from dataclasses import fields, replace

import pytest
import torch

from raysuite.config import AugmentationConfig, Config, DataConfig, ModelConfig, TrainingConfig
from raysuite.errors import TrainingError
from raysuite.storage import Location
from raysuite.training.checkpoints import averaged_net
from raysuite.training.loop import learning_rate, train
from raysuite.training.progress import Progress

CPU = torch.device("cpu")
TINY = Config(
    data=DataConfig(image_size=64, crop_size=32),
    model=ModelConfig(widths=(8, 16), blocks=1, branch_width=4, dilations=(1, 2)),
    training=TrainingConfig(steps=6, batch_size=2, log_every=4, precision="float32"),
    augmentation=AugmentationConfig(flips="on"),
)


def stripes(count=6, size=(64, 64)):
    rows = torch.arange(size[0]).view(1, 1, -1, 1) + 3 * torch.arange(count).view(-1, 1, 1, 1)
    value = 128 + 90 * torch.sin(rows * math.pi / 8)
    return value.expand(count, 3, *size).to(torch.uint8).contiguous()


def with_training(**changes):
    return replace(TINY, training=replace(TINY.training, **changes))


def test_a_seed_decides_every_bit_of_the_net_and_another_decides_otherwise():
    torch.manual_seed(0)
    first = train(TINY, stripes(), seed=3, device=CPU).net.state_dict()
    torch.manual_seed(99)
    again, other = (train(TINY, stripes(), seed=seed, device=CPU).net.state_dict() for seed in (3, 4))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_loss_falls_on_a_trivial_texture():
    config = with_training(steps=30, log_every=10, learning_rate=5e-3, batch_size=4)
    history = train(config, stripes(), seed=0, device=CPU).history
    assert history[-1].loss < 0.6 * history[0].loss


def test_history_has_a_line_every_so_often_and_one_at_the_end():
    seen = []
    trained = train(TINY, stripes(), seed=0, device=CPU, on_progress=seen.append)
    assert tuple(seen) == trained.history
    assert [line.step for line in seen] == [4, 6]
    assert list(seen[0].as_row()) == [f.name for f in fields(Progress)]
    assert set(seen[0].as_row()) == {
        "step", "loss", "kept_loss", "repaired_loss", "extra_loss", "learning_rate", "images_per_second", "seconds",
    }  # fmt: skip
    for line in seen:
        weight = TINY.objective.repair_weight
        assert line.loss == pytest.approx((1 - weight) * line.kept_loss + weight * line.repaired_loss, rel=1e-4)
        assert line.learning_rate == learning_rate(line.step, TINY.training)
        assert line.images_per_second > 0


def test_the_net_that_is_handed_over_is_ready_to_use():
    trained = train(TINY, stripes(), seed=0, device=CPU)
    assert not trained.net.training
    assert all(t.isfinite().all() for t in trained.net.state_dict().values())
    assert trained.precision == "float32"


def test_no_images_are_refused():
    with pytest.raises(TrainingError, match="no good images"):
        train(TINY, torch.empty(0, 3, 64, 64, dtype=torch.uint8), seed=0, device=CPU)


def test_a_training_that_diverges_says_so_and_hands_no_net_over():
    # The decay multiplies the weights by up to -1e38 a step.
    with pytest.raises(TrainingError, match=r"no longer a number at step \d+: lower training\.learning_rate"):
        train(with_training(weight_decay=1e38, learning_rate=1.0), stripes(), seed=0, device=CPU)


def test_a_training_that_diverges_in_finite_numbers_is_stopped_too():
    # The decay doubles the weights every step, and turns their signs.
    config = with_training(weight_decay=30.0, learning_rate=0.1, warmup_share=0.0, steps=60, log_every=2)
    with pytest.raises(TrainingError, match=r"the loss diverges \(.*\) at step \d+: lower training\.learning_rate"):
        train(config, stripes(), seed=0, device=CPU)


def test_an_absurd_learning_rate_gives_finite_weights_or_an_error():
    try:
        trained = train(with_training(learning_rate=1.0, warmup_share=0.0), stripes(), seed=0, device=CPU)
    except TrainingError:
        return
    assert all(t.isfinite().all() for t in trained.net.state_dict().values())


@pytest.mark.parametrize(
    ("flips", "size", "used"),
    [
        ("off", (64, 64), ()),
        ("on", (64, 64), ("mirror", "flip", "turn")),
        ("on", (64, 96), ("mirror", "flip")),
    ],
)
def test_flips_are_what_was_asked(flips, size, used):
    config = replace(with_training(steps=1), augmentation=AugmentationConfig(flips=flips))
    assert train(config, stripes(size=size), seed=0, device=CPU).augmentation.flips == used


def test_the_rate_rises_then_falls_to_a_hundredth():
    settings = TrainingConfig(steps=100, warmup_share=0.1, learning_rate=0.5)
    rates = [learning_rate(step, settings) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[9] == 0.5
    assert rates[:10] == sorted(rates[:10])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == pytest.approx(0.005)
    assert rates[54] == pytest.approx(0.5 * (0.01 + 0.99 / 2))


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("share", [0.0, 0.99])
def test_short_trainings_have_a_rate_too(steps, share):
    settings = TrainingConfig(steps=steps, warmup_share=share)
    assert all(0 < learning_rate(step, settings) <= settings.learning_rate for step in range(1, steps + 1))


def test_a_training_that_pauses_gives_the_same_net_as_one_that_does_not_and_hands_out_the_averaged_one():
    whole = train(TINY, stripes(), seed=3, device=CPU)
    seen = {}

    def look(step, trained):
        seen[step] = trained
        torch.rand(3)  # whatever is done meanwhile
        trained.net(torch.rand(1, 3, 64, 64))

    paused = train(TINY, stripes(), seed=3, device=CPU, pauses=(2, 5, 6), on_pause=look)
    assert list(seen) == [2, 5, 6]
    assert not seen[2].net.training
    assert [line.step for line in seen[5].history] == [4]
    for net in (paused.net, seen[6].net):
        assert all(torch.equal(value, whole.net.state_dict()[name]) for name, value in net.state_dict().items())
    losses = [(line.step, line.loss) for line in whole.history]
    assert [(line.step, line.loss) for line in paused.history] == losses
    assert any(not torch.equal(v, seen[2].net.state_dict()[name]) for name, v in seen[5].net.state_dict().items())


def test_a_training_stopped_in_a_pause_goes_on_from_it_and_its_net_is_in_the_checkpoint(tmp_path):
    class StopError(Exception):
        pass

    where, seen = Location.of(tmp_path), []

    def stop(step, trained):
        seen.append((step, trained.net.state_dict()))
        if len(seen) == 1:
            raise StopError

    def go():
        return train(TINY, stripes(), seed=3, device=CPU, checkpoint=where, pauses=(3,), on_pause=stop)

    with pytest.raises(StopError):
        go()
    step, net = averaged_net(where, TINY.model)
    assert step == 3
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in seen[0][1].items())
    again = go()
    assert [step for step, _ in seen] == [3, 3]
    assert again.resumed_at == 3
    whole = train(TINY, stripes(), seed=3, device=CPU).net.state_dict()
    assert all(torch.equal(value, whole[name]) for name, value in again.net.state_dict().items())
