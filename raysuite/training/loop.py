"""The training loop: good images in, a repairing net out. Plain torch, no Ray.

All images stay on the device as uint8, or come to it in a stream (`raysuite.training.sources`); augmentation and
corruption happen there too (`raysuite.training.ahead`), from one seeded generator, so that the same seed on the same
machine gives the same net.
Inside a ``torch.distributed`` process group all its processes train one net together
(`raysuite.training.distributed`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from raysuite.config import Config, TrainingConfig
from raysuite.corruption.corruptor import Corrupted
from raysuite.errors import TrainingError
from raysuite.memory import told_as
from raysuite.models.autoencoder import Autoencoder, build
from raysuite.storage import Location
from raysuite.training.acceleration import (
    Compilation,
    choose_compilation,
    choose_precision,
    compiled_if_it_works,
    in_precision,
)
from raysuite.training.accumulation import LESS, Accumulation
from raysuite.training.ahead import Ahead, steps_at_once
from raysuite.training.augmentation import Augmentation, choose_augmentation
from raysuite.training.averaging import AveragedNet
from raysuite.training.batches import draw_batch
from raysuite.training.checkpoints import Checkpoints
from raysuite.training.distributed import (
    agree,
    everyones,
    rank,
    slice_of,
    synchronise_batch_norm,
    total,
    total_gradients,
    workers,
)
from raysuite.training.objectives import Net, make_objective
from raysuite.training.progress import Progress, what_is_wrong
from raysuite.training.recording import Recording, recorded_if_it_works
from raysuite.training.sources import Source, as_source
from raysuite.training.state import State
from raysuite.training.template import Template, make_template


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gives.

    Attributes:
        net: The averaged net, in evaluation mode, on the training device.
        history: A line every ``training.log_every`` steps.
        augmentation: How the images were varied, and why.
        template: What the net sees beside each image, or why nothing.
        precision: What the forward pass was computed in.
        compilation: Whether the net was compiled, and why or why not.
        recording: Whether its passes were replayed from a CUDA graph, and why or why not.
        workers: How many processes trained it together.
        micro_batch: Images that each of them computed at once: its share of the batch, or less where memory ran out.
        resumed_at: The step of the checkpoint that it went on from; 0 without one.
        seconds: Of the whole training, without the time between a stop and going on.
    """

    net: Autoencoder
    history: tuple[Progress, ...]
    augmentation: Augmentation
    template: Template
    precision: str
    compilation: Compilation
    recording: Recording
    workers: int
    micro_batch: int
    resumed_at: int
    seconds: float


