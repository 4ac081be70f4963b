"""Units whose worker died: tried again, then cut down, until the image that kills stands alone and is a row.

A decoder that crashes or an image that takes all memory ends the process, and no ``except`` helps. Ray would try such
a task again for ever. Here it is tried in a process that may die: the unit as a whole, an eighth of it, and so on. What
survives keeps its scores. A single image that ends two processes, the second time beside nothing else of ours if memory
ran out, gets the error ``WorkerDied``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
import torch

from raysuite.archives.units import Unit
from raysuite.scoring.counting import counted
from raysuite.scoring.maps import SCALES
from raysuite.scoring.parts import write_part
from raysuite.scoring.scorer import Task, failed_rows, score_items, score_unit
from raysuite.storage import Location

CUT = 8
TRIES = 2
"""Processes that one image may end."""

_DIED = (
    ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError,
    ray.exceptions.LocalRayletDiedError, ray.exceptions.ObjectLostError, ray.exceptions.TaskUnschedulableError,
)  # fmt: skip
_SENTENCE = "WorkerDied: {{id}} ended the process that read or scored it, {tries} times ({how})"


@dataclass(slots=True)
class _Wreck:
    """A unit that is being put together from pieces."""

    unit: Unit
    retry: bool
    pieces: list[tuple[int, list[dict[str, Any]]]] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return sum(len(rows) for _, rows in self.pieces) == self.unit.count


@dataclass(frozen=True, slots=True)
class _Piece:
    wreck: _Wreck
    first: int
    end: int
    died: int = 0

    @property
    def is_unit(self) -> bool:
        return self.end - self.first == self.wreck.unit.count

    def cut(self) -> list[_Piece]:
        """Up to `CUT` smaller ones."""
        step = -(-(self.end - self.first) // CUT)
        return [
            replace(self, first=first, end=min(first + step, self.end), died=0)
            for first in range(self.first, self.end, step)
        ]


def rescue(units: Sequence[tuple[Unit, bool]], task: Task, workers: int, *, gpu: bool) -> Iterator[dict[str, Any]]:
    """Score units that a worker died over, or was killed while it had them.

    Args:
        units: Each with whether its failures are to be tried again.
        task: How.
        workers: How many pieces are worked on at once.
        gpu: Each takes a GPU, else a CPU.

    Yields:
        For each unit what `score_unit` returns.

    Raises:
        RaysuiteError: As `score_unit`.
    """
    start = ray.remote(max_retries=0, num_cpus=0 if gpu else 1, num_gpus=1 if gpu else 0)(_scored)
    waiting = deque(_Piece(_Wreck(unit, retry), 0, unit.count) for unit, retry in units)
    alone: deque[_Piece] = deque()
    running: dict[Any, _Piece] = {}
    while waiting or alone or running:
        while waiting and len(running) < workers:
            piece = waiting.popleft()
            running[_start(start, piece, task)] = piece
        if not running:
            piece = alone.popleft()
            running[_start(start, piece, task)] = piece
        (done,), _ = ray.wait(list(running), num_returns=1)
        piece = running.pop(done)
        wreck = piece.wreck
        try:
            found = ray.get(done)
        except _DIED as error:
            if piece.end - piece.first > 1:
                waiting.extend(piece.cut())
                continue
            again = replace(piece, died=piece.died + 1)
            if again.died < TRIES:
                (alone if isinstance(error, ray.exceptions.OutOfMemoryError) else waiting).append(again)
                continue
            how = "memory ran out" if isinstance(error, ray.exceptions.OutOfMemoryError) else type(error).__name__
            told = _SENTENCE.format(tries=TRIES, how=how)
            found = failed_rows(wreck.unit.cut(piece.first, piece.end), told)
        if isinstance(found, dict):
            yield found
            continue
        wreck.pieces.append((piece.first, found))
        if wreck.is_whole:
            rows = [row for _, some in sorted(wreck.pieces, key=lambda part: part[0]) for row in some]
            part = write_part(Location.of(task.out), wreck.unit, rows, SCALES.get(task.maps))
            yield {
                "rows": part.rows, "failed": part.failed, "reused": 0, "changed": 0, "seconds": 0.0,
                "found": counted(rows),
            }  # fmt: skip


def _start(start: Any, piece: _Piece, task: Task) -> Any:
    unit = piece.wreck.unit
    if piece.is_unit:
        return start.remote(unit.to_json(), task, True, piece.wreck.retry)
    return start.remote(unit.cut(piece.first, piece.end).to_json(), task, False, False)


def _scored(text: str, task: Task, whole: bool, retry: bool) -> dict[str, Any] | list[dict[str, Any]]:
    device = "cuda" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu"
    if device == "cpu":
        torch.set_num_threads(1)
    unit = Unit.from_json(text)
    # One thread: what is not begun cannot be blamed.
    task = replace(task, threads=1)
    return score_unit(unit, task, device, retry_failed=retry) if whole else score_items(unit, task, device)
