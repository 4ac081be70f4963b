"""What is going on, told by workers to the driver through one small actor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import ray


@dataclass(frozen=True, slots=True)
class Event:
    """Something to show.

    Attributes:
        stage: ``shard``, ``train``, ``evaluate`` or ``report``.
        subject: What it is about, such as ``bottle seed 0``; empty for the stage as a whole.
        done: Units done.
        total: Units in all; 0 if not known.
        text: A sentence, or a few figures.
        state: ``running``, ``done`` or ``failed``.
    """

    stage: str
    subject: str
    done: float
    total: float
    text: str
    state: str = "running"


Listener = Callable[[Event], None]


@ray.remote(num_cpus=0, max_restarts=-1)
class Board:
    """Holds the last word of each worker; asked by the driver, so that a slow terminal holds up nobody."""

    def __init__(self) -> None:
        self._latest: dict[str, dict[str, Any]] = {}

    def put(self, key: str, word: Mapping[str, Any]) -> None:
        """Replace the last word of ``key``."""
        self._latest[key] = dict(word)

    def all(self) -> dict[str, dict[str, Any]]:
        """The last word of everyone."""
        return self._latest
