"""When trainings start and how long they take: the planner on a virtual clock, and what that makes of a plan."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysuite.planning import Job, Node, Placed, Plan, Planner


@dataclass(slots=True)
class Timeline:
    """What happened: when each training started and ended (seconds), on which nodes; lost ones start again.

    Attributes:
        starts: (time, what was placed), in order.
        ends: Name → time of its end.
        lost: Names of trainings whose node left under them, in order.
    """

    starts: list[tuple[float, Placed]] = field(default_factory=list)
    ends: dict[str, float] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    @property
    def makespan(self) -> float:
        """Seconds until the last one ended."""
        return max(self.ends.values(), default=0.0)


def simulate(
    jobs: Sequence[Job],
    seconds: Mapping[str, float],
    nodes: Sequence[Node],
    changes: Sequence[tuple[float, Sequence[Node]]] = (),
    *,
    workers: int = 1,
    gpu_share: float = 1.0,
    checkpoint_seconds: float = 60.0,
) -> Timeline:
    """Let the planner run a fleet on a virtual clock.

    Args:
        jobs: The trainings as the planner knows them.
        seconds: What each really lasts.
        nodes: The cluster at the start.
        changes: (time, the cluster from then on): nodes that joined or left.
        workers: Workers of each training.
        gpu_share: Share of a GPU for each worker.
        checkpoint_seconds: A training whose node leaves goes on from its last multiple of this.

    Raises:
        ClusterError: The cluster at the start could not hold even one training.
    """
    planner = Planner(jobs, nodes, workers, gpu_share)
    pending = sorted(changes, key=lambda change: change[0])
    line = Timeline()
    left, began = dict(seconds), dict[str, float]()
    ends: list[tuple[float, str]] = []
    now = 0.0
    while True:
        for placed in planner.start(nodes):
            key = placed.job.key
            line.starts.append((now, placed))
            began[key] = now
            heapq.heappush(ends, (now + left[key], key))
        if pending and (not ends or pending[0][0] <= ends[0][0]):
            now, nodes = pending.pop(0)
            there = {node.name for node in nodes}
            for key, placed in list(planner.placed.items()):
                if any(name not in there for name, _ in placed.where):
                    left[key] -= (now - began[key]) // checkpoint_seconds * checkpoint_seconds
                    line.lost.append(key)
                    planner.again(planner.end(key))
                    ends = [end for end in ends if end[1] != key]
            heapq.heapify(ends)
        elif ends:
            now, key = heapq.heappop(ends)
            line.ends[key] = now
            planner.end(key)
        else:
            return line


@dataclass(frozen=True, slots=True)
class Pace:
    """What a short trial measured, on the hardware and with the threads that a training would have.

    Attributes:
        steps: Training steps of the trial; those of all machines together.
        seconds_a_step: What one takes.
        seconds_a_unit: What a unit of a training's length (`Job.length`) takes.
    """

    steps: int
    seconds_a_step: float
    seconds_a_unit: float


@dataclass(frozen=True, slots=True)
class Outlook:
    """A plan, and when it will be done.

    Attributes:
        plan: What is going to happen.
        pace: What the trial measured; None if there was none.
        line: The plan on a virtual clock at that pace; None without a trial.
        note: Why there is no estimate.
    """

    plan: Plan
    pace: Pace | None = None
    line: Timeline | None = None
    note: str = ""

    def sentence(self) -> str:
        """The plan in words, and how long it takes or why that is not known."""
        if self.pace is None or self.line is None:
            return f"{self.plan.sentence()}; {self.note}" if self.note else self.plan.sentence()
        steps = f"{self.pace.steps} step{'s' if self.pace.steps != 1 else ''}"
        return f"{self.plan.sentence()}; about {in_words(self.line.makespan)} by a trial of {steps}"

    def as_mapping(self) -> dict[str, Any]:
        """The plan for machines, with an ``estimate``, and when each training ``begins`` and its ``seconds``.

        All of these are None if they are not known.
        """
        card = self.plan.as_mapping()
        starts, ends = dict[str, float](), dict[str, float]()
        card["estimate"] = None
        if self.pace is not None and self.line is not None:
            starts = {placed.job.key: time for time, placed in self.line.starts}
            ends = self.line.ends
            card["estimate"] = {
                "seconds": self.line.makespan,
                "trial_steps": self.pace.steps,
                "seconds_a_step": self.pace.seconds_a_step,
            }
        card["note"] = self.note or None
        for row in card["order"]:
            began = starts.get(row["run"])
            row["begins"] = began
            row["seconds"] = None if began is None else ends[row["run"]] - began
        return card


def outlook(plan: Plan, pace: Pace) -> Outlook:
    """What a plan comes to at a pace, if nodes stay as they are."""
    if plan.lack is not None:
        return Outlook(plan, note="how long it takes is not known before there are nodes")
    seconds = {job.key: job.length * pace.seconds_a_unit for job in plan.order}
    share = plan.need.gpus or 1.0
    return Outlook(plan, pace, simulate(plan.order, seconds, plan.nodes, workers=plan.need.workers, gpu_share=share))


def in_words(seconds: float) -> str:
    """Such as ``40 s``, ``12 min`` or ``2 h 10 min``: no finer than an estimate deserves."""
    if seconds < 57.5:
        return f"{max(1, round(seconds))} s" if seconds < 10 else f"{round(seconds / 5) * 5} s"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min"
    minutes = round(minutes / 5) * 5
    hours = f"{minutes // 60} h"
    return f"{hours} {minutes % 60} min" if minutes % 60 and minutes < 600 else hours
