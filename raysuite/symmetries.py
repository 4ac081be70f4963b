"""Mirroring and quarter turns: changes of an image that move whole pixels, as training and scoring both know them."""

from __future__ import annotations

import torch
from torch import Tensor

ORIENTATIONS = {"mirror": (0, True), "flip": (2, True), "turn": (3, False)}
"""Left-right, top-bottom, and a quarter turn clockwise, each as (quarter turns, mirrored before them) of `orient`."""


def orient(images_NCHW: Tensor, turns: int, mirrored: bool) -> Tensor:
    """The images mirrored left-right or not, and then turned by so many quarters anticlockwise."""
    return torch.rot90(images_NCHW.flip(3) if mirrored else images_NCHW, turns, (2, 3))
