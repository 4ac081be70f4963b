"""Which good images are trained on, which are chosen and judged on, and which the threshold alone may see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from raysuite.config import DataConfig


@dataclass(frozen=True, slots=True)
class Split:
    """Indices of a category's good images, each part sorted: 1-D int64.

    Attributes:
        train: The net learns from these, and normal errors are measured on them.
        validation: Map, score and figures are chosen and judged on these.
        held_out: Seen by the threshold alone, which is what its promise rests on.
        shared: What served twice because there were too few images; empty if nothing did.
    """

    train: Tensor
    validation: Tensor
    held_out: Tensor
    shared: str = ""


def split_good(count: int, data: DataConfig, seed: int) -> Split:
    """Split ``count`` good images, at least one, at random but reproducibly.

    From three images on, the parts are disjoint and none is empty. Of two, the one that is trained on is also judged
    on, so that the other is left to the threshold; a single image serves as all three.
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    if count < 3:
        held_out, train = order[:1], order[-1:]
        shared = "the training image is the validation image too" if count == 2 else "one image serves as all three"
        return Split(train, train, held_out, shared)
    held, judged = held_out_and_validation(count, data)
    parts = (order[held + judged :], order[held : held + judged], order[:held])
    train, validation, held_out = (part.sort().values for part in parts)
    return Split(train, validation, held_out)


def held_out_and_validation(count: int, data: DataConfig) -> tuple[int, int]:
    """How many of ``count`` good images, three or more, are held out, and how many are validated on; none is 0."""
    held = min(max(1, round(data.held_out_share * count)), count - 2)
    return held, min(max(1, round(data.validation_share * count)), count - held - 1)
