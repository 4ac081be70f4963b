"""Scores and histograms of one detector → its files in the run folder; all detectors' figures → one table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from raysuite.detection.detector import Detector
from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.image import image_curves, image_metrics
from raysuite.metrics.intervals import auroc_interval
from raysuite.metrics.pixel import pixel_curves, pixel_metrics
from raysuite.runs import Member, Run

SCORES = pa.schema(
    [
        ("id", pa.string()),
        ("defect", pa.string()),
        ("label", pa.int8()),
        ("score", pa.float64()),
        ("anomalous", pa.bool_()),
        ("error", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("area", pa.float64()),
    ]
)
"""Columns of ``scores.parquet``."""

_CURVES = pa.schema([("curve", pa.string()), ("x", pa.float64()), ("y", pa.float64())])
_GALLERY = pa.schema(
    [
        ("kind", pa.string()),
        ("id", pa.string()),
        ("defect", pa.string()),
        ("label", pa.int8()),
        ("score", pa.float64()),
        ("threshold", pa.float64()),
        *((name, pa.binary()) for name in ("image", "reconstruction", "map", "mask")),
    ]
)
_METRICS = pa.schema(
    [
        ("category", pa.string()),
        ("seed", pa.int64()),
        ("objective", pa.string()),
        ("status", pa.string()),
        ("reason", pa.string()),
        ("augmentation", pa.string()),
        *(
            (name, pa.float64())
            for name in (
                "image_auroc", "image_ap", "image_f1_max", "pixel_auroc", "pixel_ap", "pixel_f1_max", "aupro",
                "image_auroc_low", "image_auroc_high", "threshold",
                "val_score", "val_image_auroc", "val_pixel_auroc", "val_pixel_ap", "val_aupro", "val_residual",
            )
        ),
        *(
            (name, pa.int64())
            for name in (
                "n_train", "n_good", "n_defect", "n_failed", "n_without_mask", "parameters", "steps", "height", "width",
            )
        ),
        ("train_seconds", pa.float64()),
        ("evaluate_seconds", pa.float64()),
    ]
)  # fmt: skip


def write_outcome(
    member: Member,
    detector: Detector,
    rows: Sequence[dict[str, Any]],
    pixels: PixelHistograms,
    gallery: Sequence[dict[str, Any]],
) -> None:
    """Write scores, curves, gallery and, last, the metrics of one member.

    Args:
        member: Whose.
        detector: Its detector.
        rows: A row a test image: the columns of ``scores.parquet`` and ``seconds``.
        pixels: Pixel histograms of all of them.
        gallery: Rows of ``gallery.parquet``.
    """
    rows = sorted(rows, key=lambda row: str(row["id"]))
    judged = [row for row in rows if row["score"] is not None and row["label"] is not None]
    scores = np.array([row["score"] for row in judged], dtype=np.float64)
    labels = np.array([row["label"] for row in judged], dtype=np.int64)
    image, pixel = image_metrics(scores, labels), pixel_metrics(pixels)
    interval = auroc_interval(scores, labels)
    curves = {**image_curves(scores, labels), **pixel_curves(pixels)}
    card = detector.provenance
    metrics = {
        "category": member.category,
        "seed": member.seed,
        "objective": member.objective,
        "status": "done",
        "reason": None,
        "augmentation": card["augmentation"]["summary"] + ("; beside a template" if detector.net.has_template else ""),
        "image_auroc": image.auroc,
        "image_ap": image.ap,
        "image_f1_max": image.f1_max,
        "pixel_auroc": pixel.auroc,
        "pixel_ap": pixel.ap,
        "pixel_f1_max": pixel.f1_max,
        "aupro": pixel.aupro,
        "pixel_auroc_error_bound": pixel.error_bound,
        "aupro_error_bound": pixel.aupro_error_bound,
        "image_auroc_low": interval.low if interval else None,
        "image_auroc_high": interval.high if interval else None,
        "threshold": detector.threshold,
        **{
            f"val_{name}": card["validation"][name]
            for name in ("score", "image_auroc", "pixel_auroc", "pixel_ap", "aupro", "residual")
        },
        "n_train": card["trained_images"],
        "n_good": int((labels == 0).sum()),
        "n_defect": int((labels == 1).sum()),
        "n_failed": sum(row["error"] is not None for row in rows),
        "n_without_mask": pixels.missing_masks,
        "parameters": card["parameters"],
        "steps": card["steps"],
        "height": detector.size[0],
        "width": detector.size[1],
        "train_seconds": card["seconds"],
        "evaluate_seconds": sum(row["seconds"] for row in rows),
    }
    here = member.folder
    (here / "scores.parquet").write_table(
        pa.Table.from_pylist([{name: row.get(name) for name in SCORES.names} for row in rows], schema=SCORES)
    )
    points = [
        {"curve": name, "x": float(x), "y": float(y)}
        for name, curve in curves.items()
        for x, y in zip(curve.x, curve.y, strict=True)
    ]
    (here / "curves.parquet").write_table(pa.Table.from_pylist(points, schema=_CURVES))
    (here / "gallery.parquet").write_table(pa.Table.from_pylist(list(gallery), schema=_GALLERY))
    (here / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    member.set_status("done")


def write_metrics(run: Run) -> list[dict[str, Any]]:
    """Gather every member's figures into ``metrics.parquet``; members without figures are rows with a reason.

    Returns:
        The rows.
    """
    rows = []
    for member in run.members():
        if member.is_evaluated:
            rows.append(member.metrics())
            continue
        status = member.status()
        reason = status.get("reason") or ("not evaluated yet" if member.is_trained else "not trained yet")
        whose = {"category": member.category, "seed": member.seed, "objective": member.objective}
        rows.append({**whose, "status": "failed", "reason": reason})
    table = pa.Table.from_pylist([{name: row.get(name) for name in _METRICS.names} for row in rows], schema=_METRICS)
    (run.root / "metrics.parquet").write_table(table)
    return rows
