"""What a cluster is and whether raysuite can work on it: every node is asked, by a task that runs there."""

from __future__ import annotations

import platform
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raysuite import __version__
from raysuite.datasets.entries import Listing
from raysuite.datasets.layouts import find_all
from raysuite.errors import ClusterError, StorageError
from raysuite.pipelines.growth import growth
from raysuite.pipelines.session import cluster_nodes, ray_session
from raysuite.planning import Job, Planner
from raysuite.probing import Probe
from raysuite.storage import Location

ANSWER_SECONDS = 60.0
"""How long a node may take to start a process and to answer."""

ROUND_TRIPS = 5


@dataclass(frozen=True, slots=True)
class Wish:
    """Trainings whose place on the cluster is asked for.

    Attributes:
        data: Paths or URIs of their data sets.
        layout: Name of their layout, or ``auto``.
        seeds: Trainings of each category.
        workers: Workers of each training.
        gpu_share: Share of a GPU for each worker, where the cluster has GPUs.
    """

    data: tuple[str, ...]
    layout: str = "auto"
    seeds: int = 1
    workers: int = 1
    gpu_share: float = 1.0


@dataclass(frozen=True, slots=True)
class NodeReport:
    """A node, and what a task on it found.

    Attributes:
        node: Ray's id of it.
        host: Its host name.
        address: Its IP address.
        is_head: Whether it is the head.
        cpus: CPUs that it offers.
        gpus: GPUs that it offers.
        models: Ray's names of their models.
        memory: Bytes that tasks may ask for.
        object_store: Bytes of its object store.
        versions: Of ``python``, ``ray`` and ``raysuite`` there; empty if it did not answer.
        round_trip_ms: Time from asking for an empty task there to having its answer, the median of `ROUND_TRIPS`;
            milliseconds.
        storage_ms: Folder → how long the probe of it took there, milliseconds; those alone where it went well.
    """

    node: str
    host: str
    address: str
    is_head: bool
    cpus: float
    gpus: float
    models: tuple[str, ...]
    memory: int
    object_store: int
    versions: Mapping[str, str]
    round_trip_ms: float | None
    storage_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Report:
    """A cluster.

    Attributes:
        nodes: Its nodes, the head first.
        versions: Of ``python``, ``ray`` and ``raysuite`` where the command was given.
        plan: The plan of the trainings asked for, in words; None if none were.
        problems: What is wrong, a sentence each.
    """

    nodes: tuple[NodeReport, ...]
    versions: Mapping[str, str]
    plan: str | None
    problems: tuple[str, ...]

    def as_mapping(self) -> dict[str, Any]:
        """The report for machines."""
        return asdict(self)


def check(
    address: str | None, storage: Sequence[str] = (), wish: Wish | None = None, *, worker_logs: bool = False
) -> Report:
    """Look at every node of a cluster.

    Args:
        address: The cluster's address; None starts Ray on this machine.
        storage: Folders that every node must be able to read and write, paths or URIs.
        wish: Trainings whose place is asked for.
        worker_logs: Show what workers print.

    Raises:
        ClusterError: The cluster cannot be reached.
        DatasetError: The wish's data cannot be used.
    """
    listings = find_all([Location.of(one) for one in wish.data], wish.layout) if wish else ()
    with ray_session(address, worker_logs=worker_logs):
        problems: list[str] = []
        probes = []
        try:
            for folder in dict.fromkeys(storage):
                try:
                    probes.append(Probe.begin(folder))
                except StorageError as error:
                    problems.append(f"storage, where the command was given: {error}")
            nodes = _nodes(probes, problems)
        finally:
            for probe in probes:
                probe.end()
        plan = _plan(wish, listings, problems) if wish else None
    mine = versions()
    return Report(nodes, mine, plan, (*differing(mine, nodes), *problems))


def versions() -> dict[str, str]:
    """The versions here of what must be the same everywhere; of Python the minor one."""
    minor = ".".join(platform.python_version_tuple()[:2])
    return {"python": minor, "ray": metadata.version("ray"), "raysuite": __version__}


