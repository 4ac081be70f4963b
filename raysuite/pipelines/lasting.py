"""Gauges that last as long as their work: Ray forgets one that was not set within two of its reports, 20 seconds."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from ray.util.metrics import Gauge

REFRESH_SECONDS = 5.0


class Lasting:
    """Sets gauges, and, as a context manager, sets them again every `REFRESH_SECONDS` until its end."""

    def __init__(self) -> None:
        """Nothing is set yet."""
        self._values: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Gauge, float]] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._refresh, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def set(self, gauge: Gauge, value: float, tags: Mapping[str, str]) -> None:
        """Set a gauge, from now on."""
        with self._lock:
            gauge.set(value, dict(tags))
            self._values[gauge.info["name"], tuple(sorted(tags.items()))] = (gauge, value)

    def _refresh(self) -> None:
        while not self._over.wait(REFRESH_SECONDS):
            with self._lock:
                for (_, tags), (gauge, value) in self._values.items():
                    gauge.set(value, dict(tags))
