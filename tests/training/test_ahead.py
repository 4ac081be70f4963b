import pytest
import torch

from raysuite.corruption.corruptor import Corrupted
from raysuite.storage import Location
from raysuite.training import loop
from raysuite.training.ahead import PIXELS_AT_ONCE, Ahead, steps_at_once
from raysuite.training.loop import train
from tests.training.test_checkpoints import CONFIG, Killed, assert_same, trained
from tests.training.test_loop import CPU, stripes
from tests.training.test_sources import streamed


def draw(count, generator):
    images = torch.rand((count, 3, 2, 2), generator=generator)
    return Corrupted(images, images + 1, images[:, :1] > 0.5)


def inputs(ahead, steps):
    return [ahead.batch(step).inputs_NCHW.clone() for step in steps]


def test_a_cpu_draws_step_by_step_and_a_gpu_some_steps_at_once():
    cuda = torch.device("cuda")
    assert steps_at_once(CPU, 1) == 1
    assert steps_at_once(cuda, 8 * 256 * 256) == 16
    assert steps_at_once(cuda, PIXELS_AT_ONCE // 2 + 1) == steps_at_once(cuda, 2 * PIXELS_AT_ONCE) == 1


@pytest.mark.parametrize("at_once", [1, 3])
def test_steps_share_what_is_drawn_at_once_and_every_image_is_handed_out_once(at_once):
    found = inputs(Ahead(draw, torch.Generator().manual_seed(5), 4, at_once), range(1, 7))
    generator = torch.Generator().manual_seed(5)
    wanted = torch.cat([draw(4 * at_once, generator).inputs_NCHW for _ in range(6 // at_once)])
    assert torch.equal(torch.cat(found), wanted)


@pytest.mark.parametrize("done", range(7))
def test_the_generator_and_the_number_of_steps_are_enough_to_go_on(done):
    generator = torch.Generator().manual_seed(5)
    whole = inputs(Ahead(draw, torch.Generator().manual_seed(5), 2, 3), range(1, 10))
    first = Ahead(draw, generator, 2, 3)
    inputs(first, range(1, done + 1))
    again = Ahead(draw, torch.Generator().set_state(generator.get_state()), 2, 3)
    assert all(map(torch.equal, inputs(again, range(done + 1, 10)), whole[done:]))
    assert first.skipped(done) == done // 3 * 6


@pytest.mark.parametrize(("kill_at", "resumed_at"), [(4, 3), (8, 6)])
@pytest.mark.parametrize("images", [stripes, lambda: streamed(stripes())], ids=["resident", "streamed"])
def test_a_training_killed_between_batches_drawn_at_once_goes_on_bit_for_bit(
    tmp_path, monkeypatch, kill_at, resumed_at, images
):
    monkeypatch.setattr(loop, "steps_at_once", lambda _device, _pixels: 4)
    where = Location.of(tmp_path)
    with pytest.raises(Killed):
        trained(where, kill_at=kill_at, images=images())
    again = trained(where, images=images())
    assert again.resumed_at == resumed_at
    assert_same(again, train(CONFIG, images(), seed=1, device=CPU))
