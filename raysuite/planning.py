"""What fits where, and when: packs trainings on a cluster's nodes, longest first. Pure arithmetic, no Ray.

A training is a gang of equal workers that start together and may lie on several nodes. All trainings of a run need the
same, so a gang that does not fit now is waited for: nothing shorter could take its place. `Planner` is asked again and
again, with the nodes of that moment; the fleet, its simulation (`raysuite.forecast`) and ``--dry-run`` all ask it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raysuite.errors import ClusterError

# More threads were not faster: on a CPU the net's layers are too small, beside a GPU they only prepare batches.
MOST_CPUS, MOST_CPUS_BESIDE_A_GPU = 8, 4


@dataclass(frozen=True, slots=True)
class Node:
    """One machine of the cluster: its name, and its CPUs and GPUs in all."""

    name: str
    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Growth:
    """What a cluster that grows by itself may become.

    Attributes:
        nodes: All nodes that it could have at once; empty if it does not tell.
    """

    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One training: its name, and its length by estimate, in any unit that is the same for all."""

    key: str
    length: float


@dataclass(frozen=True, slots=True)
class Need:
    """What one training takes.

    Attributes:
        workers: Its workers, which start together.
        cpus: CPUs of each worker.
        gpus: Share of one GPU of each worker, above 0 and at most 1; 0 on CPUs alone.
    """

    workers: int
    cpus: int
    gpus: float

    @property
    def a_gpu(self) -> int:
        """Workers that share one GPU; 0 on CPUs alone."""
        # Thirds and tenths must not lose a place to rounding.
        return int(1 / self.gpus + 1e-9) if self.gpus else 0

    def places(self, node: Node, cpus: int = 0, on_gpus: int = 0) -> int:
        """How many of these workers a node holds, if ``cpus`` of it are taken, and ``on_gpus`` workers use its GPUs."""
        places = max(0, node.cpus - cpus) // self.cpus
        return min(places, max(0, node.gpus * self.a_gpu - on_gpus)) if self.gpus else places

    def words(self) -> str:
        """Such as ``2 workers of 1 GPU and 4 CPUs``."""
        each = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        if self.gpus:
            each = f"{self.gpus:g} GPU and {each}"
        return f"{self.workers} workers of {each}" if self.workers > 1 else each


@dataclass(frozen=True, slots=True)
class Placed:
    """A training that has its place: what it takes, and how many of its workers lie on which node."""

    job: Job
    need: Need
    where: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to happen, on the nodes of this moment.

    Attributes:
        order: All trainings, the first to start first.
        at_once: How many go on at the same time.
        need: What each takes.
        nodes: The cluster.
        lack: Why none can start before there are more nodes; None if one can.
    """

    order: tuple[Job, ...]
    at_once: int
    need: Need
    nodes: tuple[Node, ...]
    lack: str | None = None

    def sentence(self) -> str:
        """The plan in words."""
        runs = f"{len(self.order)} training{'s' if len(self.order) != 1 else ''}"
        if self.lack is not None:
            return f"{runs}, none before the cluster has grown: {self.lack}"
        return f"{runs}, {self.at_once} at once, {self.need.words()} each"

    def as_mapping(self) -> dict[str, Any]:
        """The plan for machines; ``length`` is each training's share of all work."""
        total = sum(job.length for job in self.order) or 1.0
        return {
            "runs": len(self.order),
            "at_once": self.at_once,
            "lack": self.lack,
            "each": {"workers": self.need.workers, "cpus": self.need.cpus, "gpus": self.need.gpus},
            "nodes": [
                {"name": node.name, "cpus": node.cpus, "gpus": node.gpus, "workers": self.need.places(node)}
                for node in self.nodes
            ],
            "order": [
                {"run": job.key, "length": job.length / total, "starts": "now" if index < self.at_once else "waits"}
                for index, job in enumerate(self.order)
            ],
        }


