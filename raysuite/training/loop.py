"""The training loop: good images in, a repairing net out. Plain torch, no Ray.

All images stay on the device as uint8; augmentation and corruption happen there too, from one seeded generator, so that
the same seed on the same machine gives the same net. Inside a ``torch.distributed`` process group all its processes
train one net together (`raysuite.training.distributed`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from raysuite.config import Config, TrainingConfig
from raysuite.corruption.corruptor import Corrupted
from raysuite.errors import TrainingError
from raysuite.models.autoencoder import Autoencoder, build
from raysuite.storage import Location
from raysuite.training.acceleration import (
    Compilation,
    choose_compilation,
    choose_precision,
    compiled_if_it_works,
    in_precision,
)
from raysuite.training.augmentation import Augmentation, choose_augmentation
from raysuite.training.averaging import AveragedNet
from raysuite.training.batches import draw_batch
from raysuite.training.checkpoints import Checkpoints
from raysuite.training.distributed import agree, rank, slice_of, synchronise_batch_norm, total, total_gradients, workers
from raysuite.training.objectives import Net, make_objective
from raysuite.training.progress import Progress, what_is_wrong
from raysuite.training.state import State


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gives.

    Attributes:
        net: The averaged net, in evaluation mode, on the training device.
        history: A line every ``training.log_every`` steps.
        augmentation: How the images were varied, and why.
        precision: What the forward pass was computed in.
        compilation: Whether the net was compiled, and why or why not.
        workers: How many processes trained it together.
        resumed_at: The step of the checkpoint that it went on from; 0 without one.
        seconds: Of the whole training, without the time between a stop and going on.
    """

    net: Autoencoder
    history: tuple[Progress, ...]
    augmentation: Augmentation
    precision: str
    compilation: Compilation
    workers: int
    resumed_at: int
    seconds: float


def train(
    config: Config,
    images_NCHW: Tensor,
    *,
    seed: int,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda _: None,
    checkpoint: Location | None = None,
) -> Trained:
    """Train one net on one category's good images.

    Args:
        config: All settings but ``detection``, which matters later.
        images_NCHW: Good images, uint8, sides multiples of ``config.model.stride``.
        seed: Of weights, order, augmentation and corruption.
        device: Where to train.
        on_progress: Called with each new line of the history.
        checkpoint: A folder of this training alone, which all workers can read, for a checkpoint every
            ``training.checkpoint_every`` steps and one at the end. If one of the same training is there, the training
            goes on from it.

    Raises:
        TrainingError: There are no images, or the loss is no longer a finite number or diverges; the last good
            checkpoint stays.
        ConfigError: The workers cannot share the batch equally.
        StorageError: The checkpoint cannot be written.
    """
    if len(images_NCHW) == 0:
        raise TrainingError("there are no good images to train on")
    settings, mine = config.training, slice_of(config.training.batch_size)
    checkpoints = Checkpoints(checkpoint, config, seed, images_NCHW, device.type) if checkpoint else None
    images_NCHW = images_NCHW.to(device)
    crop = config.data.crop_size or config.data.image_size
    augmentation = choose_augmentation(config.augmentation, images_NCHW, crop)
    net = build(config.model, seed).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    synchronise_batch_norm(net)
    averaged = AveragedNet(net, settings.ema)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    generator = torch.Generator(device).manual_seed(seed)
    state = State(net, averaged, optimiser, generator, torch.zeros(4, device=device))
    objective = make_objective(config, net)
    precision = choose_precision(config, device)

    def trial(module: Net) -> None:
        images = draw_batch(images_NCHW, settings.batch_size, crop, augmentation, torch.Generator(device))
        batch = objective.draw(images, torch.Generator(device))
        objective.loss(in_precision(module, precision), batch).total.backward()  # type: ignore[no-untyped-call]

    module, compilation = compiled_if_it_works(net, choose_compilation(config, device), trial)
    forward = in_precision(module, precision)
    if checkpoints is not None:
        checkpoints.restore(state)
        if rank() > 0:
            # The sums in a checkpoint are those of all workers: one alone goes on with them.
            state.sums.zero_()
        if not agree(state.step):
            raise TrainingError(
                f"the workers do not read the same checkpoint in {checkpoints.where}; let them share it"
            )
    resumed_at = logged_at = state.step
    start = time.perf_counter() - state.seconds
    logged = time.perf_counter()

    def stop(what: str) -> TrainingError:
        """What ends the training, and what is left of it."""
        left = ""
        if checkpoints is not None and checkpoints.last_step:
            left = f"; the last good checkpoint, of step {checkpoints.last_step}, is kept in {checkpoints.where}"
        return TrainingError(
            f"{what} at step {state.step}: lower training.learning_rate "
            f"(it is {settings.learning_rate:g}) or training.gradient_clip (it is {settings.gradient_clip:g}){left}"
        )

    while state.step < settings.steps:
        state.step += 1
        rate = learning_rate(state.step, settings)
        for group in optimiser.param_groups:
            group["lr"] = rate
        clean_NCHW = draw_batch(images_NCHW, settings.batch_size, crop, augmentation, generator)
        batch = objective.draw(clean_NCHW, generator)
        batch = Corrupted(batch.inputs_NCHW[mine], batch.targets_NCHW[mine], batch.mask_N1HW[mine])
        loss = objective.loss(forward, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        total_gradients(net.parameters())
        nn.utils.clip_grad_norm_(net.parameters(), settings.gradient_clip)
        optimiser.step()
        averaged.update()
        state.sums += torch.stack([loss.total.detach(), loss.kept, loss.repaired, loss.extra])
        if state.step % settings.log_every == 0 or state.step == settings.steps:
            # Only here, and at checkpoints, is the device waited for.
            summed = total(state.sums).tolist()
            now = time.perf_counter()
            count = state.step - (state.history[-1].step if state.history else 0)
            speed = (state.step - logged_at) * settings.batch_size / max(now - logged, 1e-9)
            mean, kept, repaired, extra = (value / count for value in summed)
            line = Progress(state.step, mean, kept, repaired, extra, rate, speed, now - start)
            if wrong := what_is_wrong(line, state.history):
                raise stop(f"the loss {wrong}")
            state.history.append(line)
            on_progress(line)
            state.sums.zero_()
            logged, logged_at = now, state.step
        at_the_end = state.step == settings.steps
        if at_the_end or (checkpoints is not None and state.step % settings.checkpoint_every == 0):
            if not state.is_finite():
                raise stop("the weights are no longer numbers")
            state.seconds = time.perf_counter() - start
            if checkpoints is not None:
                everyones = total(state.sums)
                state.sums.copy_(everyones if rank() == 0 else torch.zeros_like(everyones))
                if rank() == 0:
                    checkpoints.save(state)
    # A net of its own, without what was hooked or put into the one that was trained.
    final = build(config.model, seed).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    final.load_state_dict(averaged.net.state_dict())
    return Trained(
        final, tuple(state.history), augmentation, precision, compilation, workers(), resumed_at, state.seconds
    )


def learning_rate(step: int, settings: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak; ``step`` counts from 1."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step <= warmup:
        return settings.learning_rate * step / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
