"""How the figures of a run came about, in sentences: what saw which images, and what chose what."""

from __future__ import annotations

import math

import yaml

from raysuite import settings
from raysuite.config import Config
from raysuite.errors import ConfigError
from raysuite.reporting.results import RunResults

ERRORS = {
    "squared": "squared difference",
    "ssim": "structural dissimilarity (SSIM)",
    "geometric": "geometric mean of squared difference and structural dissimilarity (SSIM)",
}


def protocol(results: RunResults) -> tuple[tuple[str, str], ...]:
    """Topics and what holds of them; nothing where ``config.yaml`` cannot be read."""
    config = _config(results)
    if config is None:
        return ()
    data, detection, training = config.data, config.detection, config.training
    trained = f"{training.steps:,} steps of {training.batch_size} images"
    crop = f", in crops of {data.crop_size}" if data.crop_size else ""
    seeds = sorted({run.seed for run in results.runs})
    return (
        (
            "Training sees",
            f"good training images alone: of each category all but {_percent(data.held_out_share)} that are held out "
            f"for the threshold and {_percent(data.validation_share)} that are validated on, drawn with the seed.",
        ),
        (
            "Objective and net",
            f"{' and '.join(results.objectives)}; preset {config.preset}; shorter side {data.image_size} "
            f"pixels{crop}; {trained}; the last weights are taken, none are chosen among.",
        ),
        (
            "Map and score",
            f"of the {ERRORS[detection.error]} between an image and its reconstruction. "
            + (
                "Smoothing, normalisation and pooling are chosen on synthetic defects in the good validation images, "
                "of kinds that training never draws."
                if detection.choice == "auto"
                else "Smoothing, normalisation and pooling are as set; nothing is chosen."
            ),
        ),
        (
            "Threshold",
            f"set on the held-out good images, so that at most {_percent(detection.false_alarm_rate)} of good images "
            f"should be above it; fewer than {math.ceil(1 / detection.false_alarm_rate - 1 - 1e-9)} held-out images "
            "cannot promise that, and n of them promise 1 in n + 1. An image is an alarm if its score is above.",
        ),
        (
            "Test images and labels",
            (
                "chose the settings, as an oracle (raysuite tune --objective oracle)."
                if results.oracle
                else "are read by the evaluation alone, after training: nothing of a detector is chosen with them. "
                "What a person reads off the threshold slider of this page is."
            ),
        ),
        (
            "Pixel metrics",
            "are over all pixels of all test images, good ones included, with the map scaled to the mask's size; "
            "a category without masks has none.",
        ),
        (
            "Seeds",
            f"{', '.join(map(str, seeds))}: each fixes weights, order, augmentation, corruption and split. On the same "
            "machine a CPU training repeats to the bit; on other hardware the figures differ a little.",
        ),
    )


def _config(results: RunResults) -> Config | None:
    try:
        return settings.from_card(yaml.safe_load(results.config))
    except (yaml.YAMLError, ConfigError, KeyError, TypeError, AttributeError):
        return None


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
