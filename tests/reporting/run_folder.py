"""Writes a run folder as the pipelines do, from generated textures, without training anything."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy import ndimage
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from raysuite.config import OBJECTIVES, Config
from raysuite.datasets.entries import Source
from raysuite.reporting.images import colour_map, encode_webp
from raysuite.runs import Member, Run
from raysuite.storage import Location
from raysuite.timeline import write_span

BEGAN = 1_767_225_600.0
"""When the first training of the fake run began: the first second of 2026."""

METRIC_TYPES = {
    "category": pa.string(),
    "seed": pa.int32(),
    "objective": pa.string(),
    "status": pa.string(),
    "reason": pa.string(),
    **dict.fromkeys(
        ("image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro"), pa.float64()
    ),
    "image_auroc_low": pa.float64(),
    "image_auroc_high": pa.float64(),
    "threshold": pa.float64(),
    **dict.fromkeys(
        ("val_score", "val_image_auroc", "val_pixel_auroc", "val_pixel_ap", "val_aupro", "val_residual"), pa.float64()
    ),
    **dict.fromkeys(("n_train", "n_good", "n_defect", "n_failed", "n_without_mask"), pa.int32()),
    "parameters": pa.int64(),
    **dict.fromkeys(("steps", "height", "width"), pa.int32()),
    "train_seconds": pa.float64(),
    "evaluate_seconds": pa.float64(),
}


@dataclass(frozen=True)
class FakeCategory:
    """What a category of the fake run is like. ``separation``: how far defects score above good images."""

    name: str
    separation: float = 2.0
    masks: bool = True
    failed: bool = False
    n_good: int = 12
    n_defect: int = 20
    hostile_id: str = ""


SMALL_RUN = (
    FakeCategory("carpet", separation=3.0),
    FakeCategory("screw", separation=0.8),
    FakeCategory("leather", masks=False),
    FakeCategory("toothbrush", failed=True),
)


def write_run_folder(
    root: Location,
    categories: Sequence[FakeCategory] = SMALL_RUN,
    seeds: Sequence[int] = (0, 1),
    objectives: Sequence[str] = ("filter",),
    gallery: int = 2,
    side: int = 64,
) -> Location:
    run = Run.create(root.uri, [Source("data", "mvtec")], Config())
    rows = [
        _write_member(run.member(category.name, seed, objective), category, gallery, side)
        for category in categories
        for objective in objectives
        for seed in seeds
    ]
    root_table = pa.table({name: pa.array([r.get(name) for r in rows], kind) for name, kind in METRIC_TYPES.items()})
    (root / "metrics.parquet").write_table(root_table)
    provenance = {
        "commands": [{"command": "raysuite benchmark data --run runs/demo", "at": "2026-01-01T00:00:00+00:00"}],
        "git": {"commit": "0" * 40, "dirty": False},
        "versions": {"python": "3.11.7", "torch": "2.11.0", "ray": "2.60.0"},
        "hardware": {"cpus": 16, "gpus": ["one accelerator"], "memory_gib": 128},
        "data": {"layout": "mvtec", "fingerprint": "sha256:" + "ab" * 32, "images": 512},
        "seeds": list(seeds),
    }
    (root / "provenance.json").write_text(json.dumps(provenance))
    return root


def _write_member(member: Member, category: FakeCategory, gallery: int, side: int) -> dict[str, object]:
    folder, seed = member.folder, member.seed
    # The other objectives find less; the run's own one draws the same numbers with them and without.
    handicap = OBJECTIVES.index(member.objective)
    category = replace(category, separation=category.separation / (1 + handicap))
    rng = np.random.default_rng([seed, len(category.name), ord(category.name[0]), *[handicap] * (handicap > 0)])
    row: dict[str, object] = {"category": category.name, "seed": seed, "objective": member.objective, "status": "done"}
    _write_spans(member, category)
    if category.failed:
        reason = "the loss is no longer a number after step 40: lower the learning rate"
        (folder / "status.json").write_text(json.dumps({"state": "failed", "reason": reason}))
        return row | {"status": "failed", "reason": reason}

    labels = np.array([0] * category.n_good + [1] * category.n_defect)
    scores = np.exp(rng.normal(-6 + labels * category.separation, 0.8))
    threshold = float(np.exp(-5.0))
    ids = [f"{category.name}/test/{'hole' if y else 'good'}/{i:03d}.png" for i, y in enumerate(labels)]
    if category.hostile_id:
        # The worst miss, so that the name is in the gallery as well as in the charts.
        ids[int(np.argmin(np.where(labels == 1, scores, np.inf)))] = category.hostile_id
    areas = [[0.0004, 0.002, 0.02][i % 3] if y and category.masks else None for i, y in enumerate(labels)]
    _write_scores(folder, ids, labels, scores, threshold, areas)
    _write_history(folder, rng)
    _write_curves(folder, labels, scores, category)
    _write_gallery(folder, ids, labels, scores, threshold, category=category, rng=rng, limit=gallery, side=side)
    (folder / "status.json").write_text(json.dumps({"state": "done", "reason": None}))

    auroc = float(roc_auc_score(labels, scores))
    precision, recall, _ = precision_recall_curve(labels, scores)
    row |= {
        "image_auroc": auroc,
        "image_ap": float(average_precision_score(labels, scores)),
        "image_f1_max": float(np.max(2 * precision * recall / np.maximum(precision + recall, 1e-12))),
        "image_auroc_low": max(0.0, auroc - 0.05),
        "image_auroc_high": min(1.0, auroc + 0.03),
        "threshold": threshold,
        "val_score": 0.9 - 0.01 * seed,
        **dict.fromkeys(("val_image_auroc", "val_pixel_auroc", "val_pixel_ap", "val_aupro"), 0.93 - 0.01 * seed),
        "val_residual": 0.0021,
        "n_train": 200,
        "n_good": category.n_good,
        "n_defect": category.n_defect,
        "n_failed": 1,
        "n_without_mask": 0 if category.masks else category.n_defect,
        "parameters": 1_234_567,
        "steps": 400,
        "height": side,
        "width": side,
        "train_seconds": 61.5 + seed,
        "evaluate_seconds": 3.25,
    }
    if category.masks:
        ease = category.separation / (1 + category.separation)
        jitter = 0.01 * float(rng.random())
        row |= {
            "pixel_auroc": 0.80 + 0.18 * ease + jitter,
            "pixel_ap": 0.30 + 0.4 * ease + jitter,
            "pixel_f1_max": 0.35 + 0.4 * ease + jitter,
            "aupro": 0.6 + 0.35 * ease + jitter,
        }
    (folder / "metrics.json").write_text(json.dumps(row))
    return row


def _write_spans(member: Member, category: FakeCategory) -> None:
    """A try, on one of two nodes, and the scoring a minute after it."""
    began = BEGAN + 10 * (sum(category.name.encode()) % 60) + 300 * member.seed
    measured = {"workers": 1, "cpus": 4, "gpus": 1.0, "peak_memory": 1_400_000_000, "own_peak": True}
    node = f"node-{member.seed % 2}"
    reason = "the loss is no longer a number" if category.failed else None
    span = {"stage": "train", "node": node, "started": began, "ended": began + 61.5, "reason": reason, **measured}
    write_span(member, {**span, "peak_gpu_memory": 900_000_000, "processor_joules": None, "gpu_joules": 9000.0})
    if not category.failed:
        scored = {"stage": "evaluate", "node": node, "started": began + 120, "ended": began + 130}
        write_span(member, {**scored, "busy_seconds": 8.0})


def _write_scores(
    folder: Location,
    ids: list[str],
    labels: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    areas: list[float | None],
) -> None:
    n = len(ids)
    table = pa.table(
        {
            "id": [*ids, "broken.png"],
            "defect": [*("hole" if y else "good" for y in labels), "good"],
            "label": pa.array([*labels.tolist(), 0], pa.int8()),
            "score": [*scores.tolist(), None],
            "anomalous": [*(scores > threshold).tolist(), None],
            "error": [None] * n + ["DecodeError: broken.png ends after 12 bytes"],
            "height": pa.array([64] * n + [None], pa.int32()),
            "width": pa.array([64] * n + [None], pa.int32()),
            "area": pa.array([*areas, None], pa.float64()),
        }
    )
    (folder / "scores.parquet").write_table(table)


def _write_history(folder: Location, rng: np.random.Generator) -> None:
    steps = np.arange(0, 400, 4)
    loss = 0.08 * np.exp(-steps / 80) + 0.004 * np.exp(0.15 * rng.normal(size=len(steps)))
    table = pa.table(
        {
            "step": steps,
            "loss": loss,
            "kept_loss": loss * 0.7,
            "repaired_loss": loss * 2.1,
            "extra_loss": loss * 0.0,
            "learning_rate": 1e-3 * (1 - steps / 400),
            "images_per_second": 900 + 20 * rng.normal(size=len(steps)),
            "seconds": steps * 0.15,
        }
    )
    (folder / "history.parquet").write_table(table)


def _write_curves(folder: Location, labels: np.ndarray, scores: np.ndarray, category: FakeCategory) -> None:
    fpr, tpr, _ = roc_curve(labels, scores)
    precision, recall, _ = precision_recall_curve(labels, scores)
    curves = {"image_roc": (fpr, tpr), "image_pr": (recall, precision)}
    if category.masks:
        x = np.concatenate([[0.0], np.geomspace(1e-6, 1, 2000)])
        curves["pixel_roc"] = (x, x ** (1 / (1 + 4 * category.separation)))
        curves["pro"] = (x, x ** (1 / (1 + 2 * category.separation)))
        curves["pixel_pr"] = (x, (1 - x) ** (1 / (1 + category.separation)))
    table = pa.table(
        {
            "curve": np.concatenate([[name] * len(x) for name, (x, _) in curves.items()]).tolist(),
            "x": np.concatenate([x for x, _ in curves.values()]),
            "y": np.concatenate([y for _, y in curves.values()]),
        }
    )
    (folder / "curves.parquet").write_table(table)


def _write_gallery(
    folder: Location,
    ids: list[str],
    labels: np.ndarray,
    scores: np.ndarray,
    threshold: float,
    *,
    category: FakeCategory,
    rng: np.random.Generator,
    limit: int,
    side: int,
) -> None:
    misses = [i for i in np.argsort(scores) if labels[i] == 1 and scores[i] <= threshold][:limit]
    alarms = [i for i in np.argsort(-scores) if labels[i] == 0 and scores[i] > threshold][:limit]
    near = [i for i in np.argsort(np.abs(np.log(scores / threshold))) if i not in {*misses, *alarms}][:limit]
    kinds = {
        **dict.fromkeys(misses, "miss"),
        **dict.fromkeys(alarms, "false_alarm"),
        **dict.fromkeys(near, "borderline"),
    }
    rows = []
    for i, kind in kinds.items():
        pictures = make_pictures(rng, side, defective=bool(labels[i]))
        if not (category.masks and labels[i]):
            pictures["mask"] = None
        rows.append(
            {
                "kind": kind,
                "id": ids[i],
                "defect": "hole" if labels[i] else "good",
                "label": int(labels[i]),
                "score": float(scores[i]),
                "threshold": threshold,
                **pictures,
            }
        )
    types = {
        **dict.fromkeys(("kind", "id", "defect"), pa.string()),
        "label": pa.int8(),
        **dict.fromkeys(("score", "threshold"), pa.float64()),
        **dict.fromkeys(("image", "reconstruction", "map", "mask"), pa.binary()),
    }
    table = pa.table({name: pa.array([row[name] for row in rows], kind) for name, kind in types.items()})
    (folder / "gallery.parquet").write_table(table)


def make_pictures(rng: np.random.Generator, side: int, defective: bool) -> dict[str, bytes | None]:
    """A woven texture with a blot, the texture without it, the map of their difference, and the blot's mask."""
    y, x = np.mgrid[0:side, 0:side] / side
    period = rng.uniform(6, 18)
    weave = 0.5 + 0.2 * np.sin(2 * math.pi * period * x) * np.sin(2 * math.pi * period * y)
    clean = np.clip(weave + 0.05 * rng.normal(size=(side, side)), 0, 1)
    blot = ndimage.gaussian_filter(rng.normal(size=(side, side)), side / 12)
    blot *= np.exp(-((x - rng.uniform(0.3, 0.7)) ** 2 + (y - rng.uniform(0.3, 0.7)) ** 2) / 0.02)
    mask = blot > 0.5 * blot.max()
    image = np.where(mask & defective, clean * 0.45, clean)
    difference = ndimage.gaussian_filter((image - clean) ** 2 + 0.002 * rng.random((side, side)), side / 64)
    tint = rng.uniform(0.6, 1.0, size=3)

    def rgb(values: np.ndarray) -> np.ndarray:
        return (np.clip(values[..., None] * tint, 0, 1) * 255).astype(np.uint8)

    return {
        "image": encode_webp(rgb(image), side),
        "reconstruction": encode_webp(rgb(ndimage.gaussian_filter(clean, 1)), side),
        "map": encode_webp(colour_map(difference, 0.0, float(difference.max())), side),
        "mask": encode_webp((mask * 255).astype(np.uint8), side),
    }
