"""Units of work → parts, by Ray Data: in waves, so that a listing of any length fits.

The next wave is listed while one is scored. On CPUs a task is a unit or a few, and each worker process keeps its
detectors; on GPUs a fixed pool of actors does the same. Parts are written where the pixels are: only counts come back.
A worker that dies is not tried again here, as what it read may have killed it: `raysuite.pipelines.rescue` sees to it.
"""

from __future__ import annotations

import logging
import threading
import time
import warnings
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, TypeVar

import pyarrow as pa
import ray
import ray.data
import torch
from ray.util.annotations import RayDeprecationWarning

from raysuite.archives.listing import is_local
from raysuite.archives.units import Unit
from raysuite.engines.runtimes import EXTRAS
from raysuite.errors import ConfigError, RaysuiteError
from raysuite.pipelines.exported_scoring import ScoringExported
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.rescue import rescue
from raysuite.pipelines.session import ray_session
from raysuite.scoring.counting import FOUND
from raysuite.scoring.scorer import Task, score_unit

WAVES = (4, 16, 64, 256)
"""Units a CPU or GPU in one wave: small ones first, so that work begins at once; never all of a long list."""
MOST_A_WAVE = 4096
UNITS_A_TASK = 4
"""At most, on CPUs: between two tasks a core was seen to wait for 0.2 seconds."""
TASKS_A_CPU = 16
"""In a wave, before they are made of more than one unit: at its end some cores wait for the last task."""
THREADS_FOR_REMOTE = 4
EVENT_SECONDS = 1.0
MOST_LOST = 16
"""Units of a wave that may be lost with their workers before the rest of it is scored as those are."""

_REPORT = pa.schema(
    [
        ("key", pa.string()),
        *((name, pa.int64()) for name in ("rows", "failed", "reused", "changed")),
        ("seconds", pa.float64()),
        ("found", FOUND),
    ]
)


_log = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(slots=True)
class Counts:
    """What the driver has seen go by: a few numbers, however long the archive is.

    ``units`` are all that were listed; ``todo`` those of them that were not done before, ``done`` those that now are.
    What comes next is images. ``stopped``: nobody asks for more, and what lists ahead is to end.
    """

    listed: int = 0
    units: int = 0
    todo: int = 0
    done: int = 0
    kept: int = 0
    scored: int = 0
    failed: int = 0
    changed: int = 0
    reused: int = 0
    size: int = 0
    complete: bool = False
    stopped: bool = False
    keys: array[int] = field(default_factory=lambda: array("Q"))


