"""What a net of a search reaches on the test images: for the report after the search, or for a search by the oracle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from raysuite.config import Config
from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.datasets.shards import category_folder
from raysuite.detection.calibration import calibrate
from raysuite.detection.detector import Detector
from raysuite.errors import DecodeError, MetricsError
from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.image import image_metrics
from raysuite.metrics.pixel import pixel_metrics
from raysuite.models.autoencoder import Autoencoder
from raysuite.pipelines.evaluation import test_blocks
from raysuite.pipelines.images import GoodImages
from raysuite.runs import Run

FIGURES = ("image_auroc", "pixel_auroc", "pixel_ap", "aupro")


def as_detector(
    net: Autoencoder,
    category: str,
    config: Config,
    images: GoodImages,
    device: torch.device,
    seed: int,
    symmetries: Sequence[str],
) -> Detector:
    """The detector that a net becomes, as in a run.

    Args:
        net: In evaluation mode.
        category: What it was trained on.
        config: Its settings.
        images: The category's good images.
        device: Where to compute.
        seed: Of the defects that map and score are chosen on.
        symmetries: Which flips and turns leave the category in kind.
    """
    return calibrate(
        net.to(device), category=category, detection=config.detection, train_NCHW=images.train_NCHW,
        validation_NCHW=images.validation_NCHW, held_out_NCHW=images.held_out_NCHW, device=device, seed=seed,
        provenance={}, symmetries=symmetries,
    )  # fmt: skip


def figures_on_test(run: Run, detector: Detector) -> dict[str, float | None]:
    """`FIGURES` of a detector on the test images of its category, as fractions; ``None`` where not defined."""
    pixels, scores, labels = PixelHistograms.empty(), list[float](), list[int]()
    for samples in _test_samples(run, detector.category):
        scored = detector.score([image for image, _, _ in samples])
        for (_, mask_HW, label), score, map_HW in zip(samples, scored.scores, scored.maps, strict=True):
            try:
                pixels.add(map_HW, mask_HW, defect=label == 1)
            except MetricsError:
                continue
            scores.append(float(score))
            labels.append(label)
    image, pixel = image_metrics(np.array(scores), np.array(labels, dtype=np.int64)), pixel_metrics(pixels)
    return {
        "image_auroc": image.auroc, "pixel_auroc": pixel.auroc, "pixel_ap": pixel.ap, "aupro": pixel.aupro,
    }  # fmt: skip


_Sample = tuple[NDArray[np.uint8], NDArray[np.bool_] | None, int]


def _test_samples(run: Run, category: str) -> Iterator[list[_Sample]]:
    """Labelled test images that can be read, with mask and label, some at once; in a run others are rows of errors."""
    folder = category_folder(run.shards, category)
    for block in test_blocks(run, [category]):
        with pq.ParquetFile((folder / block["file"]).path, filesystem=folder.fs) as file:
            rows = file.read_row_group(block["group"]).take(block["rows"]).to_pylist()
        samples = [sample for row in rows if (sample := _decoded(row)) is not None]
        if samples:
            yield samples


def _decoded(row: dict[str, Any]) -> _Sample | None:
    if row["error"] is not None or row["label"] is None:
        return None
    try:
        mask_HW = None if row["mask"] is None else decode_mask(row["mask"])
        return decode_image(row["image"]), mask_HW, int(row["label"])
    except DecodeError:
        return None