def differing(mine: Mapping[str, str], nodes: Sequence[NodeReport]) -> list[str]:
    """A sentence for each node that answered and has another version of something."""
    said = []
    for node in nodes:
        there = node.versions
        other = [f"{name} {there[name]}, not {mine[name]}" for name in mine if there and there[name] != mine[name]]
        if other:
            said.append(
                f"node {_title(node.host, node.address)} has {' and '.join(other)} as here; install the same on all"
            )
    return said


def _title(host: str, address: str) -> str:
    return f"{host} ({address})"


def _nodes(probes: Sequence[Probe], problems: list[str]) -> tuple[NodeReport, ...]:
    """Ask all nodes at once, then time each by itself."""
    alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    alive.sort(key=lambda node: ("node:__internal_head__" not in node["Resources"], node["NodeManagerHostname"]))
    asked = {node["NodeID"]: _on(node["NodeID"], _answer).remote(probes, node["NodeID"]) for node in alive}
    ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_SECONDS)
    reports = []
    for node in alive:
        name, resources = node["NodeID"], node["Resources"]
        host = _title(node["NodeManagerHostname"], node["NodeManagerAddress"])
        answer, trip = _Answer(), None
        try:
            answer = ray.get(asked[name], timeout=0)
            trip = _round_trip(name)
        except ray.exceptions.GetTimeoutError:
            problems.append(
                f"node {host} started no process within {ANSWER_SECONDS:g} seconds; look at the logs there, below "
                "/tmp/ray/session_latest/logs"  # noqa: S108 -- where Ray puts them
            )
        except (ray.exceptions.RayError, RuntimeError) as error:
            problems.append(f"node {host} cannot run raysuite: {_last_line(error)}")
        problems += [f"storage, on node {host}: {words}" for words in answer.refused]
        reports.append(
            NodeReport(
                node=name,
                host=node["NodeManagerHostname"],
                address=node["NodeManagerAddress"],
                is_head="node:__internal_head__" in resources,
                cpus=resources.get("CPU", 0.0),
                gpus=resources.get("GPU", 0.0),
                models=tuple(sorted(one.partition(":")[2] for one in resources if one.startswith("accelerator_type:"))),
                memory=int(resources.get("memory", 0)),
                object_store=int(resources.get("object_store_memory", 0)),
                versions=answer.versions,
                round_trip_ms=trip,
                storage_ms=answer.storage_ms,
            )
        )
    return tuple(reports)


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a node says of itself."""

    versions: Mapping[str, str] = field(default_factory=dict)
    storage_ms: Mapping[str, float] = field(default_factory=dict)
    refused: tuple[str, ...] = ()


def _answer(probes: Sequence[Probe], node: str) -> _Answer:
    """Runs on the node."""
    took, refused = {}, []
    for probe in probes:
        began = time.perf_counter()
        try:
            probe.look(node)
            took[probe.uri] = round(1000 * (time.perf_counter() - began), 1)
        except StorageError as error:
            refused.append(str(error))
    return _Answer(versions(), took, tuple(refused))


def _nothing() -> None:
    """Runs on the node, to be timed."""


def _round_trip(node: str) -> float:
    task = _on(node, _nothing)
    ray.get(task.remote(), timeout=ANSWER_SECONDS)
    took = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        ray.get(task.remote(), timeout=ANSWER_SECONDS)
        took.append(1000 * (time.perf_counter() - began))
    return round(statistics.median(took), 1)


def _on(node: str, function: Any) -> Any:
    """The function as a task that runs on this node or not at all, whether it has a CPU free or not."""
    here = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=here)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def _plan(wish: Wish, listings: Sequence[Listing], problems: list[str]) -> str:
    """The plan of the wish in words; what can never be placed is a problem."""
    images = Counter(entry.category for one in listings for entry in one.entries if entry.split == "train")
    jobs = [
        Job(f"{category}/{seed}", images[category])
        for one in listings for category in one.categories for seed in range(wish.seeds)
    ]  # fmt: skip
    try:
        return Planner(jobs, cluster_nodes(), wish.workers, wish.gpu_share, growth()).plan().sentence()
    except ClusterError as error:
        problems.append(f"the plan: {error}")
        return f"{len(jobs)} training{'s' if len(jobs) != 1 else ''}, none of which fits"
