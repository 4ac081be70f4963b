"""The whole job: shard → train → evaluate → report, and its single steps. Each does only what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from raysuite import provenance
from raysuite.config import Config
from raysuite.datasets.entries import Listing, Source
from raysuite.datasets.layouts import find_all
from raysuite.datasets.shards import Manifest
from raysuite.errors import ConfigError, DatasetError, RunError
from raysuite.forecast import Outlook
from raysuite.locks import owned
from raysuite.pipelines.evaluation import evaluate_all
from raysuite.pipelines.fleet import train_all
from raysuite.pipelines.growth import growth, planner_for
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.lengths import jobs_of
from raysuite.pipelines.outcome import write_metrics
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.reports import report
from raysuite.pipelines.session import cluster_nodes, ray_session, this_machine
from raysuite.pipelines.trials import try_here, try_on_cluster
from raysuite.planning import Planner
from raysuite.runs import Member, Run
from raysuite.settings import for_objective
from raysuite.storage import Location
from raysuite.training.distributed import rows_each
from raysuite.tuning.standing import is_search


@dataclass(frozen=True, slots=True)
class Request:
    """What a command asks for.

    Attributes:
        run: Path or URI of the run folder.
        data: Paths or URIs of the data sets.
        config: All settings.
        layout: Name of their layout, or ``auto``, which finds each one's.
        categories: Only these, whichever data set has them; all if empty.
        seeds: One training each.
        objectives: Kinds of objective, one training each; the config's own if empty.
        workers_per_category: Workers of each training, which share its batches.
        gpu_share: Share of a GPU for each worker, where the cluster has GPUs.
        retries: How often a training that failed is tried again.
        wait_minutes: How long a cluster that can hold no training is given to get nodes.
        address: Of the Ray cluster; None starts Ray here.
        arguments: The command's words, for the provenance.
        worker_logs: Show what workers print.
        oracle: Whether the settings were chosen with the labels of the test images, for the run's files.
    """

    run: str
    data: tuple[str, ...]
    config: Config
    layout: str = "auto"
    categories: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    objectives: tuple[str, ...] = ()
    workers_per_category: int = 1
    gpu_share: float = 1.0
    retries: int = 1
    wait_minutes: float = 10.0
    address: str | None = None
    arguments: tuple[str, ...] = ()
    worker_logs: bool = False
    oracle: bool = False


def train(request: Request, on_event: Listener) -> tuple[Run, list[Member]]:
    """Shard and train; returns the run and the members that failed.

    Raises:
        ConfigError: The run folder belongs to another configuration, or to a search.
        DatasetError: A data set cannot be used, or two have a category of the same name.
        RunError: Another command works on the run folder.
        ClusterError: Ray cannot be reached.
    """
    with at_work(request) as (run, members, listings), ray_session(request.address, worker_logs=request.worker_logs):
        return run, _shard_and_train(request, run, members, listings, on_event)


def plan(request: Request) -> Outlook | None:
    """How `train` and `benchmark` would place what is left to train, and how long that takes; None if nothing is left.

    The plan is for the cluster as it is now, the time by a trial of some seconds on it. Nothing is written. Without an
    address Ray is not started: plan and trial are for this machine, in this process.

    Raises:
        ConfigError: The run folder belongs to another configuration, or to a search.
        DatasetError: A data set cannot be used, or two have a category of the same name.
        ClusterError: Ray cannot be reached, or the cluster can never hold a training.
    """
    listings = find_listings(request)
    _refuse_search(Run.place(request.run))
    run = Run.create(request.run, _sources(listings), request.config, write=False)
    members = _members(run, request, listings)
    todo = [member for member in members if not member.is_trained]
    if not todo:
        return None
    images = Counter(entry.category for one in listings for entry in one.entries if entry.split == "train")
    jobs, workers, share = jobs_of(run, todo, images), request.workers_per_category, request.gpu_share
    if request.address is None:
        return try_here(Planner(jobs, this_machine(), workers, share).plan(), run, todo)
    with ray_session(request.address, worker_logs=request.worker_logs):
        return try_on_cluster(Planner(jobs, cluster_nodes(), workers, share, growth()).plan(), run, todo)


def benchmark(request: Request, on_event: Listener) -> tuple[Run, list[dict[str, Any]]]:
    """Shard, train, evaluate and report; returns the run and the rows of its metrics. Raises as `train` does."""
    with at_work(request) as (run, members, listings):
        with ray_session(request.address, worker_logs=request.worker_logs):
            _shard_and_train(request, run, members, listings, on_event)
            evaluate_all(run, members, on_event)
        return run, report(run, on_event)[0]


def _shard_and_train(
    request: Request, run: Run, members: Sequence[Member], listings: Sequence[Listing], on_event: Listener
) -> list[Member]:
    """On a connected Ray; returns the members that failed."""
    _refuse_what_never_fits(run, members, request, on_event)
    manifest = shard(listings, run.shards, on_event)
    _record(run, request, manifest)
    return train_all(
        run, members, on_event, request.workers_per_category, request.gpu_share, request.retries, request.wait_minutes
    )


def evaluate(where: str, address: str | None, on_event: Listener, *, worker_logs: bool) -> list[dict[str, Any]]:
    """Evaluate what is trained in a run folder; returns the rows of its metrics.

    Raises:
        RunError: There is no run folder, nothing in it is trained, or another command works on it.
        ClusterError: Ray cannot be reached.
    """
    run = Run.open(where)
    if is_search(run.root):
        raise RunError(
            f"{where} is the folder of a search: what it retrained lies in {where}/final, a run folder each, and is "
            "evaluated"
        )
    members = run.members()
    if not any(member.is_trained for member in members):
        raise RunError(f"nothing is trained in {where}; run raysuite train or raysuite benchmark first")
    with owned(run.root):
        if any(member.is_trained and not member.is_evaluated for member in members):
            with ray_session(address, worker_logs=worker_logs):
                evaluate_all(run, members, on_event)
        return write_metrics(run)


@contextmanager
def at_work(request: Request) -> Iterator[tuple[Run, list[Member], tuple[Listing, ...]]]:
    """The run, its members and the images of its data sets, for the only driver at work on the run folder.

    What can be refused without Ray is refused here. The folder is owned before it is looked into or written to: of two
    commands that find none there, one makes it and the other is told so.

    Raises:
        ConfigError: The run folder belongs to another configuration, or to a search.
        DatasetError: A data set cannot be used, or two have a category of the same name.
        RunError: The folder holds something else, or another command works on it.
    """
    listings = find_listings(request)
    with owned(place := Run.place(request.run)):
        _refuse_search(place)
        run = Run.create(request.run, _sources(listings), request.config, oracle=request.oracle)
        yield run, _members(run, request, listings), listings


def find_listings(request: Request) -> tuple[Listing, ...]:
    """The images of a command's data sets; what can be refused without a look at the run folder is refused here.

    Raises:
        ConfigError: An objective cannot be had with the other settings.
        DatasetError: A data set cannot be used, or two have a category of the same name.
    """
    listings = find_all([Location.of(one) for one in request.data], request.layout, request.categories)
    for listing in listings:
        for category in listing.categories:
            if category == "shards" or category.startswith("."):
                raise DatasetError(
                    f"{listing.root}: a run folder has no place for a category named {category!r}: rename it"
                )
    rows_each(request.config.training.batch_size, request.workers_per_category)
    for kind in request.objectives:
        if kind != request.config.objective.kind:
            for_objective(request.config, kind)
    return listings


def _refuse_search(root: Location) -> None:
    """Its settings are those that it starts from, so that a run may seem to be one that was begun here."""
    if is_search(root):
        raise ConfigError(f"{root} is the folder of a search (raysuite tune), not of a run; take another --run folder")


def _sources(listings: Sequence[Listing]) -> list[Source]:
    return [listing.source for listing in listings]


def _members(run: Run, request: Request, listings: Sequence[Listing]) -> list[Member]:
    objectives = request.objectives or (run.config.objective.kind,)
    return [
        run.member(category, seed, kind)
        for listing in listings for category in listing.categories for seed in request.seeds for kind in objectives
    ]  # fmt: skip


def _refuse_what_never_fits(run: Run, members: Sequence[Member], request: Request, on_event: Listener) -> None:
    """Before the images are sharded, which takes long."""

    def tell(words: str) -> None:
        on_event(Event("train", "", 0, 0, words))

    if todo := [member for member in members if not member.is_trained]:
        planner_for(jobs_of(run, todo, {}), request.workers_per_category, request.gpu_share, tell)


def _record(run: Run, request: Request, manifest: Manifest) -> None:
    data = {
        "fingerprint": manifest.fingerprint, "data_sets": manifest.data_sets, "categories": manifest.categories
    }  # fmt: skip
    objectives = request.objectives or (run.config.objective.kind,)
    provenance.record(
        run.root, arguments=request.arguments, data=data, seeds=request.seeds, objectives=objectives,
        oracle=request.oracle,
    )  # fmt: skip
