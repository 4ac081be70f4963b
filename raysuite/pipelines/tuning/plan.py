"""What a search is asked for, and what it is going to do: space, trials, rungs, and what the cluster can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from raysuite.config import Config
from raysuite.datasets.entries import Listing
from raysuite.errors import ClusterError, ConfigError, RunError
from raysuite.pipelines import benchmark
from raysuite.pipelines.lengths import length
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.sampling import Values, grid
from raysuite.pipelines.tuning.search import first_rung, rungs_of
from raysuite.planning import Growth, Job, Need, Node, Planner
from raysuite.runs import Run
from raysuite.settings import text_of
from raysuite.storage import Location
from raysuite.tuning.builtin import SPACES, builtin
from raysuite.tuning.keys import flat
from raysuite.tuning.space import Space
from raysuite.tuning.spacefile import space_from_yaml
from raysuite.tuning.trials import read_trials

TRIALS = 30
MANY_TRIALS = 1000
"""If there is a time budget, which then decides."""

WARM = 3
"""So many of the best trials of each category of an earlier search are tried first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a command asks for.

    Attributes:
        run: Path or URI of the search's folder.
        data: Paths or URIs of the data sets.
        config: What the search starts from; what is fixed is fixed in it.
        spaces: Names of built-in spaces, or YAML files; joined, the later ones win.
        fixed: Keys that are not searched.
        layout: Name of the data sets' layout, or ``auto``.
        categories: Only these; all if empty.
        per_category: Search for each category by itself, and not for settings to share.
        search: One of `raysuite.pipelines.tuning.sampling.SEARCHES`.
        early_stopping: Whether ASHA stops trials that others leave behind.
        minimise: ``latency_ms`` or ``parameters``, to be searched for beside the score.
        oracle: Score trials on the test images, with their labels.
        from_oracle: Whether what the search starts from was chosen with the labels of test images.
        trials: How many, of each category with `per_category`; ``None`` for `TRIALS`, or as many as there is time for.
        time_budget: Seconds for the search, without what follows; ``None`` for no limit.
        max_concurrent: Trials at once; ``None`` for as many as fit.
        first_rung: Steps after which trials are first scored; ``None`` for those of
            `raysuite.pipelines.tuning.search.first_rung`.
        trial_timeout: Seconds that a trial may take from one rung to the next; ``None`` for no limit.
        seed: Of the search; other seeds have other families of defects judge.
        warm_start: Folders of earlier searches, whose best trials are tried first.
        final_seeds: Fresh seeds that winner and default are retrained with; 0 for no verdict.
        gpu_share: Share of a GPU for each trial and training, where there are GPUs.
        address: Of the Ray cluster; ``None`` starts Ray here.
        arguments: The command's words, for the provenance.
        worker_logs: Show what workers print.
    """

    run: str
    data: tuple[str, ...]
    config: Config
    spaces: tuple[str, ...] = ("corruption",)
    fixed: tuple[str, ...] = ()
    layout: str = "auto"
    categories: tuple[str, ...] = ()
    per_category: bool = False
    search: str = "tpe"
    early_stopping: bool = True
    minimise: str | None = None
    oracle: bool = False
    from_oracle: bool = False
    trials: int | None = None
    time_budget: float | None = None
    max_concurrent: int | None = None
    first_rung: int | None = None
    trial_timeout: float | None = None
    seed: int = 0
    warm_start: tuple[str, ...] = ()
    final_seeds: int = 3
    gpu_share: float = 1.0
    address: str | None = None
    arguments: tuple[str, ...] = ()
    worker_logs: bool = False

    def __post_init__(self) -> None:
        if self.minimise and self.search != "tpe":
            raise ConfigError(f"--minimise is for --search tpe; a {self.search} search goes for nothing")
        if self.from_oracle and not self.oracle:
            # Else the default that all is measured against knows the test images, and with it whatever comes of it.
            raise ConfigError(
                "--config has settings that were chosen with the labels of test images (oracle: true), which a search "
                "by good images must not start from: take other settings, or --objective oracle"
            )

    @property
    def objective(self) -> str:
        """What trials are scored by: ``good`` images alone, or the labels of the test images, as an ``oracle``."""
        return "oracle" if self.oracle else "good"

    @property
    def most_trials(self) -> int:
        """Trials of each search."""
        return self.trials or (TRIALS if self.time_budget is None else MANY_TRIALS)

    @property
    def at_once(self) -> int:
        """Trials that it could do with at the same time."""
        return min(self.max_concurrent or self.most_trials, self.most_trials)

    def as_benchmark(self) -> benchmark.Request:
        """What a benchmark of the same images on the same cluster is asked for."""
        return benchmark.Request(
            run=self.run, data=self.data, config=self.config, layout=self.layout,
            categories=self.categories, gpu_share=self.gpu_share, arguments=self.arguments,
            worker_logs=self.worker_logs, address=self.address, oracle=self.from_oracle,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command is going to do.

    Attributes:
        space: What is searched.
        groups: Categories of each search.
        rungs: Steps after which trials are scored.
        objective: ``good`` or ``oracle``.
        trials: Of each search.
        first: Values that are tried first.
        need: What a trial takes.
        at_once: How many go on at the same time.
        lack: Why none can begin on the nodes of this moment; ``None`` if one can.
    """

    space: Space
    groups: tuple[tuple[str, ...], ...]
    rungs: tuple[int, ...]
    objective: str
    trials: int
    first: tuple[Values, ...]
    need: Need
    at_once: int
    lack: str | None

    def as_mapping(self) -> dict[str, Any]:
        """The plan for machines."""
        return {
            "space": self.space.as_mapping(),
            "searches": [list(group) for group in self.groups],
            "objective": self.objective,
            "trials_each": self.trials,
            "rungs": list(self.rungs),
            "first": [dict(values) for values in self.first],
            "each": asdict(self.need),
            "at_once": self.at_once,
            "lack": self.lack,
            # Without early stopping, for which there is no more than this bound.
            "steps_at_most": self.trials * self.rungs[-1] * sum(map(len, self.groups)),
        }


