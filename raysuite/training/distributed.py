"""Several workers as one: what a training does differently inside a ``torch.distributed`` process group.

Each worker draws the same whole batch from the same seed and works on its slice of it; sums over workers make up what
slices leave out: the areas of the loss, the statistics of batch normalisation, and the gradients. So n workers compute
what one would, up to rounding. The price: augmentation and corruption are done by every worker for the whole batch, and
only the net's own work is shared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from raysuite.errors import ConfigError


def workers() -> int:
    """How many processes train together; 1 outside of a process group."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return dist.get_rank() if workers() > 1 else 0


def rows_each(batch_size: int, count: int) -> int:
    """How many rows of a batch each of ``count`` workers works on.

    Raises:
        ConfigError: The batch cannot be shared equally.
    """
    if batch_size % count:
        near = max(1, batch_size // count) * count
        raise ConfigError(
            f"training.batch_size is {batch_size}, which {count} workers cannot share equally; "
            f"it must be a multiple of {count}, such as {near} or {near + count}"
        )
    return batch_size // count


def slice_of(batch_size: int) -> slice:
    """The rows of the whole batch that this worker works on.

    Raises:
        ConfigError: The batch cannot be shared equally.
    """
    each = rows_each(batch_size, workers())
    return slice(rank() * each, (rank() + 1) * each)


def everyones(number: int) -> list[int]:
    """All workers' numbers, by rank."""
    numbers = torch.zeros(workers(), dtype=torch.int64)
    numbers[rank()] = number
    if workers() > 1:
        numbers = total(numbers.to(_device()))
    found: list[int] = numbers.tolist()
    return found


def agree(number: int) -> bool:
    """Whether all workers have the same number."""
    return len(set(everyones(number))) == 1


@torch.no_grad()
def total(value: Tensor) -> Tensor:
    """The sum of all workers' values, without a gradient."""
    if workers() == 1:
        return value.detach()
    summed = value.detach().clone()
    dist.all_reduce(summed)
    return summed


@torch.no_grad()
def total_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give every worker the sum of all workers' gradients: that of the whole loss, as each has its share of it."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if workers() == 1 or not gradients:
        return
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def _device() -> str:
    return "cuda" if dist.get_backend() == "nccl" else "cpu"


class _Total(torch.autograd.Function):
    """The sum of all workers' values, through which gradients flow to all workers."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:  # noqa: ARG004 -- autograd hands it over
        summed = value.clone()
        dist.all_reduce(summed)
        return summed

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004
        summed = gradients[0].clone()
        dist.all_reduce(summed)
        return summed


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the statistics of all workers' images; they must have equally many.

    torch's own `SyncBatchNorm` runs on GPUs only. Parameters, buffers and their names are those of `nn.BatchNorm2d`.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- the name in torch
        """Normalise (N, C, H, W) features."""
        if not self.training or workers() == 1:
            return super().forward(input)
        x_NCHW = input.float()
        variance, mean = torch.var_mean(x_NCHW, (0, 2, 3), correction=0)
        # One sum brings each worker's mean and variance to all: exact where E[x²] − E[x]² would cancel.
        place = torch.zeros(workers(), 1, 1, device=input.device)
        place[rank()] = 1
        each_W2C: Tensor = _Total.apply(place * torch.stack([mean, variance]))
        mean = each_W2C[:, 0].mean(0)
        variance = (each_W2C[:, 1] + (each_W2C[:, 0] - mean).square()).mean(0)
        count = workers() * x_NCHW.numel() // x_NCHW.shape[1]
        if self.running_mean is not None and self.running_var is not None and self.momentum is not None:
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        normalised_NCHW: Tensor = x_NCHW * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1)
        return normalised_NCHW.to(input.dtype)


def synchronise_batch_norm(net: nn.Module) -> None:
    """Replace the net's batch normalisations by global ones, in place, if several workers train together."""
    if workers() == 1:
        return
    for name, child in net.named_children():
        if isinstance(child, nn.BatchNorm2d):
            replacement = GlobalBatchNorm2d(child.num_features, child.eps, child.momentum)
            replacement.load_state_dict(child.state_dict())
            setattr(net, name, replacement.to(child.weight.device).train(child.training))
        else:
            synchronise_batch_norm(child)
