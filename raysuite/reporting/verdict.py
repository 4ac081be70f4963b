"""What a reader must know first: what ran, on what, how good it is, how sure that is, and what is wrong with it."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from raysuite.datasets.inspection import CategoryReport
from raysuite.errors import RaysuiteError
from raysuite.metrics.intervals import Interval, mean_auroc_interval
from raysuite.reporting.definitions import ORACLE_SETTINGS
from raysuite.reporting.quality import leaks
from raysuite.reporting.results import RunResults
from raysuite.reporting.summary import CategorySummary, Summary
from raysuite.runs import Member, Run
from raysuite.storage import Location

ENOUGH_SEEDS = 3
"""Fewer say nothing of how much a figure depends on the seed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The head of a report.

    Attributes:
        intervals: By objective, the 95 % bootstrap interval over test images of the mean image AUROC; None where it is
            not defined.
        fingerprint: Of all images of the run; None if it is not known.
        data: Names of the data sets with the number of categories from each.
        cautions: What the figures are to be read with, a sentence each.
    """

    intervals: Mapping[str, Interval | None]
    fingerprint: str | None
    data: tuple[tuple[str, int], ...]
    cautions: tuple[str, ...]


def verdict(
    root: Location, results: RunResults, summaries: Sequence[Summary], quality: Sequence[CategoryReport] = ()
) -> Verdict:
    """Find what a report of a run has to begin with.

    Args:
        root: The run folder.
        results: What it holds.
        summaries: The same by objective.
        quality: Of its images.
    """
    card = results.provenance.get("data")
    data: Mapping[str, Any] = card if isinstance(card, Mapping) else {}
    fingerprint = data.get("fingerprint")
    cautions = [ORACLE_SETTINGS] if results.oracle else []
    if min(len(summary.seeds) for summary in summaries) < ENOUGH_SEEDS:
        cautions.append(
            "Fewer than three seeds: too few to quote these figures, or to tell a difference from the luck of a seed."
        )
    cautions += [f"{sentence}." for sentence in leaks(quality)]
    cards = _cards(root, results)
    cautions += _short_promises(cards) + _smaller_parts(cards)
    return Verdict(
        {summary.objective: _interval(summary) for summary in summaries},
        None if fingerprint is None else str(fingerprint),
        tuple(_data_sets(data)),
        tuple(cautions),
    )


def _data_sets(data: Mapping[str, Any]) -> list[tuple[str, int]]:
    sets = data.get("data_sets")
    return [
        (str(one.get("uri", "")).rstrip("/").rsplit("/", 1)[-1], len(one.get("categories") or ()))
        for one in (sets if isinstance(sets, list) else [])
        if isinstance(one, Mapping)
    ]


def _interval(summary: Summary) -> Interval | None:
    """Of the mean over those categories that have an image AUROC."""
    known = [category for category in summary.categories if category.metrics["image_auroc"].mean is not None]
    tables = [_scored(category) for category in known]
    return None if any(table is None for table in tables) else mean_auroc_interval([t for t in tables if t is not None])


def _scored(category: CategorySummary) -> tuple[Any, Any] | None:
    """Scores, a row a seed, and labels of the test images that every seed scored; None if there are none."""
    done = [{s.id: s for s in run.scores if s.label is not None and s.score is not None} for run in category.runs
            if run.done]  # fmt: skip
    ids = sorted(set.intersection(*map(set, done))) if done else []
    if not ids:
        return None
    scores = np.array([[scored[name].score for name in ids] for scored in done], dtype=np.float64)
    return scores, np.array([done[0][name].label for name in ids], dtype=np.int64)


def _cards(root: Location, results: RunResults) -> list[tuple[Member, Mapping[str, Any]]]:
    """What the detectors say of their origin; one that is damaged is told of where the files are."""
    try:
        run = Run.open(root.uri)
    except RaysuiteError:
        return []
    found = []
    for result in results.runs:
        if result.done:
            member = run.member(result.category, result.seed, result.objective)
            with contextlib.suppress(RaysuiteError, ValueError, KeyError, TypeError):
                found.append((member, json.loads((member.detector / "detector.json").read_text())["provenance"]))
    return found


def _short_promises(cards: Sequence[tuple[Member, Mapping[str, Any]]]) -> list[str]:
    """Categories with too few held-out images for the false-alarm rate that was asked for."""
    short: defaultdict[tuple[int, float], dict[str, None]] = defaultdict(dict)
    for member, card in cards:
        # Detectors of older versions do not tell.
        with contextlib.suppress(ValueError, KeyError, TypeError):
            held, asked = int(card["held_out_images"]), float(card["settings"]["detection"]["false_alarm_rate"])
            if 1 / (held + 1) > asked:
                short[held, asked][member.category] = None
    return [
        f"{', '.join(categories)}: {held} held-out good image{'s' * (held != 1)} can promise a false-alarm rate of "
        f"{100 / (held + 1):.2g} % at best, not {100 * asked:g} % as asked for; the threshold is their highest score."
        for (held, asked), categories in sorted(short.items())
    ]


def _smaller_parts(cards: Sequence[tuple[Member, Mapping[str, Any]]]) -> list[str]:
    """Trainings whose batches had to be computed in smaller parts, for want of memory."""
    parts: defaultdict[tuple[int, int, bool], list[str]] = defaultdict(list)
    for member, card in cards:
        if found := _part(card):
            parts[found].append(member.title)
    return [
        f"{', '.join(titles)}: memory did not hold a batch of {batch} images, so that its gradients were added up from "
        f"parts of {part}, which gives the same sum"
        + ("; but batch normalisation took its statistics from each part by itself." if normalised else ".")
        for (part, batch, normalised), titles in parts.items()
    ]


def _part(card: Mapping[str, Any]) -> tuple[int, int, bool] | None:
    """Images at once and in a batch, and whether the net has batch normalisation; None if a batch was whole."""
    try:
        part, workers = int(card["micro_batch"]), int(card["workers"])
        batch = int(card["settings"]["training"]["batch_size"])
        return (part, batch, card["settings"]["model"]["norm"] == "batch") if part * workers < batch else None
    except (ValueError, KeyError, TypeError):
        # Detectors of older versions do not tell.
        return None
