"""The batches of a training, in order: on a GPU those of several steps are drawn at once.

Corrupting a batch takes many small operations, hardly more for many images than for few. A CPU does not
notice; a GPU would spend longer on starting them than the net takes for its step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator

from raysuite.corruption.corruptor import Corrupted

PIXELS_AT_ONCE = 128 * 256 * 256
"""A GPU draws from at most so many pixels at once: about a GB with all that is needed on the way."""


def steps_at_once(device: torch.device, pixels: int) -> int:
    """Of how many steps the batches are drawn at once, each from images of so many pixels."""
    return 1 if device.type == "cpu" else max(1, PIXELS_AT_ONCE // pixels)


class Ahead:
    """Hands out one step's batch after the other.

    The generator that is given stays as it was before the batches at hand were drawn until the last of them has been
    handed out: with its state and the number of steps done a training can be gone on with at any step.
    """

    def __init__(self, draw: Callable[[int, Generator], Corrupted], generator: Generator, batch: int, at_once: int):
        """Nothing is drawn yet.

        Args:
            draw: Draws so many corrupted images with a generator.
            generator: Of the training, on its device.
            batch: Images a step.
            at_once: Steps whose batches are drawn at once.
        """
        self._draw, self._generator, self._batch, self._at_once = draw, generator, batch, at_once
        self._working = Generator(generator.device)
        self._drawn: Corrupted | None = None

    def skipped(self, step: int) -> int:
        """How many images were drawn before those that step ``step + 1`` is drawn with."""
        return step // self._at_once * self._at_once * self._batch

    def batch(self, step: int, mine: slice = slice(None)) -> Corrupted:
        """A slice of the batch of a step. Steps count from 1 and follow one another; the first may be any.

        It is a view of what is drawn at once: who keeps it keeps all of that in memory.
        """
        place = (step - 1) % self._at_once
        if self._drawn is None or place == 0:
            self._drawn = None  # Not two at once.
            self._working.set_state(self._generator.get_state())
            self._drawn = self._draw(self._batch * self._at_once, self._working)
        if place == self._at_once - 1:
            self._generator.set_state(self._working.get_state())
        rows = slice(place * self._batch, (place + 1) * self._batch)
        parts = (self._drawn.inputs_NCHW, self._drawn.targets_NCHW, self._drawn.mask_N1HW)
        return Corrupted(*(part[rows][mine] for part in parts))
