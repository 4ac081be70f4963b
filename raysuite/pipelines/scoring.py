"""An archive → its scored parts: listed in a stream, scored by Ray Data in waves, accounted for from what is on disk.

The driver lists the inputs and looks up, unit by unit, whether a part is there: what is done is read from the parts
alone, and nothing of it is kept but half a key a unit. At the end it counts the rows on disk, and only then says that
all is done.
"""

from __future__ import annotations

import json
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy as np

from raysuite.archives.listing import Listing, absolute, inside
from raysuite.archives.routing import Routes
from raysuite.archives.tables import Columns
from raysuite.archives.units import Unit
from raysuite.detection.detector import Detector
from raysuite.detection.tiled import check_tiles
from raysuite.engines.runtimes import check as check_engine
from raysuite.errors import ConfigError, DatasetError, RunError
from raysuite.locks import owned
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.waves import Counts, score_units
from raysuite.reporting.archive_page import PAGE, write_archive_page
from raysuite.reporting.overlays import draw_overlays
from raysuite.scoring import scan as scans
from raysuite.scoring.models import Model, find_models
from raysuite.scoring.parts import SUPERSEDED, Part, all_parts, place_of, read_part, supersede, superseded_part
from raysuite.scoring.scorer import Task
from raysuite.scoring.tally import Tally
from raysuite.storage import Location

LOOKUPS = 16


@dataclass(frozen=True, slots=True)
class Request:
    """What to score.

    Attributes:
        inputs: Folders, patterns, archives, tables; paths or URIs.
        models: Detectors: ``RUN/category``, or a whole run.
        output: The output folder.
        false_alarm_rate: Share of good images that may be called anomalous; None for each detector's own.
        patterns: Pattern and model's name of each route.
        columns: Of tables.
        maps: Kind of maps; empty for none.
        overlays: How many of the worst images are drawn.
        batch_size: Images a pass; None to find out.
        engine: What computes the forward pass (`raysuite.engines`); ``auto`` to find out.
        unit_size: Most images of a unit of work.
        retry_failed: Read again what could not be read.
        overlap: Of the tiles that large images are cut into, as a share of a tile; None to resize them.
        address: A Ray cluster's; None starts Ray here.
        worker_logs: Show what workers print.
    """

    inputs: tuple[str, ...]
    models: tuple[str, ...]
    output: str
    false_alarm_rate: float | None = None
    patterns: tuple[tuple[str, str], ...] = ()
    columns: Columns = field(default_factory=Columns)
    maps: str = ""
    overlays: int = 0
    batch_size: int | None = None
    engine: str = "auto"
    unit_size: int = 256
    retry_failed: bool = False
    overlap: float | None = None
    address: str | None = None
    worker_logs: bool = False


def plan(request: Request) -> dict[str, Any]:
    """What would be done: the inputs are listed, and the output looked at; nothing is written or scored.

    Raises:
        RaysuiteError: As for `score`.
    """
    models, listing, out, scan = _prepared(request)
    scans.check_place(out)
    if scans.is_begun(out):
        scans.claim(out, scan)
    counts = Counts()
    for unit, part in _looked_up(listing.units(), out, counts, restore=False):
        counts.kept += unit.count if part is not None and part.digest == unit.digest else 0
    return {
        "images": counts.listed,
        "done": counts.kept,
        "to_score": counts.listed - counts.kept,
        "bytes": counts.size,
        "units": counts.units,
        "skipped": dict(listing.skipped.most_common()),
        "models": {
            model.name: {"uri": model.uri, **_promise(model), "smallest_rate": model.decision.smallest_rate}
            for model in models.values()
        },
    }


