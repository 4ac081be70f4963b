"""What the scoring of an archive exports to Ray's metrics, for Prometheus and Grafana.

All of it is of one command, not of earlier ones on the same output.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ray.util.metrics import Counter, Gauge

from raysuite.pipelines.exported import as_tag
from raysuite.pipelines.lasting import Lasting


class ScoringExported(Lasting):
    """The metrics of one archive, to be made once, in the driver, when it is connected to Ray; they last to its end."""

    def __init__(self) -> None:
        """Nothing is exported before the first word."""
        super().__init__()
        self._scored = Counter("raysuite_scored_images", "Images that were scored.", ("model",))
        self._bytes = Counter("raysuite_scored_bytes", "Sizes of the files of these images.", ("model",))
        self._failures = Counter("raysuite_scoring_failures", "Images that got no score.", ("kind",))
        self._images = Gauge("raysuite_scoring_images", "Images by what became of them.", ("state",))
        self._units = Gauge("raysuite_scoring_units_left", "Units of work that are listed and not done.")
        self._rate = Gauge("raysuite_scoring_images_per_second", "Over the last minutes.")
        self._seconds_left = Gauge("raysuite_scoring_seconds_left", "At that rate, when all is listed.")

    def found(self, found: Iterable[Mapping[str, Any]]) -> None:
        """Images have been worked on: what `raysuite.scoring.counting.counted` says of them."""
        for some in found:
            if some["kind"]:
                self._failures.inc(some["images"], {"kind": as_tag(some["kind"])})
                continue
            tags = {"model": as_tag(some["model"])}
            self._scored.inc(some["images"], tags)
            if some["bytes"]:
                self._bytes.inc(some["bytes"], tags)

    def standing(
        self, states: Mapping[str, int], units_left: int, images_per_second: float | None, seconds_left: float | None
    ) -> None:
        """How far it is.

        Args:
            states: Images that were ``scored``, ``failed``, ``kept`` from an earlier command, or are ``left``.
            units_left: Of those listed so far.
            images_per_second: None if it is not known yet.
            seconds_left: None if it cannot be said.
        """
        for state, count in states.items():
            self.set(self._images, count, {"state": state})
        self.set(self._units, units_left, {})
        if images_per_second is not None:
            self.set(self._rate, images_per_second, {})
        if seconds_left is not None:
            self.set(self._seconds_left, seconds_left, {})
