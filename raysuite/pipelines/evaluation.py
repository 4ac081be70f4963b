"""Test images → scores, metrics, curves and gallery, in one pass of Ray Data over all members of a run.

Each task scores a batch of test images with every detector of their category and hands back a row an image and
detector, and one row with the pixel histograms of the batch. Maps never leave the task: memory does not grow with the
number of pixels.
"""

from __future__ import annotations

import socket
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import ray.data
import torch

from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.datasets.shards import category_folder
from raysuite.detection.detector import Detector
from raysuite.errors import DecodeError, MetricsError, RaysuiteError
from raysuite.memory import first_line
from raysuite.metrics.histograms import PixelHistograms
from raysuite.pipelines.gallery import make_gallery
from raysuite.pipelines.outcome import SCORES, write_outcome
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.session import cluster_resources
from raysuite.runs import Member, Run
from raysuite.standing import standing_of
from raysuite.timeline import spans_by_node, write_span

BATCH = 16

GPU_SHARE = 0.25
"""Of a GPU, for each task: the pixels of the maps are counted on the CPU, which takes longer than scoring them."""

_RESULT = pa.schema(
    [
        pa.field("category", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("objective", pa.string()),
        *SCORES,
        pa.field("seconds", pa.float64()),
        pa.field("histograms", pa.binary()),
        pa.field("images", pa.int64()),
        pa.field("failure", pa.string()),
        pa.field("node", pa.string()),
        pa.field("started", pa.float64()),
        pa.field("ended", pa.float64()),
    ]
)
_OF_A_BLOCK = ("histograms", "images", "failure", "node", "started", "ended")
_INTERNAL = {"category", "seed", "objective", *_OF_A_BLOCK}
_Key = tuple[str, int, str]


def evaluate_all(run: Run, members: Sequence[Member], on_event: Listener = lambda _: None) -> None:
    """Evaluate every trained member that has no metrics yet.

    A member that cannot be evaluated, its detector being damaged for one, is marked failed with the reason, and the
    others go on; the next evaluation tries it again.

    Args:
        run: The run, its shards complete.
        members: Categories, seeds and objectives; those without a detector are passed over.
        on_event: Told of the progress.
    """
    todo = [member for member in members if member.is_trained and not member.is_evaluated]
    if not todo:
        return
    detectors: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for member in todo:
        detectors[member.category].append((member.seed, member.objective))
    blocks, unreadable = [], {}
    for category in detectors:
        try:
            blocks += test_blocks(run, [category])
        except Exception as error:  # see `_told`
            unreadable[category] = _told(error)
    images = Counter({block["category"]: 0 for block in blocks})
    for block in blocks:
        images[block["category"]] += len(block["rows"])
    everything = sum(images[member.category] for member in todo)
    # A member is finished as soon as its last block is in, so that what a stopped run has done stays done.
    missing = {(m.category, m.seed, m.objective): sum(b["category"] == m.category for b in blocks) for m in todo}
    rows: defaultdict[_Key, list[dict[str, Any]]] = defaultdict(list)
    pixels: defaultdict[_Key, PixelHistograms] = defaultdict(PixelHistograms.empty)
    blocks_of: defaultdict[_Key, list[dict[str, Any]]] = defaultdict(list)
    failures = {key: unreadable[key[0]] for key in missing if key[0] in unreadable}
    on_event(Event("evaluate", "", 0, everything, f"{everything} scores of {len(todo)} detectors"))

    def finish(key: _Key) -> None:
        scores, counted = rows.pop(key, []), pixels.pop(key, PixelHistograms.empty())
        for span in spans_by_node(blocks_of.pop(key, [])):
            write_span(run.member(*key), span)
        reason = failures.get(key) or _written(run, run.member(*key), scores, counted)
        on_event(_ended(run, run.member(*key), len(scores), reason))

    for key in [key for key, count in missing.items() if count == 0]:
        finish(key)
    done = 0
    for result in _scored(run, blocks, dict(detectors)):
        key = (result["category"], result["seed"], result["objective"])
        if result["images"] is None:
            rows[key].append({k: result[k] for k in _RESULT.names if k not in _INTERNAL})
            continue
        # The row with the number of images is the last of its block.
        blocks_of[key].append({name: result[name] for name in ("node", "started", "ended")})
        if result["failure"] is not None:
            failures.setdefault(key, result["failure"])
        else:
            pixels[key] = pixels[key] + PixelHistograms.from_bytes(result["histograms"])
        missing[key] -= 1
        done += result["images"]
        on_event(Event("evaluate", "", done, everything, result["category"]))
        if missing[key] == 0:
            finish(key)
    on_event(Event("evaluate", "", everything, everything, f"{everything} scores", "done"))


def _written(run: Run, member: Member, scores: Sequence[dict[str, Any]], pixels: PixelHistograms) -> str | None:
    """Write the outcome of a member whose test images are all scored; returns why that was not possible."""
    try:
        names = (member.category, member.seed, member.objective)
        gallery = ray.get(ray.remote(make_gallery).options(num_cpus=1).remote(run.root.uri, *names, scores))
        write_outcome(member, Detector.load(member.detector), scores, pixels, gallery)
    except Exception as error:  # see `_told`
        return _told(error)
    return None


def _ended(run: Run, member: Member, images: int, reason: str | None) -> Event:
    """A member is evaluated or, if there is a reason, marked failed with it."""
    if reason is not None:
        member.set_status("failed", reason)
    where = standing_of(member, run.config.training.steps, None)
    text, state = (f"{images} images", "done") if reason is None else (reason, "failed")
    return Event("evaluate", member.title, images, images, text, state, where)


def _told(error: Exception) -> str:
    """Why a member cannot be evaluated, in a sentence.

    Any exception ends the evaluation of its member alone: a detector that somebody edited by hand can fail in more ways
    than are named, and the other categories of the night must not be lost with it.
    """
    cause = error.cause if isinstance(error, ray.exceptions.RayTaskError) else error
    told = str(cause) if isinstance(cause, RaysuiteError) else f"{type(cause).__name__}: {first_line(cause)}"
    return f"cannot be evaluated: {told}"


def test_blocks(run: Run, categories: Iterable[str]) -> list[dict[str, Any]]:
    """Where the test images lie: file, row group and rows, a batch each, found without reading any image."""
    blocks = []
    for category in categories:
        folder = category_folder(run.shards, category)
        for name, is_dir in folder.children():
            if is_dir:
                continue
            with pq.ParquetFile((folder / name).path, filesystem=folder.fs) as file:
                for group in range(file.num_row_groups):
                    splits = file.read_row_group(group, columns=["split"])["split"].to_pylist()
                    rows = [index for index, split in enumerate(splits) if split == "test"]
                    for start in range(0, len(rows), BATCH):
                        some = rows[start : start + BATCH]
                        blocks.append({"category": category, "file": name, "group": group, "rows": some})
    return blocks


def _scored(run: Run, blocks: list[dict[str, Any]], detectors: dict[str, list[tuple[int, str]]]) -> Any:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    root = run.root.uri
    gpus = int(cluster_resources().get("GPU", 0))
    dataset = ray.data.from_items(blocks, override_num_blocks=max(1, len(blocks)))

    def score(batch: pa.Table) -> pa.Table:
        return pa.Table.from_pylist(
            [row for block in batch.to_pylist() for row in score_block(root, block, detectors[block["category"]])],
            schema=_RESULT,
        )

    return dataset.map_batches(
        score, batch_size=1, batch_format="pyarrow", num_cpus=1, num_gpus=GPU_SHARE if gpus else None
    ).iter_rows()


@lru_cache(maxsize=32)
def _detector(folder: str, device: str) -> Detector:
    """A worker process scores many batches: it loads each detector once."""
    return Detector.load(folder, device)


def score_block(root: str, block: dict[str, Any], detectors: Sequence[tuple[int, str]]) -> list[dict[str, Any]]:
    """Score some test images of one category with each of its detectors.

    Args:
        root: URI of the run folder.
        block: ``category``, ``file``, ``group`` and ``rows`` of a shard.
        detectors: Seed and objective of each.

    Returns:
        Rows of the result schema: one an image and detector, and a last one a detector with the number of images and
        either the pixel histograms or, in ``failure``, why there is nothing else of this detector, and the node and
        time. An image that cannot be read is a row with an error and no score.
    """
    run, category = Run.open(root), block["category"]
    device = "cuda" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu"
    torch.set_num_threads(1 if device == "cpu" else torch.get_num_threads())
    whose = [{"category": category, "seed": seed, "objective": objective} for seed, objective in detectors]
    try:
        folder = category_folder(run.shards, category)
        with pq.ParquetFile((folder / block["file"]).path, filesystem=folder.fs) as file:
            samples = file.read_row_group(block["group"]).take(block["rows"]).to_pylist()
        images = [decode_image(sample["image"]) for sample in samples if sample["error"] is None]
    except Exception as error:  # see `_told`
        now = {"node": socket.gethostname(), "started": time.time(), "ended": time.time()}
        return [{**names, **now, "images": len(block["rows"]), "failure": _told(error)} for names in whose]
    found: list[dict[str, Any]] = []
    for names in whose:
        took: dict[str, Any] = {**names, "images": len(samples), "node": socket.gethostname(), "started": time.time()}
        try:
            detector = _detector(run.member(**names).detector.uri, device)
            rows, histograms = _scored_by(detector, samples, images)
        except Exception as error:  # see `_told`
            found.append({**took, "ended": time.time(), "failure": _told(error)})
            continue
        found += [{**names, **row} for row in rows]
        found.append({**took, "ended": time.time(), "histograms": histograms.to_bytes()})
    if device == "cuda":
        torch.cuda.empty_cache()  # Other tasks share the GPU.
    return found


def _scored_by(
    detector: Detector, samples: Sequence[dict[str, Any]], images: Sequence[Any]
) -> tuple[list[dict[str, Any]], PixelHistograms]:
    """A row a sample, those that cannot be read first, and the pixel histograms; ``images`` are those of the rest."""
    start = time.perf_counter()
    scored = detector.score(images)
    seconds = (time.perf_counter() - start) / max(1, len(images))
    failed = {"score": None, "anomalous": None, "seconds": 0.0}
    rows = [{**_known(sample), **failed} for sample in samples if sample["error"] is not None]
    readable = [sample for sample in samples if sample["error"] is None]
    histograms = PixelHistograms.empty()
    for sample, value, above, map_HW in zip(readable, scored.scores, scored.anomalous, scored.maps, strict=True):
        row = {**_known(sample), "score": float(value), "anomalous": bool(above), "seconds": seconds}
        try:
            if sample["label"] is not None:
                mask_HW = None if sample["mask"] is None else decode_mask(sample["mask"])
                row["area"] = None if mask_HW is None else float(mask_HW.mean())
                histograms.add(map_HW, mask_HW, defect=sample["label"] == 1)
        except (MetricsError, DecodeError) as error:
            # An image whose map or mask cannot be counted must not count in the image metrics either.
            told = f"{type(error).__name__}: {sample['id']}: {error}"
            row = {**row, "score": None, "anomalous": None, "error": told}
        rows.append(row)
    return rows, histograms


def _known(sample: dict[str, Any]) -> dict[str, Any]:
    return {name: sample[name] for name in ("id", "defect", "label", "error", "height", "width")}
