"""The pictures of a report: defects that score lowest, good images that score highest, and the borderline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.datasets.shards import read_samples
from raysuite.detection.detector import Detector
from raysuite.detection.preprocessing import to_input
from raysuite.reporting.images import colour_map, encode_webp
from raysuite.runs import Run

EACH = 6
SIDE = 256


def make_gallery(
    root: str, category: str, seed: int, objective: str, scores: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Pictures of the hardest test images.

    Args:
        root: URI of the run folder.
        category: Its name.
        seed: Of the detector.
        objective: Of the detector.
        scores: All scored test images: ``id``, ``label``, ``score``.

    Returns:
        Rows of ``gallery.parquet``, hardest first in each kind: ``miss`` for defects, ``false_alarm`` for good images,
        ``borderline`` for those of both that score nearest to the threshold and are not among the others.
    """
    run = Run.open(root)
    detector = Detector.load(run.member(category, seed, objective).detector)
    known = [row for row in scores if row["score"] is not None]
    kinds = hardest(known, detector.threshold)
    rows = {row["id"]: row for row in known}
    samples = {sample["id"]: sample for sample in read_samples(run.shards, category, "test", list(kinds))}
    pictures = []
    for identity, kind in kinds.items():
        row, sample = rows[identity], samples[identity]
        image_HWC = decode_image(sample["image"])
        size = image_HWC.shape[:2]
        repaired_CHW = detector.repair(to_input(image_HWC, detector.size)[None])[0].cpu()
        repaired_HWC = (repaired_CHW.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
        # Up to three times what good images show: beyond that a person needs no finer shade.
        map_HWC = colour_map(detector.score([image_HWC]).maps[0], 0.0, 3.0)
        mask_HW = None if sample["mask"] is None else decode_mask(sample["mask"])
        mask_HWC = (
            None if mask_HW is None else np.repeat(mask_HW[:, :, None], 3, axis=2).astype(np.uint8) * np.uint8(255)
        )
        pictures.append(
            {
                "kind": kind,
                "id": row["id"],
                "defect": row["defect"],
                "label": row["label"],
                "score": row["score"],
                "threshold": detector.threshold,
                "image": encode_webp(image_HWC, SIDE),
                "reconstruction": encode_webp(_stretched(repaired_HWC, size), SIDE),
                "map": encode_webp(map_HWC, SIDE),
                "mask": None if mask_HWC is None else encode_webp(mask_HWC, SIDE),
            }
        )
    return pictures


def hardest(scores: Sequence[Mapping[str, Any]], threshold: float) -> dict[str, str]:
    """Which images are shown, hardest first: id → kind, as `make_gallery` says.

    Of the defects, the lowest of each sort follow the lowest of all: one hopeless sort must not hide the others.
    """
    defects = sorted((row for row in scores if row["label"] == 1), key=lambda row: float(row["score"]))
    good = sorted((row for row in scores if row["label"] == 0), key=lambda row: -float(row["score"]))
    of_a_sort: dict[Any, Mapping[str, Any]] = {}
    for row in defects:
        of_a_sort.setdefault(row["defect"], row)
    kinds = dict.fromkeys([row["id"] for row in [*defects[:EACH], *list(of_a_sort.values())[:EACH]]], "miss")
    kinds |= dict.fromkeys([row["id"] for row in good[:EACH]], "false_alarm")

    def distance(row: Mapping[str, Any]) -> float:
        # Scores differ by factors, so that half the threshold is as far from it as twice.
        score = float(row["score"])
        return abs(math.log(score / threshold)) if score > 0 < threshold else abs(score - threshold)

    near = sorted((row for row in [*defects, *good] if row["id"] not in kinds), key=distance)
    return kinds | dict.fromkeys([row["id"] for row in near[:EACH]], "borderline")


def _stretched(image_HWC: np.ndarray[Any, np.dtype[np.uint8]], size: tuple[int, ...]) -> Any:
    """The reconstruction at the picture's own shape, so that the four pictures lie on one another."""
    return to_input(image_HWC, (size[0], size[1])).permute(1, 2, 0).numpy()
