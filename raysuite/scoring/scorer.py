"""One unit of work → one part: read, decode, resize, forward, map, score and decide, with every item accounted for."""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from raysuite.archives.limits import Limits
from raysuite.archives.reading import Fetch, opened, unread
from raysuite.archives.routing import Routes
from raysuite.archives.units import BadItemError, Item, Unit
from raysuite.credentials import shown
from raysuite.datasets.decoding import TruncatedError, decode_image
from raysuite.detection.detector import Detector
from raysuite.detection.preprocessing import to_input
from raysuite.detection.tiled import is_larger, score_tiled
from raysuite.engines.choice import Engine
from raysuite.errors import DecodeError, DetectorError, StorageError
from raysuite.scoring.counting import counted
from raysuite.scoring.maps import SCALES, encode_map
from raysuite.scoring.models import Model
from raysuite.scoring.parts import SCHEMA, place_of, read_part, write_part
from raysuite.storage import Location

T = TypeVar("T")
U = TypeVar("U")
Known = tuple[str, str, str | None]
"""What a row is known by: id, URI and detector."""

LONGEST_ERROR = 1000
LONGEST_MAP = 1024
"""Longest side of the map of an image in tiles, in pixels: a unit's rows are held until all of them are there."""
THREADS_FOR_LARGE = 2
"""With images in tiles: of twice as many images all pixels may be held."""
MOST_ENGINES = 32
"""That a process keeps."""


@dataclass(frozen=True, slots=True)
class Task:
    """How units are scored: the same for all of them.

    Attributes:
        out: URI of the output folder.
        models: Detectors by their names.
        routes: Which of them scores what.
        maps: One of `raysuite.scoring.maps.KINDS`; empty for no maps.
        batch_size: Images a pass; None to find out.
        engine: One of `raysuite.engines.runtimes.NAMES`, or ``auto`` to find out.
        threads: Threads that read and decode.
        limits: How much an image may ask for.
        overlap: Of the tiles that images larger than the net's input are cut into; None to resize them.
    """

    out: str
    models: Mapping[str, Model]
    routes: Routes
    maps: str = ""
    batch_size: int | None = None
    engine: str = "auto"
    threads: int = 1
    limits: Limits = field(default_factory=Limits)
    overlap: float | None = None


@dataclass(slots=True)
class _Ready:
    """An item on its way: its row so far, and, if it could be read, the net's input, or all of a large image."""

    row: dict[str, Any]
    model: str = ""
    input_CHW: Tensor | None = None
    large_HW3: NDArray[np.uint8] | None = None
    seconds: float = 0.0


@lru_cache(maxsize=32)
def detector_of(uri: str, device: str) -> Detector:
    """A worker process scores many units: it loads each detector once."""
    return Detector.load(uri, device)


_engines: dict[tuple[str, str, str, int | None, int], Engine] = {}


def engine_of(name: str, task: Task, device: str, sample_CHW: Tensor) -> Engine:
    """The forward pass of a detector in this process, chosen when its first image has come.

    Args:
        name: The model's.
        task: How.
        device: Where the net computes.
        sample_CHW: That image, uint8, of the detector's size.

    Raises:
        ConfigError: The engine that the task names is not installed here.
    """
    uri = task.models[name].uri
    key = (uri, device, task.engine, task.batch_size, torch.get_num_threads())
    if key not in _engines:
        if len(_engines) >= MOST_ENGINES:
            _engines.pop(next(iter(_engines)))
        _engines[key] = Engine(detector_of(uri, device), task.engine, task.batch_size, sample_CHW)
    return _engines[key]


def score_unit(unit: Unit, task: Task, device: str, *, retry_failed: bool = False) -> dict[str, Any]:
    """Score a unit and write its part; a part that is there for the very same unit is left as it is.

    Rows of an older part, of files that have not changed since, are taken over.

    Args:
        unit: What to score.
        task: How.
        device: Where the net computes.
        retry_failed: Score it again if its part has failures.

    Returns:
        ``rows``; ``failed``, those with an error; ``reused``; ``changed``, those whose item was another one before;
        ``seconds``; and ``found``, what became of those that were not reused (`raysuite.scoring.counting.counted`).

    Raises:
        StorageError: The part cannot be written.
        DetectorError: A detector cannot be loaded.
    """
    start = time.perf_counter()
    out = Location.of(task.out)
    place = place_of(out, unit)
    there = read_part(place)
    if there is not None and there.digest == unit.digest and not (retry_failed and there.failed):
        return {
            "rows": there.rows, "failed": there.failed, "reused": there.rows, "changed": 0, "seconds": 0.0, "found": [],
        }  # fmt: skip
    known: dict[Known, dict[str, Any]] = {}
    changed = 0
    if there is not None:
        known, changed = _unchanged(unit, place, task.routes)
        changed = 0 if there.digest == unit.digest else changed
    rows = score_items(unit, task, device, known)
    part = write_part(out, unit, rows, SCALES.get(task.maps))
    reused = sum(known.get(_of_row(row)) is row for row in rows)
    seconds = time.perf_counter() - start
    return {
        "rows": part.rows, "failed": part.failed, "reused": reused, "changed": changed, "seconds": seconds,
        "found": counted(row for row in rows if known.get(_of_row(row)) is not row),
    }  # fmt: skip