@told_as(TrainingError, f"the training ran out of memory: lower training.batch_size, {LESS}")
def train(
    config: Config,
    images: Tensor | Source,
    *,
    seed: int,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda _: None,
    checkpoint: Location | None = None,
    pauses: Collection[int] = (),
    on_pause: Callable[[int, Trained], None] = lambda _step, _trained: None,
    on_smaller: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train one net on one category's good images.

    Args:
        config: All settings but ``detection``, which matters later.
        images: Good images, uint8, sides multiples of ``config.model.stride``; or where they come from.
        seed: Of weights, order, augmentation and corruption.
        device: Where to train.
        on_progress: Called with each new line of the history.
        checkpoint: A folder of this training alone, which all workers can read, for a checkpoint every
            ``training.checkpoint_every`` steps and one at the end. If one of the same training is there, the training
            goes on from it.
        pauses: Steps after which the training pauses, its checkpoint written, for ``on_pause``, as it does if it goes
            on from such a step; it then goes on as if it had not. The time of a pause is not counted.
        on_pause: Called with the step and with what the training would hand over if it ended there. What it raises
            ends the training.
        on_smaller: Told in a sentence when fewer images than a batch has are taken at once, for want of memory.

    Raises:
        TrainingError: There are no images, they or one of them at work do not fit into memory, or the loss is no longer
            a finite number or diverges; the last good checkpoint stays.
        ConfigError: The workers cannot share the batch equally, or a template is asked for beside crops.
        StorageError: The checkpoint cannot be written.
    """
    source = as_source(images)
    if len(source) == 0:
        raise TrainingError("there are no good images to train on")
    settings, mine = config.training, slice_of(config.training.batch_size)
    height, width = source.sample_NCHW.shape[2:]
    at_once = steps_at_once(device, settings.batch_size * height * width)
    drawn = f"{device.type}, {at_once} steps at once" if at_once > 1 else device.type
    checkpoints = Checkpoints(checkpoint, config, seed, source.fingerprint(), drawn) if checkpoint else None
    size = f"{source.sample_NCHW.nbytes / 1e9:.1f} GB"
    less = "lower data.image_size, or data.resident_gb to stream them"
    with told_as(TrainingError, f"the training images, {size}, do not fit into memory: {less}"):
        source.move(device)
    crop = config.data.crop_size or config.data.image_size
    augmentation = choose_augmentation(config.augmentation, source.sample_NCHW, crop)
    template = make_template(config.model.template, source.sample_NCHW, crop, augmentation)
    net = build(config.model, seed, template.image_CHW).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    synchronise_batch_norm(net)
    averaged = AveragedNet(net, settings.ema)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    generator = torch.Generator(device).manual_seed(seed)
    state = State(net, averaged, optimiser, generator, torch.zeros(4, device=device))
    objective = make_objective(config, net)
    accumulation = Accumulation(net, objective, mine.stop - mine.start, on_smaller)
    precision = choose_precision(config, device)

    def trial_batch() -> Corrupted:
        sample_NCHW = source.sample_NCHW[: settings.batch_size].to(device)
        trial_NCHW = draw_batch(sample_NCHW, settings.batch_size, crop, augmentation, torch.Generator(device))
        return objective.draw(trial_NCHW, torch.Generator(device))

    def trial(module: Net) -> None:
        accumulation.gradients(in_precision(module, precision), trial_batch())

    module, compilation = compiled_if_it_works(net, choose_compilation(config, device), trial)
    gradients, recording = recorded_if_it_works(
        partial(accumulation.gradients, in_precision(module, precision)),
        net, trial_batch, lambda: accumulation.micro_batch == settings.batch_size, device,
    )  # fmt: skip
    if checkpoints is not None:
        checkpoints.restore(state)
        if rank() > 0:
            # The sums in a checkpoint are those of all workers: one alone goes on with them.
            state.sums.zero_()
        if not agree(state.step):
            raise TrainingError(
                f"the workers do not read the same checkpoint in {checkpoints.where}; let them share it"
            )

    def draw(count: int, working: torch.Generator) -> Corrupted:
        return objective.draw(draw_batch(source, count, crop, augmentation, working), working)

    ahead = Ahead(draw, generator, settings.batch_size, at_once)
    source.seek(ahead.skipped(state.step))
    resumed_at = logged_at = state.step

    def hand_over() -> Trained:
        # A net of its own, without what was hooked or put into the one that is trained.
        own = build(config.model, seed, template.image_CHW).to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        own.load_state_dict(averaged.net.state_dict())
        micro_batch = min(everyones(accumulation.micro_batch))
        return Trained(
            own, tuple(state.history), augmentation, template, precision, compilation, recording, workers(),
            micro_batch, resumed_at, state.seconds,
        )  # fmt: skip

    def pause() -> float:
        """Let the caller look at what there is, if that is wanted at this step; returns for how many seconds."""
        begun = time.perf_counter()
        if state.step in pauses:
            on_pause(state.step, hand_over())
        return time.perf_counter() - begun

    pause()
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
        losses = gradients(ahead.batch(state.step, mine))
        total_gradients(net.parameters())
        nn.utils.clip_grad_norm_(net.parameters(), settings.gradient_clip)
        optimiser.step()
        averaged.update()
        state.sums += losses
        if state.step % settings.log_every == 0 or state.step == settings.steps:
            # Only here, and at checkpoints, is the device waited for.
            summed = total(state.sums).tolist()
            now = time.perf_counter()
            speed = (state.step - logged_at) * settings.batch_size / max(now - logged, 1e-9)
            count = state.step - (state.history[-1].step if state.history else 0)
            mean, kept, repaired, extra = (value / count for value in summed)
            line = Progress(state.step, mean, kept, repaired, extra, rate, speed, now - start)
            if wrong := what_is_wrong(line, state.history, last=state.step == settings.steps):
                raise stop(f"the loss {wrong}")
            state.history.append(line)
            on_progress(line)
            state.sums.zero_()
            logged, logged_at = now, state.step
        stops = state.step == settings.steps or state.step in pauses
        if stops or (checkpoints is not None and state.step % settings.checkpoint_every == 0):
            if not state.is_finite():
                raise stop("the weights are no longer numbers")
            state.seconds = time.perf_counter() - start
            if checkpoints is not None:
                summed_4 = total(state.sums)
                mean, kept, repaired, extra = total(losses).tolist()
                latest = Progress(state.step, mean, kept, repaired, extra, rate, 0.0, state.seconds)
                # What diverges must not take the place of the last good one. The next line of the history ends it; or a
                # step was unlucky, and the next checkpoint is written.
                doubtful = state.step < settings.steps and what_is_wrong(latest, state.history) is not None
                state.sums.copy_(summed_4 if rank() == 0 else torch.zeros_like(summed_4))
                if rank() == 0 and not doubtful:
                    checkpoints.save(state)
        paused = pause()
        start, logged = start + paused, logged + paused
    return hand_over()


def learning_rate(step: int, settings: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak; ``step`` counts from 1."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step <= warmup:
        return settings.learning_rate * step / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))
