"""Train, calibrate and measure one detector in this process: what several benchmarks share. No Ray."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from raysuite.config import Config
from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.datasets.entries import Listing
from raysuite.detection.calibration import calibrate
from raysuite.detection.detector import Detector
from raysuite.detection.preprocessing import choose_size, to_input
from raysuite.detection.split import split_good
from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.image import image_metrics
from raysuite.metrics.pixel import pixel_metrics
from raysuite.models.autoencoder import Autoencoder
from raysuite.training.loop import Trained, train


@dataclass(frozen=True, slots=True)
class Category:
    """One category's images, decoded; good training images at the net's input size."""

    name: str
    good_NCHW: torch.Tensor
    images: list[NDArray[np.uint8]]
    masks: list[NDArray[np.bool_] | None]
    labels: list[int]


def load(listing: Listing, name: str, config: Config) -> Category:
    """Read one category as a run would."""
    read = {entry.id: decode_image((listing.root / entry.image).read_bytes()) for entry in listing.of(name)}
    good = [read[entry.id] for entry in listing.of(name) if entry.split == "train"]
    shapes = [(image.shape[0], image.shape[1]) for image in good]
    size = choose_size(shapes, config.data.image_size, config.model.stride)
    tests = [entry for entry in listing.of(name) if entry.split == "test"]
    return Category(
        name,
        torch.stack([to_input(image, size) for image in good]),
        [read[entry.id] for entry in tests],
        [decode_mask((listing.root / entry.mask).read_bytes()) if entry.mask else None for entry in tests],
        [int(entry.label or 0) for entry in tests],
    )


def fit(category: Category, config: Config, seed: int, device: str = "cpu") -> Trained:
    """Train on the category's good images as a run would."""
    split = split_good(len(category.good_NCHW), config.data, seed)
    return train(config, category.good_NCHW[split.train], seed=seed, device=torch.device(device))


def calibrated(
    category: Category,
    net: Autoencoder,
    config: Config,
    seed: int,
    symmetries: Sequence[str],
    provenance: Mapping[str, Any] = MappingProxyType({}),
) -> Detector:
    """The detector of a trained net, on its device.

    Configuration and seed are those of the training: they say which good images the net has not seen.
    """
    good_NCHW, split = category.good_NCHW, split_good(len(category.good_NCHW), config.data, seed)
    return calibrate(
        net, category=category.name, detection=config.detection, train_NCHW=good_NCHW[split.train],
        validation_NCHW=good_NCHW[split.validation], held_out_NCHW=good_NCHW[split.held_out],
        device=next(net.parameters()).device, seed=seed, provenance=provenance, symmetries=symmetries,
    )  # fmt: skip


def figures_on_test(category: Category, detector: Detector) -> dict[str, Any]:
    """Metrics on the test images, as fractions."""
    scored = detector.score(category.images)
    pixels = PixelHistograms.empty()
    for map_HW, mask_HW, label in zip(scored.maps, category.masks, category.labels, strict=True):
        pixels.add(map_HW, mask_HW, defect=label == 1)
    image, pixel = image_metrics(scored.scores, category.labels), pixel_metrics(pixels)
    return {
        "image_auroc": image.auroc, "pixel_auroc": pixel.auroc, "pixel_ap": pixel.ap, "aupro": pixel.aupro,
    }  # fmt: skip


@contextmanager
def remembered_passes(net: Autoencoder) -> Iterator[None]:
    """Have a net answer a batch that it has seen from memory: several readings of it cost its passes once."""
    compute, known = net.forward, dict[bytes, torch.Tensor]()

    def answer(images_NCHW: torch.Tensor) -> torch.Tensor:
        key = hashlib.blake2b(images_NCHW.contiguous().cpu().numpy().tobytes()).digest()
        if key not in known:
            known[key] = compute(images_NCHW)
        return known[key]

    net.forward = answer  # type: ignore[method-assign]
    try:
        yield
    finally:
        # It holds the net, and all that it answered.
        del net.forward