def score_items(
    unit: Unit, task: Task, device: str, known: Mapping[Known, dict[str, Any]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """The rows of a unit's items, in order; nothing is written.

    Args:
        unit: What to score.
        task: How.
        device: Where the net computes.
        known: Rows that are taken over.

    Raises:
        DetectorError: A detector cannot be loaded.
    """
    rows: list[dict[str, Any]] = []
    waiting: dict[str, list[_Ready]] = {}

    def prepare(fetch: Fetch) -> _Ready:
        old = known.get(_of_item(fetch.item, task.routes)) if known else None
        return _Ready(old) if old is not None else _prepared(fetch, task, device)

    with opened(unit, task.limits, lambda item: bool(known) and _of_item(item, task.routes) in known) as fetches:
        threads = task.threads if task.overlap is None else min(task.threads, THREADS_FOR_LARGE)
        for ready in _mapped(prepare, fetches, threads):
            rows.append(ready.row)
            if ready.large_HW3 is not None and task.overlap is not None:
                _score_large(ready, ready.large_HW3, task.overlap, task, device)
                ready.large_HW3 = None
            if ready.input_CHW is None:
                continue
            batch = waiting.setdefault(ready.model, [])
            batch.append(ready)
            if len(batch) >= engine_of(ready.model, task, device, ready.input_CHW).batch_size:
                _score(waiting.pop(ready.model), task, device)
    for batch in waiting.values():
        _score(batch, task, device)
    return rows


def failed_rows(unit: Unit, error: str) -> list[dict[str, Any]]:
    """The rows of items that were not read, all with one error."""
    items = unread(unit)
    rows = [_row(item) for item in items]
    for item, row in zip(items, rows, strict=True):
        _fail(row, item.error or error.format(id=row["id"]))
    return rows


def _unchanged(unit: Unit, place: Location, routes: Routes) -> tuple[dict[Known, dict[str, Any]], int]:
    """Rows of a unit's older part that still hold, and how many items have changed since."""
    try:
        old = {_of_row(row): row for row in place.read_table().to_pylist()}
    except StorageError:
        return {}, 0
    # A file of a list may have another id or detector than it had, and be there more than once.
    seen = {uri for _, uri, _ in old}
    kept: dict[Known, dict[str, Any]] = {}
    changed = 0
    for item in unit.items:
        key = _of_item(item, routes)
        row = old.get(key)
        if row is None:
            changed += unit.kind == "files" and key[1] in seen
            continue
        # A file is known by its size and time of change, a member by those of its archive: here they differ.
        same = unit.kind == "files" and item.modified is not None and (row["size"], row["modified"]) == _stamp(item)
        if same and row["error"] is None:
            kept[key] = row
        elif not same and unit.kind == "files":
            changed += 1
    return kept, changed if unit.kind == "files" else unit.count


def _of_row(row: Mapping[str, Any]) -> Known:
    return shown(row["id"]), shown(row["uri"]), row["model"]


def _of_item(item: Item, routes: Routes) -> Known:
    try:
        model = routes.of(item)
    except BadItemError:
        model = None
    return _utf8(shown(item.id)), _utf8(shown(item.uri)), model


def _stamp(item: Item) -> tuple[int | None, str | None]:
    return item.size, item.modified


def _prepared(fetch: Fetch, task: Task, device: str) -> _Ready:
    start = time.perf_counter()
    item = fetch.item
    row = _row(item)
    ready = _Ready(row)
    try:
        row["model"] = ready.model = task.routes.of(item)
        data = fetch.read()
        row["size"] = len(data) if item.size is None else item.size
        row["sha256"] = hashlib.sha256(data).hexdigest()
        image_HW3 = decode_image(data)
        row["height"], row["width"] = image_HW3.shape[:2]
        size = detector_of(task.models[ready.model].uri, device).size
        if task.overlap is not None and is_larger(image_HW3.shape[:2], size):
            ready.large_HW3 = image_HW3
        else:
            ready.input_CHW = to_input(image_HW3, size)
    except BadItemError as error:
        _fail(row, str(error))
    except TruncatedError as error:
        _fail(row, f"Truncated: {item.id} {error}")
    except DecodeError as error:
        _fail(row, f"Undecodable: {item.id} {error}")
    except MemoryError:
        _fail(row, f"TooLarge: {item.id} does not fit into memory")
    except DetectorError:
        raise
    except Exception as error:  # a stranger's file must not end the scan, whatever it makes a library raise
        _fail(row, f"Failed: {item.id}: {type(error).__name__}: {error}")
    ready.seconds = time.perf_counter() - start
    row["ms"] = 1000 * ready.seconds
    return ready


def _row(item: Item) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    # What names no id goes by its URI.
    row |= {"id": _utf8(shown(item.id)), "uri": _utf8(shown(item.uri)), "size": item.size, "modified": item.modified}
    row["scored_at"] = datetime.now(UTC)
    return row


def _fail(row: dict[str, Any], error: str) -> None:
    row["error"] = _utf8(shown(error))[:LONGEST_ERROR]


def _utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _score(batch: Sequence[_Ready], task: Task, device: str) -> None:
    """Fill in the rows of one detector's batch; what the net fails at is tried again one by one."""
    model = task.models[batch[0].model]
    detector = detector_of(model.uri, device)
    start = time.perf_counter()
    try:
        inputs_NCHW = torch.stack([ready.input_CHW for ready in batch if ready.input_CHW is not None])
        engine = engine_of(batch[0].model, task, device, inputs_NCHW[0])
        error_NHW = engine.error(inputs_NCHW)
        scores_N = detector.scores(error_NHW).cpu().numpy()
        maps = detector.maps(error_NHW).cpu().numpy() if task.maps else None
    except (RuntimeError, DetectorError) as error:
        if len(batch) > 1:
            for ready in batch:
                _score([ready], task, device)
            return
        _fail(batch[0].row, f"Failed: {batch[0].row['id']}: {error}")
        return
    p_values = model.decision.p_values(scores_N)
    anomalous = model.decision.anomalous(scores_N)
    for k, ready in enumerate(batch):
        if not np.isfinite(scores_N[k]):
            _fail(ready.row, f"NotFinite: the score of {ready.row['id']} is {scores_N[k]}")
            continue
        ready.row["score"] = float(scores_N[k])
        ready.row["p_value"] = None if p_values is None else float(p_values[k])
        ready.row["anomalous"] = bool(anomalous[k])
        ready.row["tiles"] = 1
        ready.row["engine"] = _engine_words(engine)
        if maps is not None:
            ready.row["map"] = encode_map(maps[k], task.maps)
    share = (time.perf_counter() - start) / len(batch)
    for ready in batch:
        ready.row["ms"] = 1000 * (ready.seconds + share)
        # Its pixels are not needed any more, its row is.
        ready.input_CHW = None


def _score_large(ready: _Ready, image_HW3: NDArray[np.uint8], overlap: float, task: Task, device: str) -> None:
    """Fill in the row of one image in tiles: without a p-value, as no held-out image had so many places to be odd."""
    row, model = ready.row, task.models[ready.model]
    start = time.perf_counter()
    try:
        detector = detector_of(model.uri, device)
        height, width = detector.size
        sample_CHW = to_input(image_HW3[:height, :width], detector.size)
        engine = engine_of(ready.model, task, device, sample_CHW)
        found = score_tiled(
            detector,
            image_HW3,
            overlap=overlap,
            batch_size=engine.batch_size,
            longest=LONGEST_MAP if task.maps else 0,
            error=engine.error,
        )
    except (RuntimeError, MemoryError, DetectorError) as error:
        _fail(row, f"Failed: {row['id']}: {error}")
        return
    if not np.isfinite(found.score):
        _fail(row, f"NotFinite: the score of {row['id']} is {found.score}")
        return
    row["score"], row["tiles"], row["engine"] = found.score, found.tiles, _engine_words(engine)
    row["anomalous"] = bool(model.decision.anomalous([found.score])[0])
    if task.maps:
        row["map"] = encode_map(found.map_HW, task.maps)
    row["ms"] += 1000 * (time.perf_counter() - start)


def _engine_words(engine: Engine) -> str:
    return f"{engine.name}/{engine.batch_size}"


def _mapped(function: Callable[[T], U], values: Iterable[T], threads: int) -> Iterator[U]:
    """``map`` in order, a few values ahead in threads; no more than these are held."""
    if threads <= 1:
        yield from map(function, values)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[U]] = deque()
        for value in values:
            ahead.append(pool.submit(function, value))
            if len(ahead) >= 2 * threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
