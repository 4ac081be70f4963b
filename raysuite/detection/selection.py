"""Which smoothing, normalisation and pooling a detector takes: chosen on synthetic defects, without any label.

Candidates are compared on a `Trial`: defects of families that training never draws, on good images kept out of it. The
best one only replaces what is configured if it is better by more than `SURE` standard errors of the comparison, so that
noise does not choose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import stdtr
from torch import Tensor

from raysuite.config import DetectionConfig
from raysuite.detection.difference import rounding_noise
from raysuite.detection.maps import divisor, pool, smooth
from raysuite.detection.trial import Defects, Trial
from raysuite.metrics.ranking import Ranking

Filter = tuple[int, int]
Normalise = Literal["place", "image", "none"]
Pooling = Literal["top", "max", "mean"]

MAP_FILTERS: tuple[Filter, ...] = ((5, 2), (7, 3), (11, 3), (15, 3), (21, 3))
SCORE_FILTERS: tuple[Filter, ...] = ((1, 0), (5, 2), (11, 3))
# Dividing by a constant changes no order, so that "none" would not differ from "image".
NORMALISE: tuple[Normalise, ...] = ("place", "image")
TOP_SHARES = (0.001, 0.005, 0.02)

LEAST_IMAGES = 4
"""With fewer validation images nothing is chosen: their spread says nothing."""

GROUPS = 4
"""Validation images are compared in so many groups, to see how far the comparison depends on the images."""

SURE = 2.0
"""So many standard errors; where no candidate finds anything, the best of all gets that far in one trial of five."""

Usual = Mapping[Filter, Tensor]
"""What good images show at each place, for each filter (`raysuite.detection.maps.usual_errors`)."""


@dataclass(frozen=True, slots=True)
class MapChoice:
    """How the map is made; the fields are those of a `DetectionConfig` without ``map_``."""

    kernel: int
    passes: int
    normalise: Normalise


@dataclass(frozen=True, slots=True)
class ScoreChoice:
    """How the score is made; the fields are those of a `DetectionConfig` without ``score_``."""

    kernel: int
    passes: int
    normalise: Normalise
    pooling: Pooling
    share: float


C = TypeVar("C", MapChoice, ScoreChoice)


@dataclass(frozen=True, slots=True)
class Merit:
    """How good a candidate is, and what it would be on other data.

    Attributes:
        families_F: float64, for each family.
        without_K: float64, mean over the families without each of K groups of images (the jackknife's replicates).
    """

    families_F: NDArray[np.float64]
    without_K: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Mean over the families."""
        return float(self.families_F.mean())

    def error_of_gain(self, other: Merit) -> float:
        """Standard error of the difference of the means: over another draw of families, and of images."""
        families_F, without_K = self.families_F - other.families_F, self.without_K - other.without_K
        if len(families_F) < 2:
            return math.inf
        by_family = families_F.var(ddof=1) / len(families_F)
        # Efron & Stein, "The jackknife estimate of variance", Annals of Statistics 9 (1981).
        by_image = (len(without_K) - 1) * without_K.var()
        return math.sqrt(by_family + by_image)


def filters_to_try(detection: DetectionConfig) -> set[Filter]:
    """Kernels and passes of all candidates, or of the configured map and score alone if nothing is to be chosen."""
    configured = {
        (detection.map_kernel, detection.map_passes),
        (detection.score_kernel, detection.score_passes),
    }
    return configured | {*MAP_FILTERS, *SCORE_FILTERS} if detection.choice == "auto" else configured


def choose(trial: Trial, usual: Usual, detection: DetectionConfig) -> tuple[DetectionConfig, dict[str, Any]]:
    """Choose how map and score are made.

    Args:
        trial: The net's errors on validation images, good and with defects.
        usual: For each of `filters_to_try`.
        detection: What is configured, and taken unless another candidate is better.

    Returns:
        The settings with ``choice`` ``fixed``, because what stands in them is what is used; and for the provenance, as
        plain values, what was compared.
    """
    compared: dict[str, Any] = {"images": len(trial.good_NHW), "families": list(trial.families)}
    if len(trial.good_NHW) < LEAST_IMAGES or not trial.families:
        compared["note"] = f"nothing was chosen: that takes {LEAST_IMAGES} validation images with visible defects"
        return replace(detection, choice="fixed"), compared
    map_default = MapChoice(detection.map_kernel, detection.map_passes, detection.map_normalise)
    score_default = ScoreChoice(
        detection.score_kernel, detection.score_passes, detection.score_normalise, detection.pooling,
        detection.score_share,
    )  # fmt: skip
    map_choice, compared["map"] = _best(dict(_map_merits(trial, usual, detection, map_default)), map_default)
    score_choice, compared["score"] = _best(dict(_score_merits(trial, usual, detection, score_default)), score_default)
    chosen = replace(
        detection,
        choice="fixed",
        map_kernel=map_choice.kernel,
        map_passes=map_choice.passes,
        map_normalise=map_choice.normalise,
        score_kernel=score_choice.kernel,
        score_passes=score_choice.passes,
        score_normalise=score_choice.normalise,
        pooling=score_choice.pooling,
        score_share=score_choice.share,
    )
    return chosen, compared


def log_odds(share: float, least: float = 1e-4) -> float:
    """ln(p / (1 - p)), so that from 98 to 99 % is as far as from 96 to 98 %; both sides are kept above ``least``."""
    share = min(max(share, least), 1 - least)
    return math.log(share / (1 - share))


def separation(good_N: Tensor, defective_n: Tensor) -> Tensor:
    """How surely each defective image scores above good ones: (n,) float64 in [0, 1].

    The chance that a further good image scores below it, if the logs of good scores are normal with a mean and a spread
    that are known from N of them alone: Student's t with N - 1 degrees of freedom, of the distance from their mean in
    units of s·√(1 + 1/N) (Geisser, Predictive Inference, 1993). With many it is Φ of that distance; few cannot make
    sure of anything, however small their spread happens to be. The share of the good images that do score below it is
    nearly the same, but knows no value between n / N and (n + 1) / N.

    Args:
        good_N: Scores of good images, positive, two or more.
        defective_n: Scores of defective images, positive.
    """
    good_N, defective_n = good_N.double().clamp(min=1e-12).log(), defective_n.double().clamp(min=1e-12).log()
    # Scores that are all equal tell apart whatever differs by a thousandth.
    spread = good_N.std().clamp(min=1e-3) * math.sqrt(1 + 1 / len(good_N))
    distance_n = ((defective_n - good_N.mean()) / spread).cpu().numpy()
    return torch.from_numpy(stdtr(len(good_N) - 1, distance_n))


def _map_merits(
    trial: Trial, usual: Usual, detection: DetectionConfig, default: MapChoice
) -> Iterator[tuple[MapChoice, Merit]]:
    """The merit of each candidate: the mean log odds of pixel AUROC and AP over groups of images.

    AP asks for a sharp map and AUROC for one without far outliers; either alone would give the other away.
    """
    least = rounding_noise(detection.error)
    step = max(1, min(trial.good_NHW.shape[1:]) // 128)
    for kernel, passes in dict.fromkeys([(default.kernel, default.passes), *MAP_FILTERS]):
        smoothed = [smooth(one.error_nHW, kernel, passes)[:, ::step, ::step] for one in trial.families.values()]
        for normalise in dict.fromkeys([default.normalise, *NORMALISE]):
            by_HW = divisor(usual[kernel, passes], normalise, detection.floor, least)[::step, ::step]
            cells_FG = np.array(
                [
                    [_map_merit(maps_nHW / by_HW, one, step, group) for group in range(GROUPS)]
                    for maps_nHW, one in zip(smoothed, trial.families.values(), strict=True)
                ]
            )
            without_G = [_mean(_row_means(np.delete(cells_FG, group, axis=1))) for group in range(GROUPS)]
            yield MapChoice(kernel, passes, normalise), Merit(_known(_row_means(cells_FG)), np.array(without_G))


def _map_merit(maps_nHW: Tensor, defects: Defects, step: int, group: int) -> float:
    members_n = defects.good_n % GROUPS == group
    masks_nHW = defects.mask_nHW[members_n, ::step, ::step].cpu().numpy()
    maps_N = maps_nHW[members_n.to(maps_nHW.device)].cpu().numpy().ravel()
    # Adding zero turns -0.0 into 0.0.
    ranking = Ranking.of_pixels(maps_N + np.float32(0), masks_nHW.ravel())
    if not ranking.is_defined:
        return math.nan
    return (log_odds(ranking.auroc()) + log_odds(ranking.average_precision())) / 2


def _score_merits(
    trial: Trial, usual: Usual, detection: DetectionConfig, default: ScoreChoice
) -> Iterator[tuple[ScoreChoice, Merit]]:
    """The merit of each candidate: the mean `separation` of defective images from good ones."""
    least = rounding_noise(detection.error)
    tops: list[tuple[Pooling, float]] = [("top", share) for share in TOP_SHARES]
    pools = dict.fromkeys([(default.pooling, default.share), ("max", default.share), *tops, ("mean", default.share)])
    for kernel, passes in dict.fromkeys([(default.kernel, default.passes), *SCORE_FILTERS]):
        good_NHW = smooth(trial.good_NHW, kernel, passes)
        smoothed = [smooth(one.error_nHW, kernel, passes) for one in trial.families.values()]
        for normalise in dict.fromkeys([default.normalise, *NORMALISE]):
            by_HW = divisor(usual[kernel, passes], normalise, detection.floor, least)
            for pooling, share in pools:
                good_N = pool(good_NHW / by_HW, pooling, share).cpu()
                scores_FN = torch.full((len(smoothed), len(good_N)), math.nan)
                for row, (maps_nHW, one) in enumerate(zip(smoothed, trial.families.values(), strict=True)):
                    scores_FN[row, one.good_n.cpu()] = pool(maps_nHW / by_HW, pooling, share).cpu()
                yield ScoreChoice(kernel, passes, normalise, pooling, share), _score_merit(good_N, scores_FN)


def _score_merit(good_N: Tensor, scores_FN: Tensor) -> Merit:
    # An image that is left out is left out among the good ones too: they set the scale for all defects.
    kept = [torch.arange(len(good_N)) != left for left in range(len(good_N))]
    without_N = [_mean(_row_means(separation(good_N[some], scores_FN[:, some]).numpy())) for some in kept]
    return Merit(_known(_row_means(separation(good_N, scores_FN).numpy())), np.array(without_N))


def _best(merits: Mapping[C, Merit], default: C) -> tuple[C, dict[str, Any]]:
    """The best candidate if it is surely better than the default, else the default; and the table."""
    best = max(merits, key=lambda candidate: merits[candidate].mean)
    gain = merits[best].mean - merits[default].mean
    error = merits[best].error_of_gain(merits[default]) if best != default else 0.0
    chosen = best if gain > SURE * error else default
    return chosen, {
        "default": asdict(default),
        "best": asdict(best),
        "chosen": asdict(chosen),
        "gain": gain,
        "standard_error": error if math.isfinite(error) else None,
        "candidates": [{**asdict(candidate), "merit": merit.mean} for candidate, merit in merits.items()],
    }


def _row_means(cells_RC: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means of the rows over what is known in them, NaN where nothing is."""
    known_RC = np.isfinite(cells_RC)
    counts_R = known_RC.sum(1)
    sums_R = np.where(known_RC, cells_RC, 0.0).sum(1)
    means_R: NDArray[np.float64] = np.divide(sums_R, counts_R, out=np.full(len(cells_RC), np.nan), where=counts_R > 0)
    return means_R


def _known(values_K: NDArray[np.float64]) -> NDArray[np.float64]:
    return values_K[np.isfinite(values_K)]


def _mean(values_K: NDArray[np.float64]) -> float:
    known_K = _known(values_K)
    return float(known_K.mean()) if len(known_K) else math.nan
