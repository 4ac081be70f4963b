"""A short trial: how long a training step takes here, measured by training for a few seconds."""

from __future__ import annotations

import contextlib
import statistics
import time
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from raysuite.config import Config
from raysuite.models.autoencoder import build
from raysuite.training.augmentation import choose_augmentation
from raysuite.training.batches import draw_batch
from raysuite.training.loop import train
from raysuite.training.objectives import make_objective
from raysuite.training.progress import Progress

SECONDS = 3.0
"""After how long the trial ends, at the next step; what goes before it takes about as long."""

MOST_STEPS = 30
IMAGES = 8


class _EnoughError(Exception):
    """The trial's time is over."""


def time_steps(config: Config, device: torch.device, workers: int = 1) -> tuple[int, float]:
    """Train on random images of the real size, in the training's own precision and with this process's threads.

    The loop is the real one, with every augmentation that ``auto`` might choose. A first step is not counted. If a
    batch is too large for the time, a part of it is measured and scaled. Of several workers each draws the whole batch
    and passes its share: the rest of the drawing is measured by itself and added. What is left out: compiling, which
    would take longer than the trial, and what several workers of one training exchange.

    Args:
        config: Of the training that is to be timed.
        device: Where it will train.
        workers: Workers of the training, each of which is given its share of a batch.

    Returns:
        How many steps were measured, and the seconds that one step of the whole batch takes.

    Raises:
        RaysuiteError: The training cannot be done here, as in the training itself.
    """
    batch = max(1, config.training.batch_size // workers)
    part = min(2, batch)
    # A small part says how much can be done in the time. It errs on the slow side, least so the faster step.
    others = _drawing_seconds(config, device, config.training.batch_size - batch)
    start = time.perf_counter()
    probed = _step_seconds(config, device, part, 2)
    whole = min(probed) * batch / part
    if time.perf_counter() - start > SECONDS:
        return len(probed), whole + others
    # Time for two steps at least: the first is not counted.
    part = batch if 2 * whole <= SECONDS else max(part, int(batch * SECONDS / (2 * whole)))
    measured = _step_seconds(config, device, part, min(MOST_STEPS, config.training.steps))
    # A GPU draws the batches of some steps in one of them, which the median would not see.
    usual = statistics.median(measured) if device.type == "cpu" else statistics.fmean(measured)
    return len(measured), usual * batch / part + others


def _images(config: Config) -> Tensor:
    side = config.data.image_size
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (IMAGES, 3, side, side), dtype=torch.uint8, generator=generator)


def _decided(config: Config) -> Config:
    """The settings with every ``auto`` of the augmentation on: what is decided on real images cannot be on noise."""
    asked = config.augmentation
    augmentation = replace(
        asked,
        flips="on" if asked.flips == "auto" else asked.flips,
        rotation="small" if asked.rotation == "auto" else asked.rotation,
        shift="on" if asked.shift == "auto" else asked.shift,
    )
    return replace(config, augmentation=augmentation)


def _drawing_seconds(config: Config, device: torch.device, count: int) -> float:
    """Seconds that augmenting and corrupting so many images takes, scaled from `IMAGES` at most."""
    if count == 0:
        return 0.0
    images_NCHW, part = _images(config).to(device), min(count, IMAGES)
    crop = config.data.crop_size or config.data.image_size
    augmentation = choose_augmentation(_decided(config).augmentation, images_NCHW, crop)
    objective = make_objective(config, build(config.model, 0))
    generator = torch.Generator(device).manual_seed(0)
    taken = []
    for _ in range(4):
        start = time.perf_counter()
        objective.draw(draw_batch(images_NCHW, part, crop, augmentation, generator), generator)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:]) * count / part


def _step_seconds(config: Config, device: torch.device, batch_size: int, steps: int) -> list[float]:
    """Seconds of each step, at most so many, and at least one."""
    images_NCHW = _images(config)
    trial = replace(
        _decided(config),
        training=replace(config.training, steps=steps + 1, batch_size=batch_size, log_every=1, compile="off"),
    )
    done: list[float] = []
    start = time.perf_counter()

    def look(line: Progress) -> None:
        done.append(line.seconds)
        if len(done) > 1 and time.perf_counter() - start > SECONDS:
            raise _EnoughError

    with contextlib.suppress(_EnoughError):
        train(trial, images_NCHW, seed=0, device=device, on_progress=look)
    return [later - earlier for earlier, later in pairwise(done)]
