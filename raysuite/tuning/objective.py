"""The objective of a trial, from good images alone: how well its net tells synthetic defects from good images.

An exam is drawn once for all trials of a category: good images that no trial trains on, and the same with defects of
families that no training draws. A trial's net sits it as often as wanted, at each rung of a search; `images_for` says
how large an exam the trainings between can afford.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from raysuite import settings
from raysuite.config import Config, DetectionConfig
from raysuite.corruption import unseen
from raysuite.detection.detector import Detector
from raysuite.detection.difference import rounding_noise
from raysuite.detection.maps import divisor, usual_errors
from raysuite.detection.selection import choose, filters_to_try
from raysuite.detection.trial import Defects, Trial
from raysuite.detection.validation import score_of, validate
from raysuite.errors import ConfigError, TrainingError
from raysuite.models.autoencoder import Autoencoder
from raysuite.tuning.families import Families
from raysuite.tuning.space import Space

BATCH = 16

MOST_IMAGES = 24
"""Good images of an exam; each comes once more for each family."""

LEAST_IMAGES = 12
"""With four, the luck of an exam decided a search: trials won that failed the test."""

USUAL_AN_IMAGE = 2
"""Training images, for each image of the exam, that say what is usual at each place."""

COST_SHARE = 0.03
"""What exams may cost, as a share of the training between them; `images_for` keeps to it."""


@dataclass(frozen=True, slots=True)
class Marks:
    """How a trial's net did.

    Attributes:
        score: The objective, in (0, 1), more is better; from the steering families alone. ``None`` if no defect could
            be seen on any image.
        judged: The same from the judging families, if these were asked for; nothing may be chosen by it.
        residual: Mean difference that good images keep, in the unit of ``detection.error``.
        families: By name ``image_auroc``, ``separation``, ``pixel_auroc``, ``pixel_ap`` and ``aupro``, each in [0, 1]
            or ``None``; families that are not visible on any image are not there.
        images: Good images it was asked about.
        detection: How its maps and scores were made: what was configured, or what was chosen on the steering families.
    """

    score: float | None
    judged: float | None
    residual: float
    families: dict[str, dict[str, float | None]]
    images: int
    detection: DetectionConfig

    def as_mapping(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Exam:
    """Good images and defects that are the same for all trials of a category.

    Attributes:
        good_NCHW: Good images that no trial trains on, uint8.
        usual_NCHW: Good images that trials train on, uint8.
        defects: For each family that is visible on an image: these images, uint8 (n, 3, H, W), the masks, bool
            (n, H, W), and which good images they were, int64 (n,).
        families: Which of them steer and which judge.
    """

    good_NCHW: Tensor
    usual_NCHW: Tensor
    defects: dict[str, tuple[Tensor, Tensor, Tensor]]
    families: Families

    @classmethod
    def draw(cls, train_NCHW: Tensor, validation_NCHW: Tensor, families: Families, seed: int, images: int) -> Exam:
        """Draw an exam; the same arguments give the same one on every machine.

        Args:
            train_NCHW: Good images that trials train on, uint8.
            validation_NCHW: Good images that they do not, uint8, of the same size.
            families: Which defects steer and which judge.
            seed: Of the defects. Each family has random numbers of its own, whatever the others are.
            images: Most good images, 1 or more (`images_for`); the same for all trials that are compared.

        Raises:
            TrainingError: There are no images of one of the kinds.
        """
        if len(train_NCHW) == 0 or len(validation_NCHW) == 0:
            raise TrainingError("an exam needs a good image to train on and another one that is not trained on")
        good_NCHW, defects = _spread(validation_NCHW, images).cpu(), {}
        for name in families.all:
            generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {name}".encode()))
            images_NCHW, masks_NHW = unseen.BY_NAME[name](good_NCHW.float() / 255, generator)
            shown_n = torch.nonzero(masks_NHW.flatten(1).any(1)).flatten()
            if len(shown_n):
                defects[name] = (
                    (images_NCHW[shown_n] * 255).round().to(torch.uint8), masks_NHW[shown_n], shown_n,
                )  # fmt: skip
        return cls(good_NCHW, _spread(train_NCHW, USUAL_AN_IMAGE * images).cpu(), defects, families)

    def sit(
        self,
        net: Autoencoder,
        detection: DetectionConfig,
        device: torch.device,
        *,
        symmetries: Sequence[str] = (),
        judge: bool = False,
    ) -> Marks:
        """Let a trial's net sit the exam.

        Args:
            net: In evaluation mode; the averaged one of a training, finished or not.
            detection: The trial's. With ``choice`` ``auto`` map and score are chosen on the steering families.
            device: Where the net computes.
            symmetries: What ``detection.flips`` averages over.
            judge: Ask about the judging families too.
        """
        size = (int(self.good_NCHW.shape[2]), int(self.good_NCHW.shape[3]))
        ones_HW = torch.ones(size, device=device)
        raw = Detector("", size, net, detection, ones_HW, ones_HW, 0.0, tuple(symmetries)).to(device)
        usual = usual_errors(map(raw.error, torch.split(self.usual_NCHW, BATCH)), filters_to_try(detection))
        good_NHW, names = _errors(raw, self.good_NCHW), self.families.all if judge else self.families.steering
        asked = {
            name: Defects(_errors(raw, images_nCHW), masks_nHW, good_n)
            for name, (images_nCHW, masks_nHW, good_n) in self.defects.items()
            if name in names
        }
        if detection.choice == "auto":
            steering = {name: asked[name] for name in asked if name in self.families.steering}
            detection, _ = choose(Trial(good_NHW, steering), usual, detection)
        least = rounding_noise(detection.error)
        map_usual_HW = usual[detection.map_kernel, detection.map_passes]
        score_usual_HW = usual[detection.score_kernel, detection.score_passes]
        detector = replace(
            raw,
            detection=detection,
            map_spread_HW=divisor(map_usual_HW, detection.map_normalise, detection.floor, least),
            score_spread_HW=divisor(score_usual_HW, detection.score_normalise, detection.floor, least),
        )
        figures = validate(detector, Trial(good_NHW, asked))
        families, residual = figures["families"], figures["residual"]
        scores = [
            score_of({name: of for name, of in families.items() if name in part})
            for part in (self.families.steering, self.families.judging)
        ]
        return Marks(scores[0], scores[1], residual, families, len(good_NHW), detection)


def images_for(steps: int, batch_size: int, families: int) -> int:
    """How many good images an exam may have, so that it costs `COST_SHARE` of a training of so many steps.

    A step is taken for three forward passes of its batch. Trials of one search have equal steps, so that they get equal
    exams, however large their nets are.

    Args:
        steps: Steps between two exams.
        batch_size: Images a step.
        families: Families that are asked about.

    Returns:
        From `LEAST_IMAGES`, whatever that costs, to `MOST_IMAGES`; a category may have fewer.
    """
    passes_an_image = 1 + USUAL_AN_IMAGE + families
    affordable = int(COST_SHARE * 3 * steps * batch_size / passes_an_image)
    return min(max(affordable, LEAST_IMAGES), MOST_IMAGES)


def common_stride(space: Space, base: Config) -> int:
    """What sides of images must be a multiple of for all trials of a space to be given the same ones, in pixels."""
    keys = ("model.stem", "model.depth", "model.widths")
    domains = {one.key: one.domain.spread(9) for one in space.dimensions if one.key in keys}
    strides = [base.model.stride]
    for values in itertools.product(*domains.values()):
        try:
            strides.append(settings.with_values(base, dict(zip(domains, values, strict=True))).model.stride)
        except ConfigError:
            continue
    return math.lcm(*strides)


def _errors(detector: Detector, images_NCHW: Tensor) -> Tensor:
    return torch.cat([detector.error(batch) for batch in torch.split(images_NCHW, BATCH)])


def _spread(images_NCHW: Tensor, most: int) -> Tensor:
    """Up to so many of them, spread over all: files are often sorted by day or batch."""
    return images_NCHW[torch.linspace(0, len(images_NCHW) - 1, min(most, len(images_NCHW))).long()]