def score(request: Request, on_event: Listener = lambda _: None) -> dict[str, Any]:
    """Score an archive, or what is left of it.

    Returns:
        The summary, as in ``summary.json``; ``this_time`` has what this very call did.

    Raises:
        RaysuiteError: The inputs cannot be listed, a model cannot be loaded or cannot promise the rate, the output
            belongs to something else or another command is at it, or rows are missing at the end.
    """
    models, listing, out, scan = _prepared(request)
    scans.check_place(out)
    with owned(out, "--output"):
        scans.claim(out, scan)
        counts, started = Counts(), time.monotonic()
        todo = _todo(listing.units(), out, counts, request.retry_failed)
        first = next(todo, None)
        done = all((out / name).is_file() for name in (scans.MANIFEST, scans.SUMMARY))
        if first is None and done and _is_as_before(out, counts, request.overlays):
            summary = scans.read_card(out / scans.SUMMARY)
            if not (out / PAGE).is_file():
                write_archive_page(out)
        else:
            scans.forget(out)
            if first is not None:
                routes = Routes(tuple(models), request.patterns)
                task = Task(
                    out.uri, models, routes, request.maps, request.batch_size, request.engine, overlap=request.overlap
                )  # fmt: skip
                score_units(
                    task,
                    chain([first], todo),
                    counts,
                    on_event,
                    address=request.address,
                    worker_logs=request.worker_logs,
                )
            if counts.listed == 0:
                raise DatasetError(f"no images were found in {', '.join(request.inputs)}")
            summary = _finish(request, out, models, listing, counts, on_event)
        summary["this_time"] = {
            "scored": counts.scored - counts.reused,
            "kept": counts.kept + counts.reused,
            "changed": counts.changed,
            "seconds": time.monotonic() - started,
        }
    on_event(Event("score", "", counts.listed, counts.listed, f"{summary['rows']} images accounted for", "done"))
    return summary


def _prepared(request: Request) -> tuple[dict[str, Model], Listing, Location, scans.Scan]:
    models = {model.name: model for model in find_models(request.models, request.false_alarm_rate)}
    for pattern, name in request.patterns:
        if name not in models:
            raise ConfigError(f"--route {pattern}={name} names no model: there are {', '.join(models)}")
    if request.engine != "auto" and request.address is None:
        check_engine(request.engine)
    if request.overlap is not None:
        for model in models.values():
            check_tiles(Detector.load(model.uri))
    out = Location.of(request.output)
    inputs = tuple(absolute(text) for text in request.inputs)
    if (outer := inside(out, inputs)) is not None:
        raise ConfigError(f"{out} lies in the input {outer}, and would be listed with it; take another --output folder")
    listing = Listing(inputs, request.columns, request.unit_size)
    listing.check()
    columns = (request.columns.image, request.columns.id, request.columns.category)
    cards = {model.name: {"digest": model.digest, **_promise(model)} for model in models.values()}
    scan = scans.Scan(inputs, cards, request.patterns, columns, request.maps, request.unit_size, request.overlap)
    return models, listing, out, scan


def _other_engines(wanted: str, models: dict[str, Any]) -> list[str]:
    """A sentence for each model that was scored by another engine than the one that was asked for by name."""
    told = []
    for name, model in models.items():
        others = {words: count for words, count in model["engines"].items() if words.partition("/")[0] != wanted}
        if wanted != "auto" and others:
            told.append(
                f"{wanted} was asked for, but {sum(others.values())} images of {name} were scored by "
                f"{', '.join(others)}: in an earlier call, or as {wanted} failed or was off (--debug says why)"
            )
    return told


def _promise(model: Model) -> dict[str, Any]:
    return {"false_alarm_rate": model.decision.rate, "calibration_images": len(model.decision.good_N)}