def score_units(
    task: Task,
    todo: Iterator[tuple[Unit, bool]],
    counts: Counts,
    on_event: Listener,
    *,
    address: str | None,
    worker_logs: bool,
) -> None:
    """Score units until there are no more.

    Args:
        task: How; its number of threads is set here.
        todo: At least one unit; each with whether its failures are to be tried again.
        counts: Grows with what is done.
        on_event: Told of the progress, once a second.
        address: A Ray cluster's; None starts Ray here.
        worker_logs: Show what workers print.

    Raises:
        RaysuiteError: A part cannot be written, a detector cannot be loaded, or the inputs cannot be listed any more.
    """
    with ray_session(address, worker_logs=worker_logs) as resources, ScoringExported() as exported:
        if resources.get("GPU", 0) >= 1 and task.engine in EXTRAS:
            raise ConfigError(
                f"--engine {task.engine} computes on CPUs, and there are GPUs: take auto, eager or compiled"
            )
        gpus, cpus = int(resources.get("GPU", 0)), max(1, int(resources.get("CPU", 1)))
        head = next(todo)
        threads = max(1, cpus // gpus - 1) if gpus else 1 if is_local(head[0]) else THREADS_FOR_REMOTE
        task = replace(task, threads=threads)
        if not worker_logs:
            # It logs a traceback for each worker that dies; the listener is told in a line.
            logging.getLogger("ray.data._internal.execution.streaming_executor_state").setLevel(logging.CRITICAL)
        told, pace = 0.0, _Pace(counts.kept)

        def take(count: int) -> list[tuple[Unit, bool]]:
            return list(islice(todo, count))

        try:
            sizes = iter([min(MOST_A_WAVE, factor * max(gpus, cpus)) for factor in WAVES])
            size = next(sizes)
            wave = [head, *take(size - 1)]
            while wave:
                size = next(sizes, size)
                following = _aside(partial(take, size))
                for report in _scored_or_rescued(wave, task, gpus, cpus, counts, on_event):
                    counts.done += 1
                    counts.scored += report["rows"]
                    counts.failed += report["failed"]
                    counts.reused += report["reused"]
                    counts.changed += report["changed"]
                    pace.add(report["rows"] - report["reused"])
                    exported.found(report["found"])
                    if (now := time.monotonic()) - told >= EVENT_SECONDS:
                        told = now
                        on_event(_event(counts, pace))
                        _export(exported, counts, pace.rate)
                wave = following.result()
            on_event(_event(counts, pace))
            _export(exported, counts, 0.0)
        finally:
            counts.stopped = True


def _aside(work: Callable[[], _T]) -> Future[_T]:
    """What a thread will give that nobody waits for when the command ends: to list a wave can take hours."""
    done: Future[_T] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            # Raised again where the result is asked for.
            done.set_exception(error)

    threading.Thread(target=run, name="listing", daemon=True).start()
    return done


class _Pace:
    """Images a second over the last minutes: neither the start of workers nor an hour long past counts."""

    def __init__(self, kept_before: int) -> None:
        self.kept_before = kept_before
        self._seen: deque[tuple[float, int]] = deque(maxlen=1024)

    def add(self, images: int) -> None:
        self._seen.append((time.monotonic(), images))

    @property
    def rate(self) -> float | None:
        if len(self._seen) < 2 or self._seen[-1][0] <= self._seen[0][0]:
            return None
        # What came first began before it came.
        return sum(images for _, images in islice(self._seen, 1, None)) / (self._seen[-1][0] - self._seen[0][0])


def _event(counts: Counts, pace: _Pace) -> Event:
    """How far it is: the rate, and how long the rest takes once the listing is complete."""
    rate, done = pace.rate, counts.scored + counts.kept
    told = [] if rate is None else [f"{rate:.1f} images/s"]
    told.append(f"{counts.failed} failed")
    if counts.changed:
        told.append(f"{counts.changed} changed")
    if not counts.complete:
        told.append("more are being listed")
    elif rate:
        told.append(f"{timedelta(seconds=round(_left(counts) / rate))} left")
    text = ", ".join(told) + (f"; {pace.kept_before} were done" if pace.kept_before else "")
    return Event("score", "", done, max(counts.listed, done), text)


def _left(counts: Counts) -> int:
    return max(0, counts.listed - counts.scored - counts.kept)


def _export(exported: ScoringExported, counts: Counts, rate: float | None) -> None:
    left = _left(counts)
    states = {
        "scored": counts.scored - counts.failed, "failed": counts.failed, "kept": counts.kept, "left": left,
    }  # fmt: skip
    seconds = 0.0 if not left else left / rate if rate else None
    exported.standing(states, counts.todo - counts.done, rate, seconds if counts.complete else None)


def _scored_or_rescued(
    wave: list[tuple[Unit, bool]], task: Task, gpus: int, cpus: int, counts: Counts, on_event: Listener
) -> Iterator[dict[str, Any]]:
    """A report for each unit of the wave."""
    left = {unit.key: (unit, retry) for unit, retry in wave}
    try:
        for report in _told(_scored(wave, task, gpus, cpus)):
            del left[report["key"]]
            yield report
    except ray.exceptions.RayError as error:
        # Too many were lost. What is wrong with all of them will be raised again.
        _log.warning("a wave is given up: %s", error)
    if left:
        told = f"workers died over {len(left)} units of work: looking for the images that do it"
        on_event(Event("score", "", counts.scored + counts.kept, counts.listed, told))
        yield from _told(rescue(list(left.values()), task, gpus or cpus, gpu=gpus > 0))


def _scored(wave: list[tuple[Unit, bool]], task: Task, gpus: int, cpus: int) -> Iterator[dict[str, Any]]:
    rows = [{"unit": unit.to_json(), "retry": retry} for unit, retry in wave]
    # A GPU's actor has its next units waiting.
    tasks = len(rows) if gpus else max(-(-len(rows) // UNITS_A_TASK), min(len(rows), TASKS_A_CPU * cpus))
    dataset = ray.data.from_items(rows, override_num_blocks=tasks)
    common: dict[str, Any] = {"batch_size": 1, "batch_format": "pyarrow"}
    with warnings.catch_warnings():
        # There is no other way yet to say how often a task is tried; Ray's version is pinned.
        warnings.simplefilter("ignore", RayDeprecationWarning)
        if gpus:
            # Fixed: a pool that grows by the object store's budget was seen to stay at half of the GPUs.
            pool = ray.data.ActorPoolStrategy(size=min(gpus, len(rows)))
            made = dataset.map_batches(
                GpuScorer, fn_constructor_args=(task,), num_gpus=1, compute=pool, max_task_retries=0, **common
            )
        else:
            made = dataset.map_batches(_on_cpu(task), num_cpus=1, max_retries=0, **common)
    # Of this pass alone: elsewhere a block that is lost must be an error.
    made.context.enable_progress_bars = False
    made.context.max_errored_blocks = MOST_LOST
    yield from made.iter_rows()


def _told(reports: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The same; an error that was raised on purpose in a worker is raised as itself, not as Ray's wrapping of it."""
    try:
        yield from reports
    except (ray.exceptions.RayError, RaysuiteError) as error:
        seen: BaseException | None = error
        while seen is not None:
            if isinstance(seen, RaysuiteError) and not isinstance(seen, ray.exceptions.RayError):
                raise seen from None
            seen = getattr(seen, "cause", None) or seen.__cause__
        raise


def _on_cpu(task: Task) -> Callable[[pa.Table], pa.Table]:
    def on_cpu(batch: pa.Table) -> pa.Table:
        torch.set_num_threads(1)
        return _report(batch, task, "cpu")

    return on_cpu


class GpuScorer:
    """Scores units on one GPU."""

    def __init__(self, task: Task) -> None:
        """Keep the task; detectors are loaded when they are wanted."""
        self._task = task

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Score one unit a row."""
        return _report(batch, self._task, "cuda" if torch.cuda.is_available() else "cpu")


def _report(batch: pa.Table, task: Task, device: str) -> pa.Table:
    found = []
    for row in batch.to_pylist():
        unit = Unit.from_json(row["unit"])
        found.append({"key": unit.key, **score_unit(unit, task, device, retry_failed=row["retry"])})
    return pa.Table.from_pylist(found, schema=_REPORT)
