"""The whole job: shard → train → evaluate → report, and its single steps. Each does only what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from raysuite import provenance
from raysuite.config import Config
from raysuite.datasets.entries import Listing
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.shards import Manifest
from raysuite.errors import DatasetError, RunError
from raysuite.locks import owned
from raysuite.pipelines.evaluation import evaluate_all
from raysuite.pipelines.fleet import train_all
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.lengths import jobs_of
from raysuite.pipelines.outcome import write_metrics
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.session import cluster_nodes, ray_session, this_machine
from raysuite.planning import Plan, Planner
from raysuite.reporting.page import write_report
from raysuite.reporting.tables import write_markdown
from raysuite.runs import Member, Run
from raysuite.settings import for_objective
from raysuite.storage import Location
from raysuite.training.distributed import rows_each


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks for.

    Attributes:
        run: Path or URI of the run folder.
        data: Path or URI of the data set.
        config: All settings.
        layout: Name of the data set's layout, or ``auto``.
        categories: Only these; all if empty.
        seeds: One training each.
        objectives: Kinds of objective, one training each; the config's own if empty.
        workers_per_category: Workers of each training, which share its batches.
        gpu_share: Share of a GPU for each worker, where the cluster has GPUs.
        retries: How often a training that failed is tried again.
        address: Of the Ray cluster; None starts Ray here.
        arguments: The command's words, for the provenance.
        worker_logs: Show what workers print.
    """

    run: str
    data: str
    config: Config
    layout: str = "auto"
    categories: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    objectives: tuple[str, ...] = ()
    workers_per_category: int = 1
    gpu_share: float = 1.0
    retries: int = 1
    address: str | None = None
    arguments: tuple[str, ...] = ()
    worker_logs: bool = False


def train(request: Request, on_event: Listener) -> tuple[Run, list[Member]]:
    """Shard and train; returns the run and the members that failed.

    Raises:
        ConfigError: The run folder belongs to another configuration.
        DatasetError: The data set cannot be used.
        RunError: Another command works on the run folder.
        ClusterError: Ray cannot be reached.
    """
    run, members, listing = _prepare(request)
    with owned(run.root), ray_session(request.address, worker_logs=request.worker_logs):
        _refuse_what_never_fits(run, members, request)
        manifest = shard(listing, run.shards, on_event)
        _record(run, request, manifest)
        failed = train_all(run, members, on_event, request.workers_per_category, request.gpu_share, request.retries)
        return run, failed


def plan(request: Request) -> Plan | None:
    """How `train` and `benchmark` would place what is left to train, on the cluster as it is now; None if nothing is.

    Nothing is written, and nothing trained. Without an address Ray is not started: the plan is for this machine.

    Raises:
        ConfigError: The run folder belongs to another configuration.
        DatasetError: The data set cannot be used.
        ClusterError: Ray cannot be reached, or the cluster can never hold a training.
    """
    run, members, listing = _prepare(request, write=False)
    todo = [member for member in members if not member.is_trained]
    if not todo:
        return None
    if request.address is None:
        nodes = this_machine()
    else:
        with ray_session(request.address, worker_logs=request.worker_logs):
            nodes = cluster_nodes()
    images = Counter(entry.category for entry in listing.entries if entry.split == "train")
    return Planner(jobs_of(run, todo, images), nodes, request.workers_per_category, request.gpu_share).plan()


def benchmark(request: Request, on_event: Listener) -> tuple[Run, list[dict[str, Any]]]:
    """Shard, train, evaluate and report; returns the run and the rows of its metrics. Raises as `train` does."""
    run, members, listing = _prepare(request)
    with owned(run.root), ray_session(request.address, worker_logs=request.worker_logs):
        _refuse_what_never_fits(run, members, request)
        manifest = shard(listing, run.shards, on_event)
        _record(run, request, manifest)
        train_all(run, members, on_event, request.workers_per_category, request.gpu_share, request.retries)
        evaluate_all(run, members, on_event)
    return run, report(run, on_event)


def evaluate(where: str, address: str | None, on_event: Listener, *, worker_logs: bool) -> list[dict[str, Any]]:
    """Evaluate what is trained in a run folder; returns the rows of its metrics.

    Raises:
        RunError: There is no run folder, nothing in it is trained, or another command works on it.
        ClusterError: Ray cannot be reached.
    """
    run = Run.open(where)
    members = run.members()
    if not any(member.is_trained for member in members):
        raise RunError(f"nothing is trained in {where}; run raysuite train or raysuite benchmark first")
    with owned(run.root):
        if any(member.is_trained and not member.is_evaluated for member in members):
            with ray_session(address, worker_logs=worker_logs):
                evaluate_all(run, members, on_event)
        return write_metrics(run)


def report(run: Run, on_event: Listener) -> list[dict[str, Any]]:
    """Gather the metrics and write ``report.html`` and ``metrics.md``; returns the rows of the metrics."""
    rows = write_metrics(run)
    write_markdown(run.root)
    page = write_report(run.root)
    on_event(Event("report", "", 1, 1, str(page), "done"))
    return rows


def _prepare(request: Request, *, write: bool = True) -> tuple[Run, list[Member], Listing]:
    """Everything that can be refused is refused here, before Ray is started and before anything is written."""
    listing = find_entries(Location.of(request.data), request.layout, request.categories)
    for category in listing.categories:
        if category == "shards" or category.startswith("."):
            raise DatasetError(
                f"{request.data}: a run folder has no place for a category named {category!r}: rename it"
            )
    rows_each(request.config.training.batch_size, request.workers_per_category)
    own = request.config.objective.kind
    objectives = request.objectives or (own,)
    for kind in objectives:
        if kind != own:
            for_objective(request.config, kind)
    run = Run.create(request.run, str(listing.root), listing.layout, request.config, write=write)
    members = [
        run.member(category, seed, kind)
        for category in listing.categories for seed in request.seeds for kind in objectives
    ]  # fmt: skip
    return run, members, listing


def _refuse_what_never_fits(run: Run, members: Sequence[Member], request: Request) -> None:
    """Before the images are sharded, which takes long."""
    if todo := [member for member in members if not member.is_trained]:
        Planner(jobs_of(run, todo, {}), cluster_nodes(), request.workers_per_category, request.gpu_share)


def _record(run: Run, request: Request, manifest: Manifest) -> None:
    data = {"fingerprint": manifest.fingerprint, "layout": manifest.layout, "categories": manifest.categories}
    objectives = request.objectives or (run.config.objective.kind,)
    provenance.record(run.root, arguments=request.arguments, data=data, seeds=request.seeds, objectives=objectives)
