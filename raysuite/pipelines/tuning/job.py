"""The whole of ``raysuite tune``: shard → search → retrain → verdict → report. Each step does only what is missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from raysuite import provenance
from raysuite.credentials import concealed
from raysuite.datasets.entries import Listing
from raysuite.errors import RunError
from raysuite.locks import owned
from raysuite.pipelines import benchmark
from raysuite.pipelines.growth import growth, planner_for
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.session import cluster_nodes, ray_session, this_machine
from raysuite.pipelines.tuning import outcome as outcomes
from raysuite.pipelines.tuning.finals import retrain, test_trials
from raysuite.pipelines.tuning.folder import SearchFolder, check_no_other_run
from raysuite.pipelines.tuning.outcome import Outcome
from raysuite.pipelines.tuning.plan import Plan, Request, jobs_of, plan_of, rungs_for, space_of
from raysuite.pipelines.tuning.search import Manner, search
from raysuite.pipelines.tuning.trial import Brief
from raysuite.reporting.search import markdown
from raysuite.reporting.search_page import write_search_report
from raysuite.runs import Run, mapping_in
from raysuite.storage import Location
from raysuite.tuning.families import rotated
from raysuite.tuning.trials import TrialRecord, as_table, read_trials


def plan(request: Request) -> Plan:
    """What `tune` would do; nothing is written, and without an address Ray is not started.

    Raises:
        ConfigError: Space or settings cannot be used, or the folder belongs to another search or run.
        DatasetError: A data set cannot be used.
        ClusterError: Ray cannot be reached, or can never hold so many trials at once.
    """
    listings = benchmark.find_listings(request.as_benchmark())
    folder = _there(request, listings)
    first = folder.first()
    if request.address is None:
        planned = plan_of(request, listings, this_machine(), None, first)
    else:
        with ray_session(request.address, worker_logs=request.worker_logs):
            planned = plan_of(request, listings, cluster_nodes(), growth(), first)
    folder.check(_card(request, planned))
    return planned


def tune(request: Request, on_event: Listener = lambda _: None) -> tuple[SearchFolder, dict[str, Any]]:
    """Search, retrain and judge; returns the folder and what stands in its ``summary.json``.

    Raises:
        ConfigError: Space or settings cannot be used, or the folder belongs to another search or run.
        DatasetError: A data set cannot be used.
        RunError: Another command works on the folder, or no trial came to a score.
        ClusterError: Ray cannot be reached, or can never hold so many trials at once.
    """
    listings = benchmark.find_listings(request.as_benchmark())
    # What can be refused without the cluster is refused before anything is written.
    space_of(request)
    rungs_for(request)
    with ExitStack() as stack:
        stack.enter_context(owned(Run.place(request.run)))
        first = _there(request, listings).first()
        stack.enter_context(ray_session(request.address, worker_logs=request.worker_logs))
        planned = plan_of(request, listings, cluster_nodes(), growth(), first)
        if planned.lack is not None:
            planner_for(jobs_of(request), 1, request.gpu_share)  # asks a cluster that grows whether it ever could
        sources = [listing.source for listing in listings]
        run = Run.create(request.run, sources, request.config, oracle=request.from_oracle)
        folder = SearchFolder(run)
        folder.claim(_card(request, planned), planned.first)
        planned = replace(planned, first=tuple(folder.first() or ()))
        # With time alone to end it there is no number of trials that anybody means to reach.
        asked = planned.trials if request.trials or request.time_budget is None else None
        folder.note_plan({**planned.as_mapping(), "trials_each": asked, "time_budget": request.time_budget})
        manifest = shard(listings, run.shards, on_event)
        data = {
            "fingerprint": manifest.fingerprint, "data_sets": manifest.data_sets, "categories": manifest.categories
        }  # fmt: skip
        provenance.record(
            run.root, arguments=request.arguments, data=data, seeds=(request.seed,),
            objectives=(request.config.objective.kind,), oracle=request.from_oracle,
        )  # fmt: skip
        briefs = [_brief(request, run, planned, group) for group in planned.groups]
        for index, brief in enumerate(briefs):
            left = _time_left(request, folder, briefs, index)
            _search(request, folder, brief, planned, left, on_event)
        return folder, _conclude(request, folder, briefs, planned, on_event)


def _there(request: Request, listings: Sequence[Listing]) -> SearchFolder:
    """The folder as it is or would be; nothing is written. Raises if it is another run's, or of other settings."""
    sources = [listing.source for listing in listings]
    # Before its settings are compared, which would tell of the lesser fault.
    check_no_other_run(Run.place(request.run))
    return SearchFolder(Run.create(request.run, sources, request.config, write=False))


def _time_left(request: Request, folder: SearchFolder, briefs: Sequence[Brief], index: int) -> float | None:
    """Of the budget for one of several searches, which come one after the other: each fills the cluster.

    They share what those before them have left over. What a search has spent before it was stopped counts for its own
    share, or it would go on with that of the others.
    """
    if request.time_budget is None:
        return None
    before = sum(folder.spent(brief.categories) for brief in briefs[:index])
    return (request.time_budget - before) / (len(briefs) - index) - folder.spent(briefs[index].categories)


