"""The pictures of a report: the lowest-scoring defects and the highest-scoring good images of one detector."""

from __future__ import annotations

from collections.abc import Sequence
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
        Rows of ``gallery.parquet``, hardest first in each kind: ``miss`` for defects, ``false_alarm`` for good ones.
    """
    run = Run.open(root)
    detector = Detector.load(run.member(category, seed, objective).detector)
    known = [row for row in scores if row["score"] is not None]
    misses = sorted((row for row in known if row["label"] == 1), key=lambda row: float(row["score"]))[:EACH]
    alarms = sorted((row for row in known if row["label"] == 0), key=lambda row: -float(row["score"]))[:EACH]
    kinds = {row["id"]: kind for kind, some in (("miss", misses), ("false_alarm", alarms)) for row in some}
    samples = {sample["id"]: sample for sample in read_samples(run.shards, category, "test", list(kinds))}
    pictures = []
    for row in (*misses, *alarms):
        sample = samples[row["id"]]
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
                "kind": kinds[row["id"]],
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


def _stretched(image_HWC: np.ndarray[Any, np.dtype[np.uint8]], size: tuple[int, ...]) -> Any:
    """The reconstruction at the picture's own shape, so that the four pictures lie on one another."""
    return to_input(image_HWC, (size[0], size[1])).permute(1, 2, 0).numpy()
