import json
import logging
from dataclasses import fields, replace

import pytest
import safetensors.torch
import torch

from raysuite.errors import TrainingError
from raysuite.models.autoencoder import build
from raysuite.settings import with_words
from raysuite.storage import Location
from raysuite.training.loop import train
from tests.training.test_loop import CPU, TINY, stripes, with_training

TIMES = {"seconds", "images_per_second"}
CONFIG = with_training(steps=10, log_every=4, checkpoint_every=3)


class Killed(BaseException):
    """What no part of the training catches."""


def trained(where, config=CONFIG, seed=1, kill_at=None, images=None, pauses=()):
    def on_progress(line):
        if line.step == kill_at:
            raise Killed

    images = stripes() if images is None else images
    return train(
        config,
        images,
        seed=seed,
        device=CPU,
        on_progress=on_progress,
        checkpoint=where,
        pauses=pauses,
        on_pause=lambda *_: None,
    )


def assert_same(one, other):
    first, second = one.net.state_dict(), other.net.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    names = [field.name for field in fields(one.history[0]) if field.name not in TIMES]
    assert [[getattr(line, name) for name in names] for line in one.history] == [
        [getattr(line, name) for name in names] for line in other.history
    ]


@pytest.fixture
def where(tmp_path):
    return Location.of(tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def undisturbed():
    return train(CONFIG, stripes(), seed=1, device=CPU)


@pytest.mark.parametrize(("kill_at", "resumed_at"), [(4, 3), (8, 6)])
def test_a_killed_training_goes_on_bit_for_bit(where, undisturbed, kill_at, resumed_at):
    """Killed between two checkpoints, which here also lie between two lines of the history."""
    with pytest.raises(Killed):
        trained(where, kill_at=kill_at)
    again = trained(where)
    assert again.resumed_at == resumed_at
    assert_same(again, undisturbed)
    assert [line.seconds for line in again.history] == sorted(line.seconds for line in again.history)


def test_killed_again_and_again_it_arrives_all_the_same(where, undisturbed):
    for kill_at in (4, 8, 8, 10):
        with pytest.raises(Killed):
            trained(where, kill_at=kill_at)
    assert_same(trained(where), undisturbed)


def test_checkpoints_do_not_change_a_training_and_a_finished_one_is_not_repeated(where, undisturbed):
    assert_same(trained(where), undisturbed)
    seen = []
    again = train(CONFIG, stripes(), seed=1, device=CPU, on_progress=seen.append, checkpoint=where)
    assert (again.resumed_at, seen) == (10, [])
    assert_same(again, undisturbed)


def test_every_objective_is_gone_on_with_bit_for_bit(tmp_path):
    words = ["objective.gradient_weight=0.1", "objective.idempotence_weight=0.1", "augmentation.rotation=free"]
    config = with_words(CONFIG, words)
    where = Location.of(tmp_path)
    with pytest.raises(Killed):
        trained(where, config, kill_at=8)
    assert_same(trained(where, config), train(config, stripes(), seed=1, device=CPU))


@pytest.mark.parametrize("keep", [0, 1, 1000])
def test_a_truncated_checkpoint_is_as_good_as_none(where, undisturbed, caplog, keep):
    with pytest.raises(Killed):
        trained(where, kill_at=8)
    card = json.loads((where / "checkpoint.json").read_text())
    file = where / card["tensors"]
    file.write_bytes(file.read_bytes()[:keep])
    with caplog.at_level(logging.WARNING):
        again = trained(where)
    assert again.resumed_at == 0
    assert "is damaged" in caplog.text
    assert "starting anew" in caplog.text
    assert_same(again, undisturbed)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", '{"format": "raysuite-checkpoint", "version": 1}'])
def test_a_broken_card_is_as_good_as_none(where, undisturbed, text):
    trained(where)
    (where / "checkpoint.json").write_text(text)
    again = trained(where)
    assert again.resumed_at == 0
    assert_same(again, undisturbed)


def test_a_flipped_bit_is_noticed(where):
    trained(where)
    file = where / json.loads((where / "checkpoint.json").read_text())["tensors"]
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    file.write_bytes(bytes(data))
    assert trained(where).resumed_at == 0


def test_another_training_is_not_gone_on_with(where, caplog):
    trained(where)
    others = {
        "seed": {"seed": 2},
        "settings": {"config": replace(CONFIG, training=replace(CONFIG.training, steps=11))},
        "images": {"images": stripes(7)},
    }
    for other in others.values():
        with caplog.at_level(logging.WARNING):
            assert trained(where, **other).resumed_at == 0
        assert "another training" in caplog.text
        caplog.clear()


def test_settings_of_what_comes_later_do_not_matter(where):
    trained(where)
    assert trained(where, with_words(CONFIG, ["detection.false_alarm_rate=0.2"])).resumed_at == 10


def test_a_write_that_is_cut_off_leaves_the_checkpoint_before_it(where, monkeypatch):
    """The kill falls between the two files of the second checkpoint."""
    write = Location.write_bytes

    def cut_off(self, data):
        if self.name == "checkpoint.json" and json.loads(data)["state"]["step"] == 6:
            raise Killed
        write(self, data)

    with monkeypatch.context() as patched:
        patched.setattr(Location, "write_bytes", cut_off)
        with pytest.raises(Killed):
            trained(where)
    assert len([name for name, _ in where.children() if name.endswith(".safetensors")]) == 2
    assert trained(where).resumed_at == 3


def test_no_numbers_are_never_written_and_the_last_good_checkpoint_is_named(where):
    # The decay multiplies the weights by up to -1e15 a step: finite for two steps, and no longer after the third.
    config = with_training(steps=20, log_every=20, checkpoint_every=1, weight_decay=1e15, learning_rate=1.0)
    with pytest.raises(TrainingError, match=r"the last good checkpoint, of step \d+, is kept in") as caught:
        trained(where, config)
    assert "training.learning_rate" in str(caught.value)
    card = json.loads((where / "checkpoint.json").read_text())
    assert f"of step {card['state']['step']}, is kept in {where}" in str(caught.value)
    tensors = safetensors.torch.load((where / card["tensors"]).read_bytes())
    assert all(t.isfinite().all() for name, t in tensors.items() if name.startswith(("net.", "averaged.")))


def test_without_a_checkpoint_none_is_promised(where):
    config = replace(TINY, training=replace(TINY.training, weight_decay=1e38, learning_rate=1.0))
    with pytest.raises(TrainingError) as caught:
        trained(where, config)
    assert "checkpoint" not in str(caught.value)


@pytest.mark.parametrize("pauses", [(), range(22, 60, 2)])
def test_what_diverges_between_two_lines_does_not_take_the_place_of_the_last_good_checkpoint(where, pauses):
    # As the rate rises, the decay comes to blow up the weights at every step.
    config = with_training(
        steps=60, warmup_share=0.98, learning_rate=0.25, weight_decay=20.0, log_every=20, checkpoint_every=2
    )
    with pytest.raises(TrainingError, match=r"diverges .* at step \d+: .*the last good checkpoint, of step (\d+)"):
        trained(where, config, pauses=pauses)
    card = json.loads((where / "checkpoint.json").read_text())
    tensors = safetensors.torch.load((where / card["tensors"]).read_bytes())
    net = build(config.model, seed=0)
    net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
    images_NCHW = stripes().float() / 255
    assert card["state"]["step"] > 20, "later than the last line"
    with torch.no_grad():
        assert (net(images_NCHW) - images_NCHW).square().mean() < 1
