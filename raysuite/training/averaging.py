"""Exponential moving average of a net's weights, which is what a training hands over."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class AveragedNet:
    """Keeps a smoothed copy of a net; running batch statistics are smoothed along with the weights."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False).eval()
        self.decay = decay
        self.updates = 0
        self._mine = _floats(self.net)
        self._theirs = _floats(net)

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the net's present weights.

        Early on the decay is smaller, (1 + t) / (10 + t), so that the random start is forgotten.
        """
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        torch._foreach_lerp_(self._mine, self._theirs, 1 - decay)


def _floats(net: nn.Module) -> list[Tensor]:
    return [t.detach() for t in (*net.parameters(), *net.buffers()) if t.is_floating_point()]
