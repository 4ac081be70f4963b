"""p-values and a false alarm rate that holds, from scores of held-out good images: split conformal prediction.

If a good image is exchangeable with the n held-out ones, the rank of its score among theirs is uniform, whatever the
distribution (Vovk, Gammerman & Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2; Bates et al.,
"Testing for Outliers with Conformal p-values", Annals of Statistics 51 (2023)).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import floor

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from raysuite.errors import ConfigError, MetricsError


def allowed_rank(images: int, rate: float) -> int:
    """The largest k with k / (images + 1) at most the rate; 0 if so few images cannot promise it."""
    # As a fraction of what was typed: 0.29 * 100 is 28.999999999999996 in floats.
    return floor((images + 1) * Fraction(str(float(rate))))


@dataclass(frozen=True, slots=True)
class Decision:
    """Calls images anomalous so that good ones are with no more than a given chance.

    Attributes:
        good_N: Scores of held-out good images, float64, ascending; none if they are not known.
        rate: Largest chance of a good image to be called anomalous.
        rank: An image is anomalous if no more than ``rank - 1`` good ones score as high, or higher.
        threshold: Without good scores: anomalous is what scores above it.
    """

    good_N: NDArray[np.float64]
    rate: float
    rank: int
    threshold: float

    @classmethod
    def of(cls, good_scores: ArrayLike, threshold: float, asked: float | None, usual: float, name: str) -> Decision:
        """The decision of a detector.

        Args:
            good_scores: Scores of its held-out good images; none of a detector that does not keep them.
            threshold: Its own.
            asked: The rate that is asked for; None for the detector's own, or the smallest that its images can promise.
            usual: The detector's own rate.
            name: The detector's, for errors.

        Raises:
            ConfigError: The rate that is asked for cannot be promised, or is no rate.
        """
        good_N = np.sort(np.asarray(good_scores, dtype=np.float64))
        if asked is not None and not 0 < asked < 1:
            raise ConfigError(f"a false alarm rate lies between 0 and 1, not at {asked}")
        if len(good_N) == 0:
            if asked is not None and asked != usual:
                raise ConfigError(
                    f"the detector {name} keeps no scores of good images, as it was saved by an older version: it can "
                    f"promise no rate but its own; leave --false-alarm-rate out, or train it anew"
                )
            return cls(good_N, usual, 0, threshold)
        rate = usual if asked is None else asked
        rank = allowed_rank(len(good_N), rate)
        if rank == 0:
            if asked is not None:
                raise ConfigError(
                    f"the detector {name} has {len(good_N)} held-out good images, which cannot promise a false alarm "
                    f"rate of {asked:g}: the smallest possible is 1/{len(good_N) + 1} = {1 / (len(good_N) + 1):.3g}"
                )
            rate, rank = 1 / (len(good_N) + 1), 1
        return cls(good_N, rate, rank, float(good_N[-rank]))

    @property
    def smallest_rate(self) -> float | None:
        """The smallest rate that so many good images can promise; None if they are not known."""
        return 1 / (len(self.good_N) + 1) if len(self.good_N) else None

    def p_values(self, scores: ArrayLike) -> NDArray[np.float64] | None:
        """``(1 + good images that score as high or higher) / (n + 1)``, float64; None without good scores."""
        if len(self.good_N) == 0:
            return None
        return self.ranks(scores) / (len(self.good_N) + 1)

    def ranks(self, scores: ArrayLike) -> NDArray[np.int64]:
        """The p-values' numerators, int64 from 1 to n + 1."""
        below = np.searchsorted(self.good_N, np.asarray(scores, dtype=np.float64), side="left")
        return np.asarray(1 + len(self.good_N) - below, dtype=np.int64)

    def anomalous(self, scores: ArrayLike) -> NDArray[np.bool_]:
        """Whether each score is anomalous."""
        if len(self.good_N) == 0:
            return np.asarray(np.asarray(scores) > self.threshold)
        return np.asarray(self.ranks(scores) <= self.rank)

    def band(self, share: float = 0.95) -> tuple[float, float] | None:
        """Between which rates the true one of this very calibration lies, with a chance of ``share``.

        The promise is an average over calibrations. Given one, the chance of a false alarm is distributed as Beta(k,
        n + 1 - k) (Vovk, "Conditional validity of inductive conformal predictors", Machine Learning 92 (2013)).
        """
        if len(self.good_N) == 0:
            return None
        low, high = stats.beta.interval(share, self.rank, len(self.good_N) + 1 - self.rank)
        return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far what looks good in an archive departs from the good images of the calibration.

    Attributes:
        distance: Largest difference of the two distributions of scores (Kolmogorov-Smirnov), 0 to 1.
        p_value: Chance of such a distance, or a larger one, if they were the same.
        is_higher: Whether the archive scores higher.
        good: Images of the calibration that were compared.
        archive: Images of the archive that were compared.
    """

    distance: float
    p_value: float
    is_higher: bool
    good: int
    archive: int

    @property
    def is_drift(self) -> bool:
        """Beyond chance, and by as much as matters."""
        return self.p_value < DRIFT_P and self.distance >= DRIFT_DISTANCE


DRIFT_P = 0.001
"""One archive of a thousand is warned of for nothing."""
MOST_EXACT = 10_000
"""Images of either side up to which chance is computed exactly; the approximation beyond calls few images certain."""
DRIFT_DISTANCE = 0.1
"""Of millions of images the least difference is beyond chance; this much moves quantiles."""


def drift(counts: ArrayLike, rank: int) -> Drift | None:
    """Compare an archive with the calibration, both below the threshold: defects are none of drift's business.

    Without drift, p-values of good images are uniform: the numbers of archive images between one good score and the
    next are all the two-sample Kolmogorov-Smirnov test needs, and as few as there are good images.

    Args:
        counts: (n + 2,) images of the archive by the numerator of their p-values, 0 to n + 1.
        rank: Of the decision: what is not above it is left out.

    Returns:
        None if either side has nothing below the threshold.

    Raises:
        MetricsError: The counts are of another shape.
    """
    counts_K = np.asarray(counts, dtype=np.float64)
    if counts_K.ndim != 1 or len(counts_K) < 3:
        raise MetricsError(f"counts of p-values must be of shape (n + 2,), not {counts_K.shape}")
    # From low scores, with high numerators, to high ones. Good image i lies between bins i and i + 1.
    bins = counts_K[:rank:-1]
    good, archive = len(bins) - 1, int(bins.sum())
    if good < 1 or archive < 1:
        return None
    at_N = np.cumsum(bins)[:-1] / archive
    steps_N = np.arange(1, good + 1) / good
    # At each good score its own distribution steps up, the archive's has reached what lies below.
    above, below = steps_N - at_N, at_N - (steps_N - 1 / good)
    higher, lower = float(above.max()), float(below.max())
    distance = min(1.0, max(higher, lower))
    return Drift(distance, _chance(distance, bins), higher >= lower, good, archive)


def _chance(distance: float, bins_N: NDArray[np.float64]) -> float:
    """Chance of such a distance or a larger one between two samples of the same distribution, exact for few images."""
    good, archive = len(bins_N) - 1, int(bins_N.sum())
    if archive > MOST_EXACT or good > MOST_EXACT:
        return float(stats.kstwo.sf(distance, max(1, round(good * archive / (good + archive)))))
    # Where in a bin the archive's images lie changes nothing of the distance.
    lies_N = np.repeat(np.arange(good + 1) + 0.5, bins_N.astype(np.int64))
    return float(stats.ks_2samp(np.arange(1.0, good + 1), lies_N, method="exact").pvalue)
