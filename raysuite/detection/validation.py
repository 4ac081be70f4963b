"""What a finished detector reaches on synthetic defects that training never draws: figures without any label."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from raysuite.detection.detector import Detector
from raysuite.detection.selection import log_odds, separation
from raysuite.detection.trial import Defects, Trial
from raysuite.metrics.histograms import PixelHistograms
from raysuite.metrics.image import image_metrics
from raysuite.metrics.pixel import pixel_metrics

FIGURES = ("image_auroc", "separation", "pixel_auroc", "pixel_ap", "aupro")


def validate(detector: Detector, trial: Trial) -> dict[str, Any]:
    """Judge a detector on a trial of its net.

    Returns:
        Plain values. ``image_auroc``, ``separation``, ``pixel_auroc``, ``pixel_ap`` and ``aupro`` are means over the
        families, and ``families`` has them for each; all in [0, 1], or ``None`` where not defined. ``residual`` is the
        mean difference that good images keep, in the unit of ``detection.error``: squared grey levels for ``squared``.
        ``score`` is `score_of` these families.
    """
    good_N = detector.scores(trial.good_NHW)
    good = PixelHistograms.empty()
    good.add_all(detector.maps(trial.good_NHW).cpu().numpy(), None)
    families = {name: _figures(detector, defects, good_N, good) for name, defects in trial.families.items()}
    return {
        "score": score_of(families),
        **_means(families),
        "residual": float(trial.good_NHW.mean()),
        "images": len(trial.good_NHW),
        "families": families,
    }


def _figures(
    detector: Detector, defects: Defects, good_N: torch.Tensor, good: PixelHistograms
) -> dict[str, float | None]:
    scores_n = detector.scores(defects.error_nHW)
    maps_nHW, masks_nHW = detector.maps(defects.error_nHW).cpu().numpy(), defects.mask_nHW.cpu().numpy()
    pixels = PixelHistograms.empty() + good
    pixels.add_all(maps_nHW, masks_nHW)
    labels = [0] * len(good_N) + [1] * len(scores_n)
    pixel = pixel_metrics(pixels)
    return {
        "image_auroc": image_metrics(torch.cat([good_N, scores_n]).cpu().numpy(), labels).auroc,
        # One good image has no spread to measure a distance in.
        "separation": float(separation(good_N, scores_n).mean()) if len(good_N) > 1 else None,
        "pixel_auroc": pixel.auroc,
        "pixel_ap": pixel.ap,
        "aupro": pixel.aupro,
    }


def score_of(families: Mapping[str, Mapping[str, float | None]]) -> float | None:
    """One number to choose and tune by, in (0, 1), more is better; a formula of our own.

    Half of it is the separation of images, a quarter each pixel AUROC and AP, all means over the families, averaged as
    log odds: so each counts by how far it has come and not by its range, and near 1 it still tells trainings apart.

    Args:
        families: By name, as `validate` returns them.

    Returns:
        ``None`` if a figure is not defined for any family.
    """
    means = _means(families)
    # The AUROC with a single good image is coarse, but better to tune by than nothing.
    image = means["image_auroc"] if means["separation"] is None else means["separation"]
    auroc, ap = means["pixel_auroc"], means["pixel_ap"]
    if image is None or auroc is None or ap is None:
        return None
    odds = log_odds(image) / 2 + log_odds(auroc) / 4 + log_odds(ap) / 4
    return 1 / (1 + math.exp(-odds))


def _means(families: Mapping[str, Mapping[str, float | None]]) -> dict[str, float | None]:
    known = {name: [value for of in families.values() if (value := of[name]) is not None] for name in FIGURES}
    return {name: float(np.mean(values)) if values else None for name, values in known.items()}
