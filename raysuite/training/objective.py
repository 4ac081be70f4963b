"""The loss of the repairing ("filter") objective: region-balanced squared error."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

# Corrupted pixels count as at least this share of a batch, so that one tiny scratch does not outweigh everything.
SMALLEST_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and its two parts, each a scalar tensor: mean squared error over kept and over corrupted pixels."""

    total: Tensor
    kept: Tensor
    repaired: Tensor


def region_balanced_loss(outputs_NCHW: Tensor, targets_NCHW: Tensor, mask_N1HW: Tensor, repair_weight: float) -> Loss:
    """Mean squared error of kept and of corrupted pixels, each over its own area, mixed by λ = ``repair_weight``.

    ``L = (1 − λ)·‖M̄ ⊙ (f(x̂) − x)‖² / ‖M̄‖₁ + λ·‖M ⊙ (f(x̂) − x)‖² / ‖M‖₁`` (Bauer et al., arXiv 2206.11723), with the
    areas taken over the whole batch and the squared error averaged over channels.

    Args:
        outputs_NCHW: The net's output, float32.
        targets_NCHW: What it should be, float32.
        mask_N1HW: True where the input was corrupted.
        repair_weight: λ in [0, 1].
    """
    error_N1HW = (outputs_NCHW.float() - targets_NCHW).square().mean(1, keepdim=True)
    mask = mask_N1HW.to(error_N1HW.dtype)
    area, pixels = mask.sum(), mask.numel()
    on_mask = (error_N1HW * mask).sum()
    kept = (error_N1HW.sum() - on_mask) / (pixels - area).clamp(min=SMALLEST_SHARE * pixels)
    repaired = on_mask / area.clamp(min=SMALLEST_SHARE * pixels)
    return Loss((1 - repair_weight) * kept + repair_weight * repaired, kept.detach(), repaired.detach())
