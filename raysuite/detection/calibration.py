"""From a trained net to a detector: what good images look like to it, its map and score, and its threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raysuite.config import DetectionConfig
from raysuite.detection.detector import Detector
from raysuite.detection.difference import rounding_noise
from raysuite.detection.maps import divisor, usual_errors
from raysuite.detection.selection import choose, filters_to_try
from raysuite.detection.trial import BATCH, hold_trial
from raysuite.detection.validation import validate
from raysuite.errors import DetectorError
from raysuite.metrics import calibration
from raysuite.models.autoencoder import Autoencoder

MOST_IMAGES = 256


def calibrate(
    net: Autoencoder,
    *,
    category: str,
    detection: DetectionConfig,
    train_NCHW: Tensor,
    validation_NCHW: Tensor,
    held_out_NCHW: Tensor,
    device: torch.device,
    seed: int,
    provenance: Mapping[str, Any],
    symmetries: Sequence[str] = (),
) -> Detector:
    """Measure what good images show, choose map and score, and set the threshold.

    Each part of the good images has one task. The pattern of normal errors is taken from up to 256 training images,
    because a pattern needs many; from the few validation images it would be noise, and they would be judged by
    themselves. Map and score are chosen and judged on validation images with synthetic defects. The threshold is taken
    from held-out images alone: nothing else in the detector has seen them, which is what the promised false alarm rate
    rests on.

    Args:
        net: Trained, in evaluation mode.
        category: Its name.
        detection: How maps and scores are computed, or chosen.
        train_NCHW: Good images the net has seen, uint8.
        validation_NCHW: Good images it has not seen, uint8, at least one.
        held_out_NCHW: More of these, for the threshold, uint8, at least one.
        device: Where to compute.
        seed: Of the synthetic defects.
        provenance: Goes into the detector as it is, and is joined by ``selection``, ``validation`` and ``threshold``.
        symmetries: What ``detection.flips`` averages over: names of `raysuite.symmetries.ORIENTATIONS`.

    Raises:
        DetectorError: No training, validation or held-out images were given.
    """
    for part, images_NCHW in (("training", train_NCHW), ("validation", validation_NCHW), ("held-out", held_out_NCHW)):
        if len(images_NCHW) == 0:
            raise DetectorError(f"category {category} has no {part} good images to calibrate on")
    size = (int(held_out_NCHW.shape[2]), int(held_out_NCHW.shape[3]))
    ones = torch.ones(size, device=device)
    raw = Detector(category, size, net, detection, ones, ones, 0.0, tuple(symmetries)).to(device)
    # Spread over all of them: files are often sorted by day or batch.
    picks = torch.linspace(0, len(train_NCHW) - 1, min(MOST_IMAGES, len(train_NCHW))).long()
    usual = usual_errors(
        (raw.error(batch) for batch in torch.split(train_NCHW[picks], BATCH)), filters_to_try(detection)
    )
    trial = hold_trial(raw.error, validation_NCHW, seed)
    selection: dict[str, Any] = {}
    if detection.choice == "auto":
        detection, selection = choose(trial, usual, detection)
    least = rounding_noise(detection.error)
    detector = replace(
        raw,
        detection=detection,
        map_spread_HW=divisor(
            usual[detection.map_kernel, detection.map_passes], detection.map_normalise, detection.floor, least
        ),
        score_spread_HW=divisor(
            usual[detection.score_kernel, detection.score_passes], detection.score_normalise, detection.floor, least
        ),
    )
    scores = torch.cat([detector.scores(detector.error(batch)) for batch in torch.split(held_out_NCHW, BATCH)])
    good_scores_N = np.sort(scores.double().cpu().numpy())
    threshold = calibration.calibrate(good_scores_N, detection.false_alarm_rate)
    return replace(
        detector,
        threshold=threshold.threshold,
        good_scores_N=good_scores_N,
        provenance={
            **provenance,
            "selection": selection,
            "validation": validate(detector, trial),
            "threshold": asdict(threshold),
        },
    )
