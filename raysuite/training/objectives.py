"""What a net can be asked for: the method's objective and those it is compared with, all over the same net.

An objective draws a net's input and target from clean images, and computes the loss of the net's answer. Each of
several workers (`raysuite.training.distributed`), or of several micro-batches (`raysuite.training.accumulation`), has
its share of the loss; the shares add up to the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from raysuite.config import Config
from raysuite.corruption.corruptor import Corrupted, Corruptor
from raysuite.corruption.noise import normal
from raysuite.models.autoencoder import Autoencoder
from raysuite.training.distributed import total, workers
from raysuite.training.similarity import gradient_dissimilarity

Net = Callable[[Tensor], Tensor]
"""(N, 3, H, W) → the same shape, however it is computed: compiled, under autocast."""

# Corrupted pixels count as at least this share of a batch, so that one tiny scratch does not outweigh everything.
SMALLEST_SHARE = 0.01
# Step of the difference quotient, in grey levels of [0, 1]: small beside pictures, large beside float32's rounding.
NUDGE = 0.01


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and its parts, each a scalar tensor; only the total carries a gradient.

    Attributes:
        total: What is minimised.
        kept: Mean squared error over pixels that were not corrupted, squared grey levels of [0, 1].
        repaired: The same over corrupted pixels; 0 where the objective corrupts none.
        extra: What the objective adds to the squared errors, weight included.
    """

    total: Tensor
    kept: Tensor
    repaired: Tensor
    extra: Tensor


@dataclass(frozen=True, slots=True)
class Share:
    """What the loss of a part of a batch must know of the whole batch, so that the parts' losses add up to the whole's.

    Attributes:
        divisor: Images of the whole batch, over those of the part.
        pixels: Pixels of the whole batch.
        corrupted: How many of them were corrupted, a scalar tensor, float32.
    """

    divisor: float
    pixels: int
    corrupted: Tensor

    @classmethod
    def of(cls, batch: Corrupted) -> Share:
        """That of a worker's whole slice of the batch; all workers must ask for it together."""
        mask_N1HW = batch.mask_N1HW
        # Summed as floats: up to 2²⁴ pixels that is exact, and beyond it does not matter.
        return cls(workers(), mask_N1HW.numel() * workers(), total(mask_N1HW.float().sum()))

    def of_part(self, images: int, part: int) -> Share:
        """That of ``part`` images out of the ``images`` that this is the share of."""
        return replace(self, divisor=self.divisor * (images / part))


class Objective(Protocol):
    """What a net is asked for."""

    def draw(self, clean_NCHW: Tensor, generator: Generator) -> Corrupted:
        """A batch's inputs and targets from clean images, float32 in [0, 1]; random numbers from the generator."""

    def loss(self, net: Net, batch: Corrupted, share: Share) -> Loss:
        """The loss of the net on a part of a batch: its share of the whole batch's."""


def make_objective(config: Config, net: Autoencoder) -> Objective:
    """The objective that ``config.objective`` names, for this net."""
    objective = config.objective
    match objective.kind:
        case "plain":
            return Plain()
        case "sparse":
            return Sparse(objective.sparsity, net.middle)
        case "denoise":
            return Denoise(objective.noise_level)
        case "contractive":
            return Contractive(objective.contraction)
        case _:
            return Filter(
                Corruptor(config.corruption), objective.repair_weight, objective.gradient_weight,
                objective.idempotence_weight,
            )  # fmt: skip


class Filter:
    """The method: repair what was corrupted, leave the rest alone (`region_balanced_loss`), and two optional terms.

    The second pass of the idempotence term, ``η·‖f(sg(y)) − y‖²`` with y = f(x̂), takes its input without gradient (sg):
    otherwise y could be bent into whatever f happens to map to itself, at the price of a graph twice as deep. The
    difference pulls at both its ends on purpose. A frozen y alone would declare a half repaired defect right and teach
    f to copy it; a frozen second pass alone would pull y towards something blurred once more.
    """

    def __init__(
        self, corruptor: Corruptor, repair_weight: float, gradient_weight: float, idempotence_weight: float
    ) -> None:
        self.corruptor = corruptor
        self.repair_weight = repair_weight
        self.gradient_weight = gradient_weight
        self.idempotence_weight = idempotence_weight

    def draw(self, clean_NCHW: Tensor, generator: Generator) -> Corrupted:
        """Corrupt the images; the targets have noise or not, as ``corruption.noise`` says."""
        return self.corruptor(clean_NCHW, generator)

    def loss(self, net: Net, batch: Corrupted, share: Share) -> Loss:
        """The region-balanced loss and the optional terms."""
        outputs_NCHW = net(batch.inputs_NCHW)
        kept, repaired = region_errors(outputs_NCHW, batch.targets_NCHW, batch.mask_N1HW, share)
        extra = torch.zeros_like(kept)
        if self.gradient_weight:
            unlike = gradient_dissimilarity(outputs_NCHW, batch.targets_NCHW)
            extra = extra + self.gradient_weight * unlike / share.divisor
        if self.idempotence_weight:
            again_NCHW = net(outputs_NCHW.detach())
            extra = extra + self.idempotence_weight * _mean_square(again_NCHW.float() - outputs_NCHW.float(), share)
        errors = (1 - self.repair_weight) * kept + self.repair_weight * repaired
        return Loss(errors + extra, kept.detach(), repaired.detach(), extra.detach())


