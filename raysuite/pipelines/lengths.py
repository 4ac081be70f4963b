"""How long trainings are, measured against one another: what the planner sorts by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from raysuite.config import Config
from raysuite.models.autoencoder import Autoencoder
from raysuite.planning import Job
from raysuite.runs import Member, Run

# A backward pass costs about two forward ones; calibration is forward only.
PASSES_A_STEP = 3


def jobs_of(run: Run, members: Sequence[Member], images: Mapping[str, int]) -> list[Job]:
    """What the planner knows of trainings.

    Args:
        run: Their run.
        members: Their categories, seeds and objectives.
        images: Category → its training images.
    """
    return [Job(member.key, length(run.config_of(member), images.get(member.category, 0))) for member in members]


def length(config: Config, images: int) -> float:
    """A training's length, calibration included: pixels × parameters × passes. No seconds, but comparable."""
    with torch.device("meta"):
        parameters = Autoencoder(config.model).parameter_count()
    side = config.data.image_size
    crop = config.data.crop_size or side
    images_a_step = config.training.batch_size * config.objective.passes
    trained = config.training.steps * images_a_step * crop**2 * PASSES_A_STEP
    return float(parameters * (trained + images * side**2))
