"""Settings of the loop: objective, augmentation, schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from raysuite.config.validation import require, require_share, require_word

OBJECTIVES = ("filter", "plain", "sparse", "denoise", "contractive")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveConfig:
    """What the net is asked for (`raysuite.training.objectives`).

    Attributes:
        kind: ``filter`` repairs corruptions and leaves the rest (the method); the others are what it improves on:
            ``plain`` reconstruction through a bottleneck, ``sparse`` activations, ``denoise`` of i.i.d. noise,
            ``contractive`` with a small Jacobian.
        repair_weight: Of ``filter``: λ, weight of the corrupted pixels' mean error; the kept pixels' has 1 − λ.
        gradient_weight: Of ``filter``: weight of the gradient-magnitude similarity term.
        idempotence_weight: Of ``filter``: weight of the squared change by a second pass.
        sparsity: Of ``sparse``: weight of the bottleneck's mean absolute activation.
        contraction: Of ``contractive``: weight of the squared norm of the Jacobian, a pixel.
        noise_level: Of ``denoise``: standard deviation of the noise, in grey levels of [0, 1].
    """

    kind: Literal["filter", "plain", "sparse", "denoise", "contractive"] = "filter"
    repair_weight: float = 0.5
    gradient_weight: float = 0.0
    idempotence_weight: float = 0.0
    sparsity: float = 1e-3
    contraction: float = 1e-3
    noise_level: float = 0.2

    @property
    def passes(self) -> int:
        """How often a training step passes each of its images through the net."""
        return 2 if self.kind == "contractive" or (self.kind == "filter" and self.idempotence_weight > 0) else 1

    def __post_init__(self) -> None:
        require_word(self.kind, "objective.kind", *OBJECTIVES)
        require_share(self.repair_weight, "objective.repair_weight")
        for name in ("gradient_weight", "idempotence_weight", "sparsity", "contraction"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"objective.{name}", value, "0 or more")
        require_share(self.noise_level, "objective.noise_level")


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationConfig:
    """How good images are varied in training; ``auto`` asks the images themselves whether that leaves them in kind.

    Attributes:
        flips: Mirror, flip and turn by quarters; ``auto`` decides on each by itself.
        rotation: ``free`` turns by any angle, ``small`` by up to `max_angle`, ``off`` not at all.
        shift: Move by up to `max_shift`.
        max_angle: Of small rotations, in degrees; ``auto`` may take a half or a quarter of it.
        max_shift: As a share of each side; ``auto`` may take a half or a quarter of it.
    """

    flips: Literal["auto", "on", "off"] = "auto"
    rotation: Literal["auto", "free", "small", "off"] = "auto"
    shift: Literal["auto", "on", "off"] = "auto"
    max_angle: float = 3.0
    max_shift: float = 0.03

    def __post_init__(self) -> None:
        require_word(self.flips, "augmentation.flips", "auto", "on", "off")
        require_word(self.rotation, "augmentation.rotation", "auto", "free", "small", "off")
        require_word(self.shift, "augmentation.shift", "auto", "on", "off")
        require(0 <= self.max_angle <= 180, "augmentation.max_angle", self.max_angle, "from 0 to 180")
        require(0 <= self.max_shift <= 0.5, "augmentation.max_shift", self.max_shift, "from 0 to 0.5")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """The loop.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images a step, over all workers together.
        learning_rate: Peak of the cosine schedule.
        warmup_share: Share of the steps in which the rate rises to its peak.
        weight_decay: AdamW's.
        gradient_clip: Largest norm of the gradient.
        ema: Decay of the averaged weights, which are the ones kept.
        precision: ``auto`` takes bfloat16 where the hardware multiplies it natively, else ``float32``.
        compile: ``auto`` compiles the net where that was measured to pay: on GPUs, in trainings of much computation.
        log_every: Steps between two lines of the history.
        checkpoint_every: Steps between two checkpoints, from which a stopped training goes on.
    """

    steps: int = 3200
    batch_size: int = 8
    learning_rate: float = 2e-3
    warmup_share: float = 0.05
    weight_decay: float = 1e-5
    gradient_clip: float = 1.0
    ema: float = 0.995
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "on", "off"] = "auto"
    log_every: int = 20
    checkpoint_every: int = 200

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "log_every", "checkpoint_every"):
            value = getattr(self, name)
            require(value >= 1, f"training.{name}", value, "1 or more")
        require(0 < self.learning_rate <= 1, "training.learning_rate", self.learning_rate, "above 0 and at most 1")
        require(0 <= self.warmup_share < 1, "training.warmup_share", self.warmup_share, "from 0 to below 1")
        require(0 <= self.weight_decay < math.inf, "training.weight_decay", self.weight_decay, "0 or more")
        require(0 < self.gradient_clip < math.inf, "training.gradient_clip", self.gradient_clip, "above 0 and finite")
        require(0 <= self.ema < 1, "training.ema", self.ema, "from 0 to below 1")
        require_word(self.precision, "training.precision", "auto", "float32", "bfloat16")
        require_word(self.compile, "training.compile", "auto", "on", "off")
