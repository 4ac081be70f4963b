"""The training loop: good images in, a repairing net out. Plain torch, one device, no Ray.

All images stay on the device as uint8; augmentation and corruption happen there too, from one seeded generator, so that
the same seed on the same machine gives the same net.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from raysuite.config import Config, TrainingConfig
from raysuite.corruption.corruptor import Corruptor
from raysuite.errors import TrainingError
from raysuite.models.autoencoder import Autoencoder, build
from raysuite.training.augmentation import SYMMETRIES, draw_batch, find_symmetries
from raysuite.training.averaging import AveragedNet
from raysuite.training.objective import region_balanced_loss


@dataclass(frozen=True, slots=True)
class Progress:
    """One line of the history: means since the line before it.

    Attributes:
        step: Steps done.
        loss: Mean loss.
        kept_loss: Its part over kept pixels, squared grey levels of [0, 1].
        repaired_loss: Its part over corrupted pixels.
        learning_rate: Of the last step.
        images_per_second: Training rate.
        seconds: Since the start of the training.
    """

    step: int
    loss: float
    kept_loss: float
    repaired_loss: float
    learning_rate: float
    images_per_second: float
    seconds: float

    def as_row(self) -> dict[str, float]:
        """The line as a mapping, for a table."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training gives.

    Attributes:
        net: The averaged net, in evaluation mode, on the training device.
        history: A line every ``training.log_every`` steps.
        symmetries: The flips and turns that were used.
        precision: What the forward pass was computed in.
        seconds: Of the whole training.
    """

    net: Autoencoder
    history: tuple[Progress, ...]
    symmetries: tuple[str, ...]
    precision: str
    seconds: float


def train(
    config: Config,
    images_NCHW: Tensor,
    *,
    seed: int,
    device: torch.device,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Trained:
    """Train one net on one category's good images.

    Args:
        config: All settings; ``data.crop_size``, ``corruption``, ``model`` and ``training`` matter here.
        images_NCHW: Good images, uint8, sides multiples of ``config.model.stride``.
        seed: Of weights, order, augmentation and corruption.
        device: Where to train.
        on_progress: Called with each new line of the history.

    Raises:
        TrainingError: There are no images, or the loss is no longer finite.
    """
    if len(images_NCHW) == 0:
        raise TrainingError("there are no good images to train on")
    settings = config.training
    images_NCHW = images_NCHW.to(device)
    symmetries = _symmetries(settings, images_NCHW)
    precision = choose_precision(settings.precision, device)
    generator = torch.Generator(device).manual_seed(seed)
    corruptor = Corruptor(config.corruption)
    net = build(config.model, seed).to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    averaged = AveragedNet(net, settings.ema)
    optimiser = torch.optim.AdamW(
        net.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
    )
    crop = config.data.crop_size or config.data.image_size
    crop -= crop % config.model.stride
    history: list[Progress] = []
    sums = torch.zeros(3, device=device)
    start = last = time.perf_counter()
    last_step = 0
    for step in range(1, settings.steps + 1):
        rate = learning_rate(step, settings)
        for group in optimiser.param_groups:
            group["lr"] = rate
        clean_NCHW = draw_batch(images_NCHW, settings.batch_size, crop, symmetries, generator)
        batch = corruptor(clean_NCHW, generator)
        inputs_NCHW = batch.inputs_NCHW.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            outputs_NCHW = net(inputs_NCHW)
        loss = region_balanced_loss(outputs_NCHW, batch.targets_NCHW, batch.mask_N1HW, settings.repair_weight)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(net.parameters(), settings.gradient_clip)
        optimiser.step()
        averaged.update()
        sums += torch.stack([loss.total.detach(), loss.kept, loss.repaired])
        if step % settings.log_every == 0 or step == settings.steps:
            count, now = step - last_step, time.perf_counter()
            total, kept, repaired = (sums / count).tolist()
            if not math.isfinite(total):
                raise TrainingError(
                    f"the loss is no longer a number by step {step}; lower training.learning_rate "
                    f"(it is {settings.learning_rate:g})"
                )
            speed = count * settings.batch_size / max(now - last, 1e-9)
            history.append(Progress(step, total, kept, repaired, rate, speed, now - start))
            on_progress(history[-1])
            sums.zero_()
            last, last_step = now, step
    net.load_state_dict(averaged.net.state_dict())
    return Trained(net.eval(), tuple(history), symmetries, precision, time.perf_counter() - start)


def learning_rate(step: int, settings: TrainingConfig) -> float:
    """Linear warm-up, then half a cosine down to a hundredth of the peak; ``step`` counts from 1."""
    warmup = max(1, round(settings.warmup_share * settings.steps))
    if step <= warmup:
        return settings.learning_rate * step / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


def choose_precision(wanted: str, device: torch.device) -> str:
    """``float32`` or ``bfloat16``: the latter by itself only where the hardware multiplies it natively."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if native else "float32"


def _symmetries(settings: TrainingConfig, images_NCHW: Tensor) -> tuple[str, ...]:
    if settings.flips == "auto":
        return find_symmetries(images_NCHW)
    square = images_NCHW.shape[2] == images_NCHW.shape[3]
    return () if settings.flips == "off" else SYMMETRIES if square else SYMMETRIES[:2]
