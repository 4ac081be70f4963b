"""What trainings export to Ray's metrics, for Prometheus and Grafana.

Tags have few values: a category, a seed, an objective, a state. Ray puts ``ray_`` before each name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

from raysuite.pipelines.lasting import Lasting
from raysuite.standing import STATES

TAGS = ("category", "seed", "objective")


def as_tag(value: object) -> str:
    """A tag's value: Ray takes ASCII alone, and a category may be named in any script."""
    return str(value).encode("ascii", "backslashreplace").decode()


class Exported(Lasting):
    """The metrics of one fleet, to be made once, in the process that hears of all trainings; they last to its end."""

    def __init__(self, batch_size: int) -> None:
        """``batch_size`` is that of all trainings."""
        super().__init__()
        self._batch_size = batch_size
        self._gauges = {
            "step": Gauge("raysuite_training_step", "Steps done.", TAGS),
            "steps": Gauge("raysuite_training_steps", "Steps in all.", TAGS),
            "loss": Gauge("raysuite_training_loss", "The last mean loss.", TAGS),
            "images_per_second": Gauge("raysuite_training_images_per_second", "The last rate of a training.", TAGS),
            "seconds_left": Gauge("raysuite_training_seconds_left", "Until the last step at that rate.", TAGS),
        }
        self._images = Counter("raysuite_trained_images", "Images that trainings have seen.", TAGS)
        self._failures = Counter("raysuite_training_failures", "Tries that failed.", TAGS)
        self._retries = Counter("raysuite_training_retries", "Trainings that were begun again.", TAGS)
        self._states = Gauge("raysuite_trainings", "Trainings in each state.", ("state",))
        self._steps: dict[tuple[str, ...], int] = {}

    def training(self, names: Mapping[str, Any], word: Mapping[str, Any]) -> None:
        """A training has made progress.

        Args:
            names: ``category``, ``seed`` and ``objective`` (`raysuite.runs.Member.names`).
            word: What a `raysuite.pipelines.progress.Recorder` makes of a line of its history.
        """
        tags = self._tags(names)
        for key, gauge in self._gauges.items():
            if (value := word.get(key)) is not None:
                self.set(gauge, float(value), tags)
        who, step = tuple(tags.values()), int(word["step"])
        # After a stop it goes on from an earlier step: images that are seen again are seen, and cost what they cost.
        new = step - self._steps.get(who, 0)
        self._steps[who] = step
        if new > 0:
            self._images.inc(new * self._batch_size, tags)

    def ended(self, names: Mapping[str, Any], *, failed: bool, again: bool) -> None:
        """A try of a training has ended.

        Args:
            names: As for `training`.
            failed: It did not end well; losing a node is no failure.
            again: It will be tried again, for whatever reason.
        """
        tags = self._tags(names)
        self.set(self._gauges["images_per_second"], 0.0, tags)
        if failed:
            self._failures.inc(1, tags)
        if again:
            self._retries.inc(1, tags)

    def states(self, counts: Mapping[str, int]) -> None:
        """How many trainings are in which state; those left out are none."""
        for state in STATES:
            self.set(self._states, counts.get(state, 0), {"state": state})

    def _tags(self, names: Mapping[str, Any]) -> dict[str, str]:
        return {name: as_tag(names[name]) for name in TAGS}
