"""From a trained net to a detector: what good images look like to it, and where the threshold lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor

from raysuite.config import DetectionConfig
from raysuite.detection.detector import Detector
from raysuite.detection.maps import smooth, spread
from raysuite.errors import DetectorError
from raysuite.metrics import calibration
from raysuite.models.autoencoder import Autoencoder

BATCH = 16
MOST_IMAGES = 256


def split_held_out(count: int, share: float, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of training and of held-out images: two 1-D int64 tensors, each sorted.

    At least one image is held out and at least one is trained on, unless there is only one, which then serves as both.
    """
    if count == 1:
        both = torch.zeros(1, dtype=torch.int64)
        return both, both
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    held = min(max(1, round(share * count)), count - 1)
    return order[held:].sort().values, order[:held].sort().values


def calibrate(
    net: Autoencoder,
    *,
    category: str,
    detection: DetectionConfig,
    train_NCHW: Tensor,
    held_out_NCHW: Tensor,
    device: torch.device,
    provenance: Mapping[str, Any],
) -> Detector:
    """Measure what good images show, and set the threshold from those kept out of training.

    The pattern of normal errors is taken from up to 256 training images, because a pattern needs many. The threshold is
    taken from held-out images alone: training images look better than new ones, and nothing else in the detector has
    seen the held-out ones, which is what the promised false alarm rate rests on.

    Args:
        net: Trained, in evaluation mode.
        category: Its name.
        detection: How maps and scores are computed.
        train_NCHW: Good images the net has seen, uint8.
        held_out_NCHW: Good images it has not seen, uint8, at least one.
        device: Where to compute.
        provenance: Goes into the detector as it is.

    Raises:
        DetectorError: No held-out images were given.
    """
    if len(held_out_NCHW) == 0:
        raise DetectorError(f"category {category} has no held-out good images to calibrate on")
    size = (int(held_out_NCHW.shape[2]), int(held_out_NCHW.shape[3]))
    ones = torch.ones(size, device=device)
    raw = Detector(category, size, net, detection, ones, ones, 0.0).to(device)
    map_spread_HW = score_spread_HW = ones
    if detection.normalise:
        error_NHW = torch.cat([raw.error(batch) for batch in torch.split(train_NCHW[:MOST_IMAGES], BATCH)])
        wide = smooth(error_NHW, detection.map_kernel, detection.map_passes)
        narrow = smooth(error_NHW, detection.score_kernel, detection.score_passes)
        map_spread_HW, score_spread_HW = (
            smooth(spread(maps, detection.floor)[None], detection.map_kernel, detection.map_passes)[0]
            for maps in (wide, narrow)
        )
    detector = Detector(category, size, net, detection, map_spread_HW, score_spread_HW, 0.0).to(device)
    scores = torch.cat([detector.scores(detector.error(batch)) for batch in torch.split(held_out_NCHW, BATCH)])
    threshold = calibration.calibrate(scores.double().cpu().numpy(), detection.false_alarm_rate)
    return replace(detector, threshold=threshold.threshold, provenance={**provenance, "threshold": asdict(threshold)})