class Plain:
    """Plain reconstruction, ``‖f(x) − x‖²``: only the bottleneck keeps the net from copying."""

    def draw(self, clean_NCHW: Tensor, generator: Generator) -> Corrupted:  # noqa: ARG002 -- nothing is random here
        """Input and target are the clean images."""
        return Corrupted(clean_NCHW, clean_NCHW, _nowhere(clean_NCHW))

    def loss(self, net: Net, batch: Corrupted, share: Share) -> Loss:
        """The mean squared error."""
        error = _mean_square(net(batch.inputs_NCHW).float() - batch.targets_NCHW, share)
        return _with_extra(error, torch.zeros_like(error))


class Sparse(Plain):
    """Plain reconstruction with ``weight`` times the mean absolute activation of the bottleneck on top."""

    def __init__(self, weight: float, middle: nn.Module) -> None:
        self.weight = weight
        self._code = torch.empty(0)
        middle.register_forward_hook(self._keep)

    def _keep(self, _module: nn.Module, _inputs: object, output: Tensor) -> None:
        self._code = output

    def loss(self, net: Net, batch: Corrupted, share: Share) -> Loss:
        """The mean squared error and the penalty."""
        try:
            error = _mean_square(net(batch.inputs_NCHW).float() - batch.targets_NCHW, share)
            return _with_extra(error, self.weight * self._code.float().abs().mean() / share.divisor)
        finally:
            # It hangs on to the whole pass, which must not outlast this even where memory runs out in it.
            self._code = torch.empty(0)


class Denoise(Plain):
    """Removal of independent noise, ``‖f(x + ε) − x‖²``, ε normal with a fixed standard deviation."""

    def __init__(self, noise_level: float) -> None:
        self.noise_level = noise_level

    def draw(self, clean_NCHW: Tensor, generator: Generator) -> Corrupted:
        """The input has the noise, the target has none."""
        noise_NCHW = self.noise_level * normal(tuple(clean_NCHW.shape), generator)
        return Corrupted(clean_NCHW + noise_NCHW, clean_NCHW, _nowhere(clean_NCHW))


class Contractive:
    """Plain reconstruction with ``weight`` times ‖J‖² / n on top, J the Jacobian of all n values of an image.

    ‖J‖² is the mean of ‖J·v‖² over v ~ N(0, I) (Hutchinson, Commun. Stat. 19(2), 1990), and J·v is close to
    (f(x + h·v) − f(x)) / h with h = `NUDGE`: one v an image and step. The identity has ‖J‖² / n = 1. Both passes are
    made as one batch, so that batch normalisation does not change between them. The difference is lost in bfloat16.
    """

    def __init__(self, weight: float) -> None:
        self.weight = weight

    def draw(self, clean_NCHW: Tensor, generator: Generator) -> Corrupted:
        """The inputs are the nudged images x + h·v, the targets the clean images x."""
        nudge_NCHW = NUDGE * normal(tuple(clean_NCHW.shape), generator)
        return Corrupted(clean_NCHW + nudge_NCHW, clean_NCHW, _nowhere(clean_NCHW))

    def loss(self, net: Net, batch: Corrupted, share: Share) -> Loss:
        """The mean squared error of the clean images, and the penalty."""
        both_NCHW = net(torch.cat([batch.targets_NCHW, batch.inputs_NCHW])).float()
        outputs_NCHW, nudged_NCHW = both_NCHW.chunk(2)
        error = _mean_square(outputs_NCHW - batch.targets_NCHW, share)
        return _with_extra(error, self.weight * _mean_square((nudged_NCHW - outputs_NCHW) / NUDGE, share))


def region_errors(outputs_NCHW: Tensor, targets_NCHW: Tensor, mask_N1HW: Tensor, share: Share) -> tuple[Tensor, Tensor]:
    """Mean squared error of kept and of corrupted pixels, each over its own area in the whole batch.

    ``‖M̄ ⊙ (f(x̂) − x)‖² / ‖M̄‖₁`` and ``‖M ⊙ (f(x̂) − x)‖² / ‖M‖₁``, which Bauer et al. (arXiv 2206.11723) mix by
    1 − λ and λ; the squared error is averaged over channels, and an area is at least `SMALLEST_SHARE` of the batch.

    Args:
        outputs_NCHW: The net's output, float.
        targets_NCHW: What it should be, float32.
        mask_N1HW: True where the input was corrupted.
        share: What part of the whole batch this is.
    """
    error_N1HW = (outputs_NCHW.float() - targets_NCHW).square().mean(1, keepdim=True)
    mask = mask_N1HW.to(error_N1HW.dtype)
    area, pixels = share.corrupted, share.pixels
    on_mask = (error_N1HW * mask).sum()
    kept = (error_N1HW.sum() - on_mask) / (pixels - area).clamp(min=SMALLEST_SHARE * pixels)
    return kept, on_mask / area.clamp(min=SMALLEST_SHARE * pixels)


def _mean_square(difference_NCHW: Tensor, share: Share) -> Tensor:
    """The part's share of the mean square over the whole batch."""
    return difference_NCHW.square().mean() / share.divisor


def _with_extra(error: Tensor, extra: Tensor) -> Loss:
    return Loss(error + extra, error.detach(), torch.zeros_like(error.detach()), extra.detach())


def _nowhere(images_NCHW: Tensor) -> Tensor:
    return torch.zeros_like(images_NCHW[:, :1], dtype=torch.bool)
