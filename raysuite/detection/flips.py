"""The mirrored and turned versions of an image that a category's symmetries lead to."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from raysuite.symmetries import ORIENTATIONS, orient


def versions(symmetries: Sequence[str]) -> list[tuple[int, bool]]:
    """All that the symmetries lead to by themselves and one after another, the image as it is first.

    Args:
        symmetries: Names in `raysuite.symmetries.ORIENTATIONS`; others change more than the orientation, and are passed
            over.

    Returns:
        (quarter turns, mirrored before them), 1 to 8 of them.
    """
    steps = [ORIENTATIONS[name] for name in symmetries if name in ORIENTATIONS]
    found = [(0, False)]
    for turns, mirrored in found:
        for more, again in steps:
            # A mirror after a turn is the opposite turn after a mirror.
            both = ((more - turns if again else more + turns) % 4, mirrored != again)
            if both not in found:
                found.append(both)
    return found


def averaged(error: Callable[[Tensor], Tensor], images_NCHW: Tensor, symmetries: Sequence[str]) -> Tensor:
    """The mean of the errors of all `versions` of the images, each turned back: (N, H, W).

    Args:
        error: From images to (N, H, W) errors.
        images_NCHW: Square if the symmetries have a turn.
        symmetries: As in `versions`.
    """
    every = versions(symmetries)
    total_NHW = torch.zeros_like(images_NCHW[:, 0])
    for turns, mirrored in every:
        back_NHW = torch.rot90(error(orient(images_NCHW, turns, mirrored)), -turns, (1, 2))
        total_NHW += back_NHW.flip(2) if mirrored else back_NHW
    return total_NHW / len(every)