def _search(
    request: Request, folder: SearchFolder, brief: Brief, planned: Plan, left: float | None, on_event: Listener
) -> None:
    manner = Manner(
        request.search, request.early_stopping, request.minimise, planned.trials, left, planned.at_once, planned.need
    )
    subject = f" on {brief.categories[0]}" if request.per_category else ""
    text = f"up to {planned.trials} trials{subject}, {planned.at_once} at once, {planned.need.words()} each"
    if request.oracle:
        text += "; ORACLE: scored with the labels of the test images"
    on_event(Event("tune", "", 0, planned.trials, text))
    search(folder, brief, manner, planned.first, on_event)


def _conclude(
    request: Request, folder: SearchFolder, briefs: Sequence[Brief], planned: Plan, on_event: Listener
) -> dict[str, Any]:
    records = read_trials(folder.rows)
    root = folder.run.root
    (root / "trials.parquet").write_table(as_table(records))
    found, lacking = list[Outcome](), list[RunError]()
    for brief in briefs:
        try:
            found.append(Outcome(brief, records))
        except RunError as error:
            lacking.append(error)
    if not found:
        raise lacking[0]
    for one in found:
        _best_file(request, folder, one).write_text(outcomes.best_yaml(one))
    tested = test_trials(folder, briefs[0], records, planned.need, on_event)
    card = {
        "format": 1,
        "oracle": request.oracle,
        "preset": request.config.preset,
        "search": request.search,
        "early_stopping": request.early_stopping,
        "minimise": request.minimise,
        "per_category": request.per_category,
        "seed": request.seed,
        "families": asdict(rotated(request.seed)),
        **planned.as_mapping(),
        "states": outcomes.states(records, together=not request.per_category),
        "failures": outcomes.failures(records),
        "without": [str(error) for error in lacking],
        "spent_seconds": folder.spent(),
        "trial_seconds": sum(record.seconds for record in records),
        "training_seconds": sum(training_seconds(folder, record) for record in records),
        "trained_steps": sum(record.steps for record in records),
        "outcomes": [
            {"file": _best_file(request, folder, one).name, **one.as_mapping()} for one in found
        ],
        "correlations": outcomes.correlations(records, tested, planned.rungs),
        "final": _finals(request, folder, found, on_event),
    }  # fmt: skip
    text = json.dumps(card, indent=2, ensure_ascii=False)
    (root / "summary.json").write_text(text + "\n")
    summary: dict[str, Any] = json.loads(text)
    (root / "summary.md").write_text(markdown(summary))
    write_search_report(root)
    on_event(Event("report", "", 1, 1, str(root / "report.html"), "done"))
    return summary


def _finals(
    request: Request, folder: SearchFolder, found: Iterable[Outcome], on_event: Listener
) -> dict[str, Any] | None:
    """The verdict, by trainings with seeds that the search has not seen."""
    seeds = tuple(range(request.seed + 1, request.seed + 1 + request.final_seeds))
    better = [one for one in found if not one.is_default]
    if not seeds or not better:
        return None
    asked = replace(request.as_benchmark(), seeds=seeds)
    winners: list[dict[str, Any]] = []
    for one in better:
        # A search that goes on later may find another one.
        name = f"trial-{one.winner}" + (f"-{one.brief.categories[0]}" if request.per_category else "")
        winners += retrain(
            folder, name, one.config, one.brief.categories, replace(asked, oracle=request.oracle), on_event
        )
    categories = [category for one in better for category in one.brief.categories]
    default = retrain(folder, "default", request.config, categories, asked, on_event)
    return {
        "seeds": list(seeds),
        "verdicts": outcomes.verdicts(winners, default),
        "rows": [
            {"settings": name, **{key: row.get(key) for key in ("category", "seed", *outcomes.JUDGED)}}
            for name, rows in (("winner", winners), ("default", default)) for row in rows
        ],
        "failed": [
            {"settings": name, "category": row["category"], "seed": row["seed"], "reason": row["reason"]}
            for name, rows in (("winner", winners), ("default", default)) for row in rows if row["status"] != "done"
        ],
    }  # fmt: skip


def _best_file(request: Request, folder: SearchFolder, one: Outcome) -> Location:
    name = f"best-{one.brief.categories[0]}.yaml" if request.per_category else "best.yaml"
    return folder.run.root / name


def training_seconds(folder: SearchFolder, record: TrialRecord) -> float:
    """Of a trial in training steps alone, up to its last checkpoint."""
    card = mapping_in(folder.work(record.number, record.category) / "checkpoint" / "checkpoint.json")
    return 0.0 if card is None else float(card["state"]["seconds"])


def _card(request: Request, planned: Plan) -> dict[str, Any]:
    """What makes a search another one. How many trials, how long and how many at once may change."""
    earlier = [concealed(Location.of(where).uri) for where in request.warm_start]
    return {
        "categories": sorted(category for group in planned.groups for category in group),
        "per_category": request.per_category,
        "space": planned.space.as_mapping(),
        "search": request.search,
        "early_stopping": request.early_stopping,
        "minimise": request.minimise,
        "objective": request.objective,
        "rungs": planned.rungs,
        "seed": request.seed,
        **({"warm_start": earlier} if earlier else {}),
    }


def _brief(request: Request, run: Run, planned: Plan, group: tuple[str, ...]) -> Brief:
    return Brief(
        run.root.uri, request.config, planned.space, group, planned.rungs, request.seed, request.oracle,
        planned.need.cpus, request.trial_timeout,
    )  # fmt: skip
