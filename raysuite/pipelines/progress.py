"""What is going on: told by workers to the driver through one small actor, and left in the run folder."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from raysuite.config import TrainingConfig
from raysuite.errors import StorageError
from raysuite.runs import Member
from raysuite.standing import Standing
from raysuite.training.progress import Progress

RECORD_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Event:
    """Something to show.

    Attributes:
        stage: ``shard``, ``train``, ``evaluate``, ``report``, ``tune``, ``judge`` or ``score``.
        subject: What it is about, such as ``bottle seed 0``; empty for the stage as a whole.
        done: Units done.
        total: Units in all; 0 if not known.
        text: A sentence, or a few figures.
        state: ``running``, ``done`` or ``failed``.
        standing: If it is about one member, where that stands now.
    """

    stage: str
    subject: str
    done: float
    total: float
    text: str
    state: str = "running"
    standing: Standing | None = None


Listener = Callable[[Event], None]


class Recorder:
    """Turns lines of a training's history into words for others, and leaves one in the run folder now and then.

    A folder that cannot be written for a moment does not end a training that goes well.
    """

    def __init__(self, member: Member, settings: TrainingConfig) -> None:
        self._member, self._settings = member, settings
        self._written = -RECORD_SECONDS

    def __call__(self, line: Progress) -> dict[str, Any]:
        """The line with ``steps`` in all, ``seconds_left``, ``node`` and ``pid``, and when it was ``updated``."""
        images = (self._settings.steps - line.step) * self._settings.batch_size
        word = {
            **line.as_row(),
            "steps": self._settings.steps,
            "seconds_left": images / max(line.images_per_second, 1e-9),
            "node": socket.gethostname(),
            "pid": os.getpid(),
            "updated": time.time(),
        }
        if line.step == self._settings.steps or time.monotonic() - self._written >= RECORD_SECONDS:
            self._written = time.monotonic()
            try:
                self._member.set_progress(word)
            except StorageError as error:
                _log.warning("progress is not recorded: %s", error)
        return word
