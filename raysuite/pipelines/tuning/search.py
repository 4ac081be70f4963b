"""The search itself: Ray Tune runs the trials, ASHA stops those that others leave behind, the rows remember.

A search that was stopped is rebuilt from its rows: trials that are over teach the sampler and fill ASHA's rungs, the
others go on from their checkpoints.
"""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray.tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler

from raysuite.errors import ClusterError
from raysuite.pipelines.exported_tuning import SearchExported, outcome_of
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.sampling import Known, Supply, Values, listed, tpe
from raysuite.pipelines.tuning.trial import Brief, run_trial
from raysuite.planning import Need
from raysuite.tuning.steering import steering_score
from raysuite.tuning.trials import State, TrialRecord, read_trial, read_trials, write_trial

NOTE_SECONDS = 5.0
DIED = "its worker died twice: it was killed, as for want of memory, or crashed"
OUT_OF_TIME = "the time budget was over"
"""Why a trial was stopped that goes on if there is more time."""

REDUCTION = 3
"""ASHA lets one of so many trials go on from a rung, and rungs are so many times apart."""

SOON = 150
"""Before so many steps a score says little of the one at the end: of 26 trials on grid the rank correlation was 0.43
after 44 of 400 steps, and 0.84 after 132 (`python -m benchmarks.tune rank`)."""

trainable: Callable[..., None] = run_trial


@dataclass(frozen=True, slots=True)
class Manner:
    """How a search goes about.

    Attributes:
        search: One of `raysuite.pipelines.tuning.sampling.SEARCHES`.
        early_stopping: Whether ASHA stops trials.
        minimise: ``latency_ms`` or ``parameters``, to be searched for beside the score; ``None`` for neither.
        trials: How many there are to be.
        time_budget: Seconds that may be spent; ``None`` for no limit.
        at_once: How many trials go on at the same time, at most.
        need: What each takes.
    """

    search: str
    early_stopping: bool
    minimise: str | None
    trials: int
    time_budget: float | None
    at_once: int
    need: Need

    @property
    def metrics(self) -> tuple[str, ...]:
        """What the sampler is told."""
        return ("score", self.minimise) if self.minimise else ("score",)


def search(
    folder: SearchFolder, brief: Brief, manner: Manner, first: Sequence[Values], on_event: Listener = lambda _: None
) -> None:
    """Do all trials that are not over, and leave their rows in the folder.

    Args:
        folder: Of the search.
        brief: What all trials have in common.
        manner: How to search.
        first: The values to begin with.
        on_event: Told of every trial's progress.

    Raises:
        ClusterError: Ray Tune cannot go on.
    """
    _finish_what_is_done(folder, brief)
    budget = manner.time_budget
    records = _own(folder, brief)
    rows_of = _by_number(records)
    known = [_known(number, rows, brief) for number, rows in sorted(rows_of.items())]
    supply = Supply(brief.space, first, known, manner.trials, brief.seed)
    over = [one.number for one in known if one.is_over]
    exported = SearchExported(brief.categories, brief.objective, manner.trials, rows_of, over)
    watch = _Watch(folder, brief, manner, on_event, len(over), exported)
    points = listed(supply, manner.search, manner.trials) if manner.search != "tpe" else []
    count = len(points) if manner.search != "tpe" else len(supply.unfinished) + len(supply.new)
    if count == 0 or (budget is not None and budget <= 0):
        return
    scheduler = asha(brief.rungs, records) if manner.early_stopping else FIFOScheduler()  # type: ignore[no-untyped-call]
    resources = {"CPU": manner.need.cpus, **({"GPU": manner.need.gpus} if manner.need.gpus else {})}
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(ray.tune.with_parameters(trainable, brief=brief), resources),
        param_space={"trial": ray.tune.grid_search(points)} if points else None,
        tune_config=ray.tune.TuneConfig(
            num_samples=1 if points else count,
            search_alg=None if points else tpe(supply, manner.metrics),
            scheduler=scheduler,
            max_concurrent_trials=manner.at_once,
            time_budget_s=budget,
            reuse_actors=True,
        ),
        run_config=ray.tune.RunConfig(
            name="tune",
            storage_path=folder.notes.path,
            storage_filesystem=folder.notes.fs,
            verbose=0,
            callbacks=[watch],
            # A trial does not raise, but its worker may die, as with its node: it goes on once more.
            failure_config=ray.tune.FailureConfig(max_failures=1),
        ),
    )
    folder.notes.delete_dir()
    try:
        with exported, _quiet():
            tuner.fit()
    except ray.tune.TuneError as error:
        # A traceback in words: what was raised comes last.
        raise ClusterError(f"Ray Tune ended: {str(error).strip().splitlines()[-1][:300]}") from error
    finally:
        watch.note()
    folder.notes.delete_dir()
    for record in _own(folder, brief):
        # A worker may have written once more before it was gone.
        if record.state == "running":
            write_trial(folder.rows, replace(record, state="stopped", reason=OUT_OF_TIME, ended=time.time()))


