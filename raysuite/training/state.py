"""All that a training changes as it goes, as named tensors and plain values: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Generator, Tensor, nn

from raysuite.training.averaging import AveragedNet
from raysuite.training.progress import Progress


@dataclass(slots=True)
class State:
    """A training under way.

    Attributes:
        net: The net that is trained.
        averaged: Its moving average.
        optimiser: AdamW over the net's parameters, in one group.
        generator: Of all random numbers that are drawn after the start; as it was before the batches that are not all
            used yet were drawn.
        sums: Sums of the loss and its parts since the last line of the history.
        step: Steps done.
        history: Its lines.
        seconds: Spent in training.
    """

    net: nn.Module
    averaged: AveragedNet
    optimiser: torch.optim.Optimizer
    generator: Generator
    sums: Tensor
    step: int = 0
    history: list[Progress] = field(default_factory=list)
    seconds: float = 0.0

    def is_finite(self) -> bool:
        """Whether all weights and their averages are finite numbers."""
        tensors = [t for net in (self.net, self.averaged.net) for t in net.state_dict().values()]
        largest = torch._foreach_norm([t for t in tensors if t.is_floating_point()], float("inf"))
        return bool(torch.stack([*largest]).isfinite().all())

    def tensors(self) -> dict[str, Tensor]:
        """Everything but plain values, on the CPU, by name; contiguous copies."""
        named = {f"net.{name}": value for name, value in self.net.state_dict().items()}
        named |= {f"averaged.{name}": value for name, value in self.averaged.net.state_dict().items()}
        for index, parameter in enumerate(self._parameters()):
            for name, value in self.optimiser.state.get(parameter, {}).items():
                named[f"optimiser.{index}.{name}"] = value
        named |= {"generator": self.generator.get_state(), "sums": self.sums}
        return {name: value.detach().cpu().contiguous() for name, value in named.items()}

    def values(self) -> dict[str, Any]:
        """The plain values, ready for JSON."""
        return {
            "step": self.step,
            "averaged_updates": self.averaged.updates,
            "history": [line.as_row() for line in self.history],
            "seconds": self.seconds,
        }

    def restore(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `values` gave; the net's parameters stay the same objects.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: They are those of another net; nothing is changed then.
        """
        step, updates, seconds = int(values["step"]), int(values["averaged_updates"]), float(values["seconds"])
        history = [Progress(**row) for row in values["history"]]
        parts: list[tuple[nn.Module, dict[str, Tensor]]] = []
        for prefix, net in (("net.", self.net), ("averaged.", self.averaged.net)):
            part = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            if {name: value.shape for name, value in part.items()} != {
                name: value.shape for name, value in net.state_dict().items()
            }:
                raise ValueError("the net has other parts")
            parts.append((net, part))
        moments: dict[int, dict[str, Tensor]] = {}
        for index, parameter in enumerate(self._parameters()):
            prefix = f"optimiser.{index}."
            moments[index] = {
                # Fused AdamW reads memory in order, so that a moment must lie there as its parameter does.
                name.removeprefix(prefix): torch.empty_like(parameter).copy_(value) if value.ndim else value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }
        sums, generator = tensors["sums"], tensors["generator"]
        self.generator.set_state(generator)
        for net, part in parts:
            net.load_state_dict(part)
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": moments})
        self.sums.copy_(sums)
        self.averaged.updates, self.step, self.history, self.seconds = updates, step, history, seconds

    def _parameters(self) -> list[nn.Parameter]:
        return list(self.net.parameters())