def _looked_up(
    units: Iterator[Unit], out: Location, counts: Counts, *, restore: bool = True
) -> Iterator[tuple[Unit, Part | None]]:
    """Units with the parts that are there for them; some footers ahead are read at once.

    A part that was set aside, as its unit had gone, counts as there; ``restore`` puts it back.
    """
    aside = (out / SUPERSEDED).is_dir()

    def part_of(unit: Unit) -> Part | None:
        part = read_part(place_of(out, unit))
        return superseded_part(out, unit, restore=restore) if part is None and aside else part

    def counted() -> Iterator[Unit]:
        for unit in units:
            if counts.stopped:
                return
            counts.listed += unit.count
            counts.units += 1
            counts.size += unit.size
            # Half of the key tells parts apart by far: two of ten million share it once in 300,000 archives.
            counts.keys.append(int(unit.key[:16], 16))
            yield unit

    if not (out / "parts").is_dir():
        yield from ((unit, None) for unit in counted())
        return
    with ThreadPoolExecutor(LOOKUPS) as pool:
        ahead: deque[tuple[Unit, Future[Part | None]]] = deque()
        for unit in counted():
            ahead.append((unit, pool.submit(part_of, unit)))
            if len(ahead) >= 4 * LOOKUPS:
                ready, part = ahead.popleft()
                yield ready, part.result()
        while ahead:
            ready, part = ahead.popleft()
            yield ready, part.result()


def _todo(units: Iterator[Unit], out: Location, counts: Counts, retry_failed: bool) -> Iterator[tuple[Unit, bool]]:
    """Units that are not done, each with whether its failures are to be tried again."""
    for unit, part in _looked_up(units, out, counts):
        same = part is not None and part.digest == unit.digest
        retry = same and retry_failed and part is not None and part.failed > 0
        if same and not retry:
            counts.kept += unit.count
        else:
            counts.todo += 1
            yield unit, retry
    counts.complete = True


def _is_as_before(out: Location, counts: Counts, overlays: int) -> bool:
    """Whether the manifest is of these very units, and as many pictures: nothing was added and nothing is gone."""
    card = scans.read_card(out / scans.MANIFEST)
    told = (card.get("units"), card.get("images"), card.get("keys"))
    return told == (counts.units, counts.listed, _mark(counts)) and card.get("overlays", 0) >= overlays


def _mark(counts: Counts) -> str:
    """A sum over the keys of all units, in whatever order."""
    return f"{sum(counts.keys) % 2**64:016x}"


def _finish(
    request: Request, out: Location, models: dict[str, Model], listing: Listing, counts: Counts, on_event: Listener
) -> dict[str, Any]:
    """Count what is on disk, set aside what belongs to no input any more, check, and say that all is done."""
    listed = np.unique(np.frombuffer(counts.keys, dtype=np.uint64))
    if len(listed) != len(counts.keys):
        raise RunError(f"two units of work of {', '.join(request.inputs)} have one key: give each input once")
    counted, gone = Tally(models, max(request.overlays, 20)), 0
    for number, (key, part) in enumerate(all_parts(out), 1):
        mark = np.uint64(int(key[:16], 16))
        at = int(np.searchsorted(listed, mark))
        if at == len(listed) or listed[at] != mark:
            supersede(out, key, part)
            gone += 1
            continue
        counted.add(part)
        if number % 1000 == 0:
            on_event(Event("score", "", counts.listed, counts.listed, f"counting: {counted.rows} rows"))
    if counted.rows != counts.listed or counted.scored + counted.failed != counted.rows:
        raise RunError(
            f"{counts.listed} images went in, but {out} has {counted.rows} rows, {counted.scored} scored and "
            f"{counted.failed} failed; the same command scores what is missing"
        )
    summary = {
        "format": scans.FORMAT,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "images": counts.listed,
        **counted.as_mapping(),
        "bytes": counts.size,
        "skipped": dict(Counter(listing.skipped).most_common()),
        "parts": counts.units,
        "superseded": gone,
        "maps": request.maps or None,
    }
    summary["warnings"] += _other_engines(request.engine, summary["models"])
    if request.overlays:
        drawn = draw_overlays(out, counted.worst()[: request.overlays], models, request.overlap)
        on_event(Event("score", "", counts.listed, counts.listed, f"{drawn} overlays drawn"))
    (out / scans.SUMMARY).write_text(json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    card = {"format": scans.FORMAT, "images": counts.listed, "units": counts.units, "keys": _mark(counts)}
    card |= {"scored": counted.scored, "failed": counted.failed, "overlays": request.overlays}
    (out / scans.MANIFEST).write_text(json.dumps(card, indent=2) + "\n")
    # Last, as nothing depends on it.
    write_archive_page(out)
    return summary
