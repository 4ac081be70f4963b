"""Test images → scores, metrics, curves and gallery, in one pass of Ray Data over all members of a run.

Each task scores a batch of test images with every detector of their category and hands back a row an image and
detector, and one row with the pixel histograms of the batch. Maps never leave the task: memory does not grow with the
number of pixels.
"""

from __future__ import annotations

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
from raysuite.errors import DecodeError, MetricsError
from raysuite.metrics.histograms import PixelHistograms
from raysuite.pipelines.gallery import make_gallery
from raysuite.pipelines.outcome import SCORES, write_outcome
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.session import cluster_resources
from raysuite.runs import Member, Run
from raysuite.standing import standing_of

BATCH = 16

_RESULT = pa.schema(
    [
        pa.field("category", pa.string()),
        pa.field("seed", pa.int64()),
        pa.field("objective", pa.string()),
        *SCORES,
        pa.field("seconds", pa.float64()),
        pa.field("histograms", pa.binary()),
        pa.field("images", pa.int64()),
    ]
)
_INTERNAL = {"category", "seed", "objective", "histograms", "images"}


def evaluate_all(run: Run, members: Sequence[Member], on_event: Listener = lambda _: None) -> None:
    """Evaluate every trained member that has no metrics yet.

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
    blocks = test_blocks(run, detectors)
    images = Counter({block["category"]: 0 for block in blocks})
    for block in blocks:
        images[block["category"]] += len(block["rows"])
    everything = sum(images[member.category] for member in todo)
    # A member is finished as soon as its last block is in, so that what a stopped run has done stays done.
    missing = {(m.category, m.seed, m.objective): sum(b["category"] == m.category for b in blocks) for m in todo}
    rows: defaultdict[tuple[str, int, str], list[dict[str, Any]]] = defaultdict(list)
    pixels: defaultdict[tuple[str, int, str], PixelHistograms] = defaultdict(PixelHistograms.empty)
    on_event(Event("evaluate", "", 0, everything, f"{everything} scores of {len(todo)} detectors"))

    def finish(key: tuple[str, int, str]) -> None:
        member, scores = run.member(*key), rows.pop(key, [])
        gallery = ray.get(ray.remote(make_gallery).options(num_cpus=1).remote(run.root.uri, *key, scores))
        write_outcome(member, Detector.load(member.detector), scores, pixels.pop(key, PixelHistograms.empty()), gallery)
        text = f"{len(scores)} images"
        where = standing_of(member, run.config.training.steps, None)
        on_event(Event("evaluate", member.title, len(scores), len(scores), text, "done", where))

    for key in [key for key, count in missing.items() if count == 0]:
        finish(key)
    done = 0
    for result in _scored(run, blocks, dict(detectors)):
        key = (result["category"], result["seed"], result["objective"])
        if result["histograms"] is None:
            rows[key].append({k: result[k] for k in _RESULT.names if k not in _INTERNAL})
            continue
        # The row with the histograms is the last of its block.
        pixels[key] = pixels[key] + PixelHistograms.from_bytes(result["histograms"])
        missing[key] -= 1
        done += result["images"]
        on_event(Event("evaluate", "", done, everything, result["category"]))
        if missing[key] == 0:
            finish(key)
    on_event(Event("evaluate", "", everything, everything, f"{everything} scores", "done"))


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
        score, batch_size=1, batch_format="pyarrow", num_cpus=1, num_gpus=1 if gpus else None
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
        Rows of the result schema: one an image and detector, and one with pixel histograms a detector. An image that
        cannot be read is a row with an error and no score.
    """
    run = Run.open(root)
    device = "cuda" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu"
    torch.set_num_threads(1 if device == "cpu" else torch.get_num_threads())
    category = block["category"]
    folder = category_folder(run.shards, category)
    with pq.ParquetFile((folder / block["file"]).path, filesystem=folder.fs) as file:
        samples = file.read_row_group(block["group"]).take(block["rows"]).to_pylist()
    readable = [sample for sample in samples if sample["error"] is None]
    images = [decode_image(sample["image"]) for sample in readable]
    found: list[dict[str, Any]] = []
    for seed, objective in detectors:
        detector = _detector(run.member(category, seed, objective).detector.uri, device)
        start = time.perf_counter()
        scored = detector.score(images)
        seconds = (time.perf_counter() - start) / max(1, len(images))
        histograms = PixelHistograms.empty()
        whose = {"category": category, "seed": seed, "objective": objective}
        for sample in samples:
            if sample["error"] is not None:
                failed = {"score": None, "anomalous": None, "seconds": 0.0}
                found.append({**whose, **_known(sample), **failed})
        for sample, value, above, map_HW in zip(readable, scored.scores, scored.anomalous, scored.maps, strict=True):
            row = {**whose, **_known(sample), "score": float(value), "anomalous": bool(above), "seconds": seconds}
            try:
                if sample["label"] is not None:
                    mask_HW = None if sample["mask"] is None else decode_mask(sample["mask"])
                    histograms.add(map_HW, mask_HW, defect=sample["label"] == 1)
            except (MetricsError, DecodeError) as error:
                # An image whose map or mask cannot be counted must not count in the image metrics either.
                told = f"{type(error).__name__}: {sample['id']}: {error}"
                row = {**row, "score": None, "anomalous": None, "error": told}
            found.append(row)
        found.append({**whose, "histograms": histograms.to_bytes(), "images": len(samples)})
    return found


def _known(sample: dict[str, Any]) -> dict[str, Any]:
    return {name: sample[name] for name in ("id", "defect", "label", "error", "height", "width")}
