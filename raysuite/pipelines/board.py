"""The one actor of a fleet: keeps the last word of each training, and hands trainings to lanes of workers."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

Task = Mapping[str, Any]
"""``category``, ``seed`` and ``objective`` of a member."""


@dataclass(slots=True)
class LaneWord:
    """What is known of a lane.

    Attributes:
        tasks: Everything it was given, in order; None at the end: it may go home.
        outcomes: How its tasks ended, in order: None if well, or else the reason.
        nodes: Rank of a worker → the node it is on.
    """

    tasks: list[Task | None] = field(default_factory=list)
    outcomes: list[str | None] = field(default_factory=list)
    nodes: dict[int, str] = field(default_factory=dict)


class Board:
    """Asked by the driver, so that a slow terminal holds up nobody; asked by workers for what to do next."""

    def __init__(self) -> None:
        self._words: dict[str, dict[str, Any]] = {}
        self._notes: list[tuple[str, str]] = []
        self._lanes: defaultdict[str, LaneWord] = defaultdict(LaneWord)
        self._news = asyncio.Condition()

    async def put(self, key: str, word: Mapping[str, Any]) -> None:
        """Replace the last word of a training."""
        self._words[key] = dict(word)

    async def words(self) -> dict[str, dict[str, Any]]:
        """The last word of each training."""
        return self._words

    async def note(self, key: str, words: str) -> None:
        """Something about a training that must be told once, whatever comes after it."""
        self._notes.append((key, words))

    async def notes(self, after: int) -> list[tuple[str, str]]:
        """What was noted, but for the first ``after``: the training and the words of each."""
        return self._notes[after:]

    async def hand(self, lane: str, task: Task | None) -> None:
        """Give a lane its next task; None lets it go home."""
        async with self._news:
            self._lanes[lane].tasks.append(task)
            self._news.notify_all()

    async def take(self, lane: str, number: int, rank: int, node: str) -> Task | None:
        """A lane's task of that number, as soon as there is one; every worker of the lane asks for every number."""
        word = self._lanes[lane]
        word.nodes[rank] = node
        async with self._news:
            await self._news.wait_for(lambda: len(word.tasks) > number)
        return word.tasks[number]

    async def done(self, lane: str, reason: str | None) -> None:
        """A lane's task has ended: well, or for a reason that leaves its workers fit for the next one."""
        self._lanes[lane].outcomes.append(reason)

    async def lanes(self) -> dict[str, LaneWord]:
        """What is known of every lane."""
        return dict(self._lanes)

    async def clear(self, key: str) -> None:
        """A training's last word is no longer true."""
        self._words.pop(key, None)


def open_board() -> Any:
    """A board beside the driver: it is lost only if the driver is."""
    # A soft wish is not enough: seen on a busy machine, it put the board on another node, which was then lost.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    # Every worker that waits for a task is a call that is not answered yet.
    options = {"num_cpus": 0, "max_concurrency": 1_000_000, "max_restarts": 0, "scheduling_strategy": here}
    return ray.remote(Board).options(**options).remote()
