"""Recording as far as it needs no GPU; tests/training/test_on_gpu.py has the rest."""

import pytest
import torch
from torch import nn

from raysuite.corruption.corruptor import Corrupted
from raysuite.errors import TrainingError
from raysuite.storage import Location
from raysuite.training import loop, recording
from raysuite.training.loop import train
from raysuite.training.recording import Recording, recorded_if_it_works
from tests.training.test_checkpoints import CONFIG, Killed, assert_same, trained
from tests.training.test_loop import CPU, stripes

CUDA = torch.device("cuda")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2)

    def forward(self, images_NCHW):
        return self.norm(self.conv(images_NCHW))


def batch(seed=0):
    images_NCHW = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Corrupted(images_NCHW, images_NCHW, images_NCHW[:, :1] > 0.5)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Net()


@pytest.fixture
def gradients(net):
    def compute(given):
        net.zero_grad(set_to_none=True)
        loss = net(given.inputs_NCHW).sigmoid().square().mean()
        loss.backward()
        return torch.stack([loss.detach()] * 4)

    return compute


def replaying(replay):
    """Stands in for a recording on a GPU: gradients that stay in their place, which ``replay`` fills."""

    class Replayed:
        def __init__(self, gradients, net, sample, _device):
            self.net, self.gradients, self.losses = net, gradients, gradients(sample)
            self.kept = [parameter.grad for parameter in net.parameters()]

        def __call__(self, given):
            found = replay(self.gradients, given)
            if found is not None:
                self.losses = found
                for parameter, kept in zip(self.net.parameters(), self.kept, strict=True):
                    kept.copy_(parameter.grad)
            for parameter, kept in zip(self.net.parameters(), self.kept, strict=True):
                parameter.grad = kept
            return self.losses

    return Replayed


@pytest.fixture
def on_gpu(monkeypatch):
    """As if there were one, whose recordings do what is asked."""
    monkeypatch.setattr(recording, "_has_room", lambda _device: True)
    monkeypatch.setattr(recording, "_Replayed", replaying(lambda gradients, given: gradients(given)))


def recorded(gradients, net, whole=lambda: True, device=CUDA):
    return recorded_if_it_works(gradients, net, batch, whole, device)


def assert_left_alone(found, said, gradients, net, words):
    assert found is gradients
    assert not said.used
    assert words in said.reason
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_cpu_and_several_workers_replay_nothing(net, gradients, monkeypatch):
    assert_left_alone(*recorded(gradients, net, device=CPU), gradients, net, "only GPUs")
    monkeypatch.setattr(recording, "workers", lambda: 2)
    assert_left_alone(*recorded(gradients, net), gradients, net, "several workers")


@pytest.mark.usefixtures("on_gpu")
def test_a_recording_that_gives_what_a_pass_gives_is_used_and_leaves_the_net_as_it_was(net, gradients):
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found, said = recorded(gradients, net)
    assert said == Recording(True, "on a GPU, by one worker")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    losses = found(batch(5))
    slopes = [parameter.grad.clone() for parameter in net.parameters()]
    torch.testing.assert_close(losses, gradients(batch(5)))
    for slope, parameter in zip(slopes, net.parameters(), strict=True):
        torch.testing.assert_close(slope, parameter.grad)


def nothing(_gradients, _given):
    return None


def wrong(gradients, given):
    return 1.2 * gradients(given)


def stale(gradients, _given):
    return gradients(batch())


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize("replay", [nothing, wrong, stale])
def test_a_replay_that_gives_anything_else_is_not_used(net, gradients, replay, monkeypatch):
    monkeypatch.setattr(recording, "_Replayed", replaying(replay))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found, said = recorded(gradients, net)
    assert_left_alone(found, said, gradients, net, "a replay gave other gradients")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize("error", [RuntimeError, torch.OutOfMemoryError, TrainingError, TypeError])
def test_whatever_recording_fails_by_the_training_goes_on_without(net, gradients, error, monkeypatch):
    def fail(*_):
        raise error("no graphs here\nand more")

    monkeypatch.setattr(recording, "_Replayed", fail)
    assert_left_alone(*recorded(gradients, net), gradients, net, "recording failed: no graphs here")


@pytest.mark.usefixtures("on_gpu")
def test_a_pass_that_fails_as_it_is_is_no_fault_of_the_recording(net):
    def fail(_given):
        raise TrainingError("one image does not fit")

    with pytest.raises(TrainingError, match="one image does not fit"):
        recorded(fail, net)


@pytest.mark.usefixtures("on_gpu")
def test_micro_batches_and_a_full_memory_are_not_recorded(net, gradients, monkeypatch):
    found, said = recorded(gradients, net, whole=lambda: False)
    assert (found, said.used) == (gradients, False)
    assert "as a whole" in said.reason
    answers = iter([True, False])
    assert_left_alone(*recorded(gradients, net, lambda: next(answers)), gradients, net, "memory ran out")
    monkeypatch.setattr(recording, "_has_room", lambda _device: False)
    found, said = recorded(gradients, net)
    assert (found, said.used) == (gradients, False)
    assert "too little memory" in said.reason


def test_a_training_leaves_replayed_gradients_in_their_place(tmp_path, monkeypatch):
    """Over pauses and checkpoints, and when it goes on from one: a replay writes where they were recorded."""
    undisturbed = train(CONFIG, stripes(), seed=1, device=CPU)
    replays = []

    def fixed(gradients, net, _draw, _whole, _device):
        kept = [torch.zeros_like(parameter) for parameter in net.parameters()]

        def replay(given):
            assert (
                not replays
                or replays[-1] is not kept
                or all(parameter.grad is value for parameter, value in zip(net.parameters(), kept, strict=True))
            )
            replays.append(kept)
            losses = gradients(given)
            for parameter, value in zip(net.parameters(), kept, strict=True):
                value.copy_(parameter.grad)
                parameter.grad = value
            return losses

        return replay, Recording(True, "as if")

    monkeypatch.setattr(loop, "recorded_if_it_works", fixed)
    where = Location.of(tmp_path)
    with pytest.raises(Killed):
        trained(where, kill_at=8)
    paused = []
    again = train(
        CONFIG, stripes(), seed=1, device=CPU, checkpoint=where, pauses=(8,), on_pause=lambda *_: paused.append(1)
    )
    assert (again.resumed_at, len(paused), len(replays)) == (6, 1, 12)
    assert_same(again, undisturbed)
