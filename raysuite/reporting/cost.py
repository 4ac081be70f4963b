"""What a run cost: rates, hours, memory and energy of each training, and who worked when. Nothing is estimated."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysuite.reporting.results import RunResults, SeedResult


@dataclass(frozen=True, slots=True)
class Bar:
    """One try at a training, or the scoring of its test images, on one node.

    Attributes:
        run: Whose.
        stage: ``train`` or ``evaluate``.
        node: Name of the machine.
        row: Of several at the same time on a node, which line this one has, from 0.
        started: Seconds since 1970.
        ended: The same; None if the worker was killed, so that nobody knows.
        reason: Why it failed.
    """

    run: SeedResult
    stage: str
    node: str
    row: int
    started: float
    ended: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class MemberCost:
    """What one training and the scoring of its test images took; None = not measured.

    Attributes:
        run: Whose.
        training_rate: Images a second, the median over the lines of the history.
        scoring_rate: Images a second of one worker, without reading and decoding.
        seconds: Of all tries, by the clock, with reading of images and calibration.
        tries: How often it was begun.
        nodes: Where.
        memory: Bytes that the first worker's process had resident at most.
        own_memory: Whether that is this training's own peak; else that of all which the process did.
        gpu_memory: Bytes that torch had allocated on the GPU at most.
        joules: Energy of processor and GPU while it ran, whoever used them.
    """

    run: SeedResult
    training_rate: float | None
    scoring_rate: float | None
    seconds: float | None
    tries: int
    nodes: tuple[str, ...]
    memory: float | None
    own_memory: bool
    gpu_memory: float | None
    joules: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run took.

    Attributes:
        members: Each training.
        bars: The timeline, by node, row and start.
        wall_seconds: From the first start to the last end, pauses between commands included.
        cpu_hours: CPUs held times time, for training and scoring.
        gpu_hours: The same of GPUs, for training.
        joules: Of all trainings, if no two of them ran at once on a node; counters are the whole machine's.
        energy_note: Why there is no energy; empty if there is.
        training_rate: Images a second over all trainings, the median.
        scoring_rate: The same of scoring, by one worker.
    """

    members: tuple[MemberCost, ...]
    bars: tuple[Bar, ...]
    wall_seconds: float | None
    cpu_hours: float | None
    gpu_hours: float | None
    joules: float | None
    energy_note: str
    training_rate: float | None
    scoring_rate: float | None


def cost_of(results: RunResults) -> Cost:
    """Gather what the timelines, histories and metrics of a run tell."""
    members = tuple(_member(run) for run in results.runs)
    bars = _bars(results.runs)
    ends = [bar.ended for bar in bars if bar.ended is not None]
    spans = [span for run in results.runs for span in run.spans if _seconds(span) is not None]
    trained = [span for span in spans if span["stage"] == "train"]
    held = {
        name: sum((_seconds(span) or 0.0) * float(span.get(name) or 0.0) for span in trained)
        for name in ("cpus", "gpus")
    }
    scoring = sum(float(span.get("busy_seconds") or 0.0) for span in spans if span["stage"] == "evaluate")
    joules, note = _energy(trained, bars)
    return Cost(
        members=members,
        bars=bars,
        wall_seconds=max(ends) - min(bar.started for bar in bars) if ends else None,
        cpu_hours=(held["cpus"] + scoring) / 3600 if spans else None,
        gpu_hours=held["gpus"] / 3600 if spans else None,
        joules=joules,
        energy_note=note,
        training_rate=_median(one.training_rate for one in members),
        scoring_rate=_median(one.scoring_rate for one in members),
    )


def _member(run: SeedResult) -> MemberCost:
    rates = run.history.get("images_per_second", np.array([]))
    rates = rates[np.isfinite(rates)]
    seconds, scored = run.values.get("evaluate_seconds"), sum(score.score is not None for score in run.scores)
    tries = [span for span in run.spans if span["stage"] == "train"]
    measured = [span for span in tries if _seconds(span) is not None]
    took = sum(_seconds(span) or 0.0 for span in measured)
    energy = [total for span in measured if (total := _joules(span)) is not None]
    return MemberCost(
        run=run,
        training_rate=float(np.median(rates)) if len(rates) else None,
        scoring_rate=scored / seconds if seconds and scored else None,
        seconds=took if measured else run.values.get("train_seconds"),
        tries=len(tries),
        nodes=tuple(dict.fromkeys(str(span.get("node")) for span in tries)),
        memory=_most(span.get("peak_memory") for span in measured),
        own_memory=all(bool(span.get("own_peak")) for span in measured),
        gpu_memory=_most(span.get("peak_gpu_memory") for span in measured),
        joules=sum(energy) if energy and len(energy) == len(measured) else None,
    )


def _bars(runs: Iterable[SeedResult]) -> tuple[Bar, ...]:
    """Each span in the first row of its node that is free when it starts."""
    spans = sorted(
        ((span, run) for run in runs for span in run.spans),
        key=lambda pair: (str(pair[0].get("node")), pair[0]["started"]),
    )
    free: defaultdict[str, list[float]] = defaultdict(list)
    bars = []
    for span, run in spans:
        node, started, ended = str(span.get("node")), float(span["started"]), span.get("ended")
        rows = free[node]
        row = next((at for at, until in enumerate(rows) if until <= started), len(rows))
        rows[row : row + 1] = [float(ended) if ended is not None else started]
        bars.append(Bar(run, str(span["stage"]), node, row, started, ended, span.get("reason")))
    return tuple(bars)


def _energy(trained: Sequence[Mapping[str, Any]], bars: Sequence[Bar]) -> tuple[float | None, str]:
    if not trained:
        return None, "not measured"
    known = [_joules(span) for span in trained]
    if any(value is None for value in known):
        return None, "not measured on this machine" if not any(known) else "not summed: some machines do not measure it"
    if any(bar.row > 0 for bar in bars if bar.stage == "train"):
        return None, "not summed: trainings shared a machine, whose counters cannot tell them apart"
    return sum(value or 0.0 for value in known), ""


def _joules(span: Mapping[str, Any]) -> float | None:
    known = [float(span[name]) for name in ("processor_joules", "gpu_joules") if span.get(name) is not None]
    return sum(known) if known else None


def _seconds(span: Mapping[str, Any]) -> float | None:
    return None if span.get("ended") is None else float(span["ended"]) - float(span["started"])


def _most(values: Iterable[Any]) -> float | None:
    known = [float(value) for value in values if value is not None]
    return max(known, default=None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
