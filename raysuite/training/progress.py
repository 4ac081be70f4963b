"""A line of a training's history, and whether it still goes well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

# A line is taken for divergence if it is this many times as large as the best one, …
DIVERGED = 10.0
# … and worse than a plain grey picture, whose squared error against any image is at most this.
GREY = 0.25
# Whatever came before, nothing is being learnt at this squared error: five times the range of grey levels.
HOPELESS = 25.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the history: means since the line before it.

    Attributes:
        step: Steps done.
        loss: Mean loss.
        kept_loss: Mean squared error over pixels that were not corrupted, squared grey levels of [0, 1].
        repaired_loss: The same over corrupted pixels; 0 for an objective that corrupts none.
        extra_loss: What the objective adds to the squared errors.
        learning_rate: Of the last step.
        images_per_second: Training rate.
        seconds: Since the start of the training, without the time between a stop and going on.
    """

    step: int
    loss: float
    kept_loss: float
    repaired_loss: float
    extra_loss: float
    learning_rate: float
    images_per_second: float
    seconds: float

    def as_row(self) -> dict[str, float]:
        """The line as a mapping, for a table."""
        return asdict(self)


def what_is_wrong(line: Progress, before: Sequence[Progress], *, last: bool = False) -> str | None:
    """What is wrong with a new line, in words that follow "the loss"; None if nothing is.

    A loss that is no longer a number is wrong, and so is one that diverges: more than `DIVERGED` times the best line
    so far while its squared error is also worse than a plain grey picture's, `GREY`. One unlucky batch of a healthy
    training may do the first, and its first steps the second, but not both. A training that diverges before its first
    line has no good one to be compared with: from the second line on, and at the end (``last``), a squared error above
    `HOPELESS` is wrong by itself.
    """
    if not math.isfinite(line.loss):
        return "is no longer a number"
    best = min((earlier.loss for earlier in before), default=math.inf)
    squared = max(line.kept_loss, line.repaired_loss)
    if line.loss > DIVERGED * best and squared > GREY:
        return f"diverges ({line.loss:.3g}, after {best:.3g} at its best)"
    if squared > HOPELESS and (before or last):
        return f"diverges (a squared error of {squared:.3g}; a plain grey picture has {GREY} at most)"
    return None