def asha(rungs: Sequence[int], records: Sequence[TrialRecord]) -> ASHAScheduler:
    """The scheduler with what trials reached before, as if it had seen it happen.

    Args:
        rungs: Steps at which trials are compared, each `REDUCTION` times those before; the last are all steps.
        records: Of trials begun before.
    """
    scheduler = ASHAScheduler(
        time_attr="steps", metric="score", mode="max", max_t=rungs[-1], grace_period=rungs[0],
        reduction_factor=REDUCTION,
    )  # fmt: skip
    asked: Any = scheduler
    for number, rows in _by_number(records).items():
        past = _Past(f"past-{number}")
        asked.on_trial_add(None, past)
        for steps in rungs[:-1]:
            scores = [row.score_at(steps) for row in rows]
            if known := [score for score in scores if score is not None]:
                asked.on_trial_result(None, past, {"steps": steps, "score": steering_score(known)})
    return scheduler


def first_rung(steps: int) -> int:
    """After how many of a trial's steps it is first scored: a ninth, but `SOON` or a third if that is too soon."""
    return max(1, steps // REDUCTION**2, min(SOON, steps // REDUCTION))


def rungs_of(steps: int, first: int) -> tuple[int, ...]:
    """Steps at which trials are scored: from ``first`` on, each `REDUCTION` times the one before, and all at the end.

    Args:
        steps: All.
        first: At most as many.
    """
    rungs = [first]
    while rungs[-1] * REDUCTION < steps:
        rungs.append(rungs[-1] * REDUCTION)
    # A rung right before the end would cost an exam for nothing.
    if len(rungs) > 1 and rungs[-1] * 1.5 > steps:
        rungs.pop()
    return (*rungs, steps) if rungs[-1] < steps else tuple(rungs)


@dataclass(frozen=True, slots=True)
class _Past:
    """As much of a trial as ASHA looks at."""

    trial_id: str


def _own(folder: SearchFolder, brief: Brief) -> list[TrialRecord]:
    return [record for record in read_trials(folder.rows) if record.category in brief.categories]


def _by_number(records: Sequence[TrialRecord]) -> dict[int, list[TrialRecord]]:
    of: dict[int, list[TrialRecord]] = {}
    for record in records:
        of.setdefault(record.number, []).append(record)
    return of


def _finish_what_is_done(folder: SearchFolder, brief: Brief) -> None:
    """A driver that was killed may not have come to say that a trial was over; and a trial out of time may go on."""
    for record in _own(folder, brief):
        if record.state == "running" and record.steps == brief.rungs[-1] and record.score is not None:
            write_trial(folder.rows, replace(record, state="done", ended=time.time()))


def _known(number: int, rows: Sequence[TrialRecord], brief: Brief) -> Known:
    has_all = {row.category for row in rows} == set(brief.categories)
    going_on = any(row.state == "running" or row.reason == OUT_OF_TIME for row in rows)
    is_over = any(row.state in {"failed", "invalid"} for row in rows) or (has_all and not going_on)
    scores = [row.score for row in rows if row.reached is not None and row.score is not None]
    metrics: dict[str, float] = {}
    if len(scores) == len(brief.categories):
        metrics = {
            "score": steering_score(scores),
            "latency_ms": sum(row.latency_ms or 0.0 for row in rows) / len(rows),
            "parameters": sum(row.parameters or 0 for row in rows) / len(rows),
        }
    return Known(number, rows[0].values, metrics, is_over)


class _Watch(ray.tune.Callback):
    """The driver's eyes: closes the rows of trials that are over, and tells how they go."""

    def __init__(
        self,
        folder: SearchFolder,
        brief: Brief,
        manner: Manner,
        on_event: Listener,
        over: int,
        exported: SearchExported,
    ) -> None:
        self._folder, self._brief, self._manner, self._on_event, self._over = folder, brief, manner, on_event, over
        self._exported = exported
        self._score = "score (oracle)" if brief.oracle else "score"
        self._since: dict[str, float] = {}
        self._started = self._noted = time.monotonic()
        # Of earlier commands; and what other searches of the folder have spent.
        self._spent = folder.spent(brief.categories)
        self._others = folder.spent() - self._spent

    def __getstate__(self) -> dict[str, Any]:
        """Ray Tune keeps a copy of its callbacks that nothing is made of."""
        return {}

    def note(self) -> None:
        """Write down the time that was spent."""
        self._noted = time.monotonic()
        spent = self._spent + self._noted - self._started
        self._folder.set_spent(self._brief.categories, spent)
        self._exported.spent(self._others + spent)

    def on_step_end(self, **info: Any) -> None:  # type: ignore[override] # noqa: ARG002
        if time.monotonic() - self._noted > NOTE_SECONDS:
            self.note()

    def on_trial_start(self, *, trial: Any, **info: Any) -> None:  # type: ignore[override] # noqa: ARG002
        self._since[trial.trial_id] = time.monotonic()
        self._exported.began(trial.config["trial"]["number"])

    def on_trial_result(self, *, trial: Any, result: Mapping[str, Any], **info: Any) -> None:  # type: ignore[override] # noqa: ARG002
        self._since[trial.trial_id] = time.monotonic()
        if "score" in result:
            self._exported.reached(trial.config["trial"]["number"], result["steps"])
            text = f"{self._score} {100 * result['score']:.1f} after {result['steps']} steps"
            self._tell(trial, result["steps"], text, "running")

    def on_trial_complete(self, *, trial: Any, **info: Any) -> None:  # type: ignore[override] # noqa: ARG002
        self._close(trial, None)

    def on_trial_recover(self, *, trial: Any, **info: Any) -> None:  # type: ignore[override] # noqa: ARG002
        if (reason := self._why_it_took_too_long(trial)) is not None:
            # It would hang again: its next worker finds that it has failed.
            self._settle(trial, reason)

    def on_trial_error(self, *, trial: Any, **info: Any) -> None:  # type: ignore[override] # noqa: ARG002
        self._close(trial, self._why_it_took_too_long(trial) or _raised(trial) or DIED)

    def _why_it_took_too_long(self, trial: Any) -> str | None:
        since, timeout = self._since.get(trial.trial_id, time.monotonic()), self._brief.timeout
        if timeout is None or time.monotonic() - since < timeout:
            return None
        return f"it took longer than {timeout:g} s to the next rung (--trial-timeout)"

    def _settle(self, trial: Any, reason: str | None) -> list[TrialRecord]:
        """Give a state to rows that a trial left open as it could not do so itself; returns its rows."""
        task, out = trial.config["trial"], self._is_out_of_time()
        rows = []
        for fresh in self._brief.fresh(task["number"], task["values"]):
            row = read_trial(self._folder.rows, fresh.number, fresh.category)
            if row is None and reason is None:
                continue  # out of time before it began
            row = row or fresh
            if row.state == "running":
                why = OUT_OF_TIME if out else f"others were better after {row.steps} steps"
                state: State = "stopped" if reason is None else "failed"
                row = replace(row, state=state, reason=reason or why, ended=time.time())
                if reason is not None:
                    # Its worker could not say what it had cost since.
                    lost = time.monotonic() - self._since.get(trial.trial_id, time.monotonic())
                    row = replace(row, seconds_after_rung=row.seconds_after_rung + lost / len(self._brief.categories))
                write_trial(self._folder.rows, row)
            rows.append(row)
        return rows

    def _close(self, trial: Any, reason: str | None) -> None:
        """A trial is over: settle its rows, and tell how it went."""
        rows = self._settle(trial, reason)
        self._exported.over(trial.config["trial"]["number"], rows)
        if not rows:
            return
        self._over += 1
        words = outcome_of(rows)
        bad = words.state in {"failed", "invalid"}
        score = f", {self._score} {100 * words.score:.1f}" if words.score is not None and not bad else ""
        text = f"{words.state}: {words.reason}" if words.reason else words.state
        self._tell(trial, words.steps, text + score, "failed" if bad else "done")

    def _is_out_of_time(self) -> bool:
        budget = self._manner.time_budget
        return budget is not None and time.monotonic() - self._started >= budget

    def _tell(self, trial: Any, steps: int, text: str, state: str) -> None:
        subject = f"trial {trial.config['trial']['number']}"
        if len(self._brief.categories) == 1:
            subject += f" of {self._brief.categories[0]}"
        self._on_event(Event("tune", subject, steps, self._brief.rungs[-1], text, state))
        if state != "running":
            self._on_event(Event("tune", "", self._over, self._manner.trials, f"{self._over} trials are over"))


def _raised(trial: Any) -> str | None:
    """What a worker raised that could not write it into its rows; ``None`` if it died without a word.

    It is read from the driver's own note of the failure: the copy in the search's folder comes when it comes.
    """
    if trial.error_file is None:
        return None
    noted = Path(trial.error_file).read_text(encoding="utf-8").rpartition("Failure # ")[2].splitlines()
    lines = [line for line in noted if line.strip()]
    if len(lines) < 3 or "ray::" not in lines[1]:
        return None  # no traceback of a task
    name, colon, words = lines[-1].partition(": ")
    return f"{name.rpartition('.')[2]}{colon}{words}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Tune prints something whatever it is told, and logs failed trials at length; rows say it in a sentence."""
    logger = logging.getLogger("ray.tune")
    if logger.isEnabledFor(logging.INFO):
        yield  # what workers print is wanted
        return
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(before)