def choose_need(
    nodes: Sequence[Node], runs: int, workers: int = 1, gpus: float = 0.0, grown: Sequence[Node] = ()
) -> Need:
    """What each of equal trainings is given: CPUs that no other training could use are shared out.

    Args:
        nodes: The cluster.
        runs: Trainings that are not finished.
        workers: Workers of each.
        gpus: Share of a GPU for each worker; 0 on CPUs alone.
        grown: What the cluster could become, if that is known, for the words of a refusal.

    Raises:
        ClusterError: The cluster could not hold even one of them.
    """
    least = Need(workers, 1, gpus)
    places = _places(least, nodes)
    if places < workers:
        raise ClusterError(_refusal(least, nodes, grown))
    wanted = max(1, min(runs, places // workers)) * workers
    cpus = MOST_CPUS_BESIDE_A_GPU if gpus else MOST_CPUS
    while cpus > 1 and _places(Need(workers, cpus, gpus), nodes) < wanted:
        cpus -= 1
    return Need(workers, cpus, gpus)


def _places(need: Need, nodes: Iterable[Node]) -> int:
    return sum(need.places(node) for node in nodes)


def _cpus(nodes: Iterable[Node]) -> int:
    return sum(node.cpus for node in nodes)


def _gpus(nodes: Iterable[Node]) -> int:
    return sum(node.gpus for node in nodes)


def _refusal(need: Need, nodes: Sequence[Node], grown: Sequence[Node]) -> str:
    """What is missing on ``nodes``; or on what they could grow to, if even that does not do."""

    def has(told: Callable[[Sequence[Node]], object]) -> str:
        return f"the cluster has {told(nodes)}" + (f" and could grow to {told(grown)}" if grown else "")

    short = grown if grown and _places(need, grown) < need.workers else nodes
    if _cpus(short) < 1:
        return f"{has(lambda nodes: f'{_cpus(nodes)} CPUs')}, a training needs at least 1"
    take, there = f"{need.workers} CPUs", has(_cpus)
    if need.gpus and _gpus(short) * need.a_gpu < need.workers:
        take, there = f"{need.workers * need.gpus:g} GPUs", has(_gpus)
    elif _cpus(short) >= need.workers:
        take = f"{need.workers * need.gpus:g} GPUs with a CPU each on the same node"
        there = has(
            lambda nodes: f"{_gpus(nodes)} GPUs and {_cpus(nodes)} CPUs, but only {_places(need, nodes)} such places"
        )
    if need.workers == 1:
        return f"a training takes {take}, {there}"
    return f"{need.workers} workers for each training take {take}, {there}; lower --workers-per-category"


class Planner:
    """Says which trainings start now; asked again whenever one has ended, and with the nodes of that moment.

    What a training was given stays as it is; those that wait are given more or less when nodes join or leave. Whether
    GPUs are used is decided once, so that a run's detectors are comparable.

    Attributes:
        waiting: Trainings without a place, longest first.
        placed: Those that go on, by name.
        need: What the next one is given.
        lack: Why none can ever start on the nodes of this moment; None if one can.
        growth: What the cluster may become, if it grows by itself.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        nodes: Sequence[Node],
        workers: int = 1,
        gpu_share: float = 1.0,
        growth: Growth | None = None,
    ) -> None:
        """A planner for the nodes of this moment.

        Args:
            jobs: What is to be trained.
            nodes: The cluster.
            workers: Workers of each training.
            gpu_share: Share of a GPU for each worker, where the cluster has GPUs, or could have.
            growth: What the cluster may become, if it grows by itself: then too few nodes are a `lack` at first.

        Raises:
            ClusterError: The cluster could not hold even one training, nor could it if it has grown; or several workers
                of one would share a GPU.
        """
        self.waiting = sorted(jobs, key=lambda job: -job.length)
        self.placed: dict[str, Placed] = {}
        self.lack: str | None = None
        self._nodes = tuple(nodes)
        self._workers = workers
        self.growth = growth
        self._grown = growth.nodes if growth else ()
        self._gpus = gpu_share if any(node.gpus for node in (*nodes, *self._grown)) else 0.0
        if workers > 1 and 0 < self._gpus < 1:
            raise ClusterError(
                f"{workers} workers of one training cannot share a GPU, as {gpu_share:g} GPU each asks for; "
                "take --workers-per-category 1, or leave out --gpu-share"
            )
        try:
            self.need = self._choose(nodes, len(self.waiting))
        except ClusterError as error:
            if growth is None or (self._grown and _places(self._least, self._grown) < workers):
                raise
            self.lack, self.need = str(error), self._least

    def _choose(self, nodes: Sequence[Node], runs: int) -> Need:
        return choose_need(nodes, runs, self._workers, self._gpus, self._grown)

    @property
    def _least(self) -> Need:
        return Need(self._workers, 1, self._gpus)

    def wants(self) -> tuple[list[dict[str, float]], int]:
        """What an autoscaler is to be asked for: the least that one training takes, a mapping a worker; how many times.

        It counts trainings that wait, and no more than the cluster could ever hold beside those that go on.
        """
        worker = {"CPU": 1.0, **({"GPU": self._gpus} if self._gpus else {})}
        count = len(self.waiting)
        if self._grown:
            count = max(0, min(count, _places(self._least, self._grown) // self._workers - len(self.placed)))
        return [worker] * self._workers, count

    def plan(self) -> Plan:
        """What is going to happen to the trainings that wait, if nodes stay as they are."""
        at_once = min(len(self.waiting), _places(self.need, self._nodes) // self._workers)
        return Plan(tuple(self.waiting), at_once, self.need, self._nodes, self.lack)

    def start(self, nodes: Sequence[Node]) -> list[Placed]:
        """Place as many waiting trainings as fit now, longest first; they count as going on from here."""
        if tuple(nodes) != self._nodes:
            self._nodes = tuple(nodes)
            try:
                self.need = self._choose(nodes, len(self.waiting) + len(self.placed))
                self.lack = None
            except ClusterError as error:
                self.lack = str(error)
        if self.lack is not None or not self.waiting:
            return []
        free = self._free(nodes)
        room = sum(free.values())
        started = []
        while self.waiting and room >= self._workers:
            where = []
            missing = self._workers
            while missing:
                # Roomiest first: a gang is split only if no node can hold it, and load is spread over the nodes.
                name = max(free, key=free.__getitem__)
                count = min(missing, free[name])
                where.append((name, count))
                free[name] -= count
                missing -= count
            room -= self._workers
            placed = Placed(self.waiting.pop(0), self.need, tuple(where))
            self.placed[placed.job.key] = placed
            started.append(placed)
        return started

    def _free(self, nodes: Sequence[Node]) -> dict[str, int]:
        """Node → workers that it can still hold."""
        cpus, on_gpus = Counter[str](), Counter[str]()
        for placed in self.placed.values():
            for name, count in placed.where:
                cpus[name] += placed.need.cpus * count
                on_gpus[name] += count
        return {node.name: self.need.places(node, cpus[node.name], on_gpus[node.name]) for node in nodes}

    def end(self, key: str) -> Job:
        """One has ended, well or not: its place is free."""
        return self.placed.pop(key).job

    def move(self, key: str, nodes: Sequence[str]) -> None:
        """The workers of a training turned out to lie on these nodes, one name a worker."""
        self.placed[key] = replace(self.placed[key], where=tuple(Counter(nodes).items()))

    def again(self, job: Job) -> None:
        """One that has ended must be done again, or go on."""
        self.waiting = sorted([job, *self.waiting], key=lambda job: -job.length)
