import pytest
import torch
from torch import nn

from raysuite.training.averaging import AveragedNet


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_every_update_follows_the_formula():
    live = net()
    averaged = AveragedNet(live, decay=0.3)
    wanted = live[0].weight.detach().double().clone()
    for t in range(8):
        with torch.no_grad():
            live[0].weight.add_(torch.randn(4, 3))
        averaged.update()
        decay = min(0.3, (1 + t) / (10 + t))
        wanted = decay * wanted + (1 - decay) * live[0].weight.detach().double()
        assert averaged.net[0].weight.double().numpy() == pytest.approx(wanted.numpy(), abs=1e-5)


def test_running_statistics_are_averaged_too():
    live = net().train()
    averaged = AveragedNet(live, decay=0.9)
    for _ in range(200):
        live(torch.randn(16, 3) + 5)
        averaged.update()
    assert torch.allclose(averaged.net[1].running_mean, live[1].running_mean, atol=0.3)
    assert not torch.equal(averaged.net[1].running_mean, torch.zeros(4))


def test_no_decay_copies_the_net():
    live = net()
    averaged = AveragedNet(live, decay=0.0)
    with torch.no_grad():
        live[0].weight.mul_(3)
    averaged.update()
    assert torch.equal(averaged.net[0].weight, live[0].weight)


def test_the_copy_is_its_own_and_needs_no_gradient():
    live = net().train()
    averaged = AveragedNet(live, decay=0.9)
    averaged.update()
    assert live.training
    assert not averaged.net.training
    assert all(p.requires_grad for p in live.parameters())
    assert not any(p.requires_grad for p in averaged.net.parameters())
    assert averaged.net[0].weight.data_ptr() != live[0].weight.data_ptr()