def space_of(request: Request) -> Space:
    """The space that is searched.

    Raises:
        ConfigError: It cannot be searched from the settings to start from.
    """
    space = Space(())
    for name in request.spaces:
        if name in SPACES or not Location.of(name).is_file():
            space = space.joined(builtin(name, request.config))
        else:
            space = space.joined(space_from_yaml(text_of(name), name))
    return space.validated(request.config, request.fixed)


def rungs_for(request: Request) -> tuple[int, ...]:
    """Steps after which trials are scored.

    Raises:
        ConfigError: The first is behind the end.
    """
    steps = request.config.training.steps
    first = request.first_rung or first_rung(steps)
    if first > steps:
        raise ConfigError(f"--first-rung is {first}, but trials have {steps} steps (training.steps)")
    return rungs_of(steps, first)


def plan_of(
    request: Request,
    listings: Sequence[Listing],
    nodes: Sequence[Node],
    may_become: Growth | None,
    noted: Sequence[Values] | None,
) -> Plan:
    """What a command would do.

    Args:
        request: The command.
        listings: The images of its data sets.
        nodes: The cluster.
        may_become: What it may become, if it grows by itself.
        noted: What the search tries first, if it was begun before: an earlier one that this is from may have gone on.

    Raises:
        ConfigError: Space or settings cannot be used, or an earlier search knows labels that this one must not.
        RunError: An earlier search has nothing to start from.
        ClusterError: The cluster could never hold so many trials at once.
    """
    space = space_of(request)
    # Data sets may be named in any order.
    categories = tuple(sorted(category for listing in listings for category in listing.categories))
    first = _first(request, space) if noted is None else noted
    trials = request.most_trials
    if request.search == "grid":
        trials = len(grid(space, first, trials))
    need, at_once, lack = resources(request, nodes, may_become)
    groups = tuple((category,) for category in categories) if request.per_category else (categories,)
    return Plan(space, groups, rungs_for(request), request.objective, trials, tuple(first), need, at_once, lack)


def resources(request: Request, nodes: Sequence[Node], may_become: Growth | None) -> tuple[Need, int, str | None]:
    """What a trial takes, how many go on at once, and why none can begin yet; ``None`` if one can.

    Raises:
        ClusterError: The cluster could never hold so many trials at once.
    """
    planner = Planner(jobs_of(request), nodes, 1, request.gpu_share, may_become)
    need, asked = planner.need, request.max_concurrent
    least = Need(1, 1, need.gpus)
    most = sum(least.places(node) for node in (may_become.nodes if may_become and may_become.nodes else nodes))
    if asked is not None and asked > most and (may_become is None or may_become.nodes):
        cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
        take = f"{asked * least.gpus:g} GPUs and {asked} CPUs" if least.gpus else f"{asked} CPUs"
        has = f"{gpus} GPUs and {cpus} CPUs" if least.gpus else f"{cpus} CPUs"
        grown = f" and could hold {most} if it grew" if may_become and may_become.nodes else f", which hold {most}"
        raise ClusterError(
            f"{asked} trials at once take {take}, the cluster has {has}{grown}: lower --max-concurrent"
            + (" or --gpu-share" if least.gpus else "")
        )
    fit = sum(need.places(node) for node in nodes)
    # A cluster that grows by itself is asked for all, and gets its nodes as they are wanted.
    return need, request.at_once if may_become is not None else min(request.at_once, max(1, fit)), planner.lack


def jobs_of(request: Request) -> list[Job]:
    """The trials that it could do with at the same time, for the planner."""
    effort = length(request.config, 0)
    return [Job(str(index), effort) for index in range(request.at_once)]


def _first(request: Request, space: Space) -> list[Values]:
    """The start's own values, then the best of earlier searches as far as the space has them."""
    first: list[Values] = [space.default_of(request.config)]
    for where in request.warm_start:
        folder = SearchFolder(Run.open(where))
        records = [record for record in read_trials(folder.rows) if record.reached is not None]
        if not records:
            raise RunError(f"{where} has no trial with a score to start from")
        # Rows of older versions do not say by what they are scored.
        if not request.oracle and "oracle" in {record.objective or folder.objective for record in records}:
            raise ConfigError(
                f"--warm-start {where} is a search by the labels of test images, whose best trials a search by good "
                "images must not try: take another --warm-start, or --objective oracle"
            )
        ranked = sorted(records, key=lambda record: record.reached or (0, 0.0), reverse=True)
        for category in dict.fromkeys(record.category for record in ranked):
            best = [record for record in ranked if record.category == category][:WARM]
            for record in best:
                values = space.inside(flat(record.as_config()))
                if values and values not in first:
                    first.append(values)
    return first
