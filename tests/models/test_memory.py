import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from raysuite.models.memory import PeakMemory

KB = 1024


def floats(count):
    return torch.zeros(count, dtype=torch.float32)


def test_the_peak_is_what_was_alive_at_once():
    with PeakMemory([]) as memory:
        one = floats(KB)
        two = floats(2 * KB)
        del one
        three = floats(KB)
    assert (memory.peak, memory.bytes) == (12 * KB, 12 * KB)
    del two, three
    assert memory.bytes == 0


def test_views_and_changes_in_place_take_nothing():
    with PeakMemory([]) as memory:
        one = floats(KB)
        one.view(32, 32).add_(1).t().relu_()
        assert memory.peak == 4 * KB


def test_what_was_there_before_is_not_counted():
    before = floats(KB)
    with PeakMemory([before]) as memory:
        before.add_(1).view(2, -1)
        assert memory.peak == 0
        after = before + 1
    assert memory.peak == after.nbytes


def test_what_autograd_keeps_is_counted():
    weight = floats(KB).requires_grad_()
    with PeakMemory([weight]) as memory:
        loss = (weight * 2).exp().sum()  # keeps the exponential; the product is gone
        assert 4 * KB <= memory.bytes < 5 * KB
        loss.backward()
        # While passing back the gradient of the exponential is alive beside it.
        assert 8 * KB <= memory.peak < 13 * KB
    del loss
    assert memory.bytes == weight.grad.nbytes


def test_fake_tensors_count_like_real_ones():
    peaks = []
    for mode in (FakeTensorMode(), torch.no_grad()):
        with mode, PeakMemory([]) as memory:
            torch.nn.functional.pad(floats(KB).view(1, 32, 32), (3, 3, 3, 3), mode="reflect").exp().sum()
        peaks.append(memory.peak)
    assert peaks[0] == peaks[1] > 0
