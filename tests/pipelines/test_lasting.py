"""Gauges are set again and again as long as their work lasts, and no longer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from raysuite.pipelines import lasting
from raysuite.pipelines.lasting import Lasting


class Noted:
    """As much of Ray's gauge as is used, which notes what it is told."""

    def __init__(self, name: str) -> None:
        self.info = {"name": name}
        self.told: list[tuple[float, dict[str, str]]] = []

    def set(self, value: float, tags: dict[str, str]) -> None:
        self.told.append((value, tags))


def test_the_last_value_of_each_series_is_repeated_until_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "REFRESH_SECONDS", 0.001)
    gauge: Any = Noted("trainings")
    with Lasting() as gauges:
        gauges.set(gauge, 1, {"state": "training"})
        gauges.set(gauge, 3, {"state": "pending"})
        gauges.set(gauge, 2, {"state": "training"})
        deadline = time.monotonic() + 60
        while len(gauge.told) < 9 and time.monotonic() < deadline:
            time.sleep(0.001)
    told = len(gauge.told)
    assert told >= 9
    last = {tags["state"]: value for value, tags in gauge.told[-4:]}
    assert last == {"training": 2, "pending": 3}
    assert not gauges._thread.is_alive()
