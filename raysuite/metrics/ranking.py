"""Good and defective items ranked by score: the one thing that AUROC, AP, F1 and their curves are computed from.

Items are images or pixels. The curves have one point for each distinct score (or histogram bin), and ties move both
axes at once, as in Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27 (2006).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raysuite.metrics.curves import Curve


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Counts of items that score at least as much as a threshold.

    Attributes:
        thresholds: float (B,), distinct scores, strictly falling.
        false_positives: int64 (B,), good items with ``score >= threshold``.
        true_positives: int64 (B,), defective items with ``score >= threshold``.
        mixed: bool (B,), whether the items from one threshold to the next have different scores whose order is lost.
    """

    thresholds: NDArray[np.floating]
    false_positives: NDArray[np.int64]
    true_positives: NDArray[np.int64]
    mixed: NDArray[np.bool_]

    @classmethod
    def of_counts(
        cls,
        rising_B: NDArray[np.floating],
        good_B: NDArray[np.int64],
        defective_B: NDArray[np.int64],
        mixed_B: NDArray[np.bool_],
    ) -> Ranking:
        """Rank counts given for strictly rising scores."""
        return cls(rising_B[::-1], np.cumsum(good_B[::-1]), np.cumsum(defective_B[::-1]), mixed_B[::-1])

    @classmethod
    def of_pixels(cls, scores_N: NDArray[np.float32], defective_N: NDArray[np.bool_]) -> Ranking:
        """Rank many scores that are float32 and not negative, fast.

        Bit patterns of such floats rise with them (IEEE 754), and leave the sign's bit to the label: what is sorted are
        whole numbers.
        """
        if len(scores_N) == 0:
            nothing_B = np.zeros(0, np.int64)
            return cls(np.zeros(0, np.float32), nothing_B, nothing_B, np.zeros(0, np.bool_))
        keys_N = np.sort(scores_N.view(np.uint32) << np.uint32(1) | defective_N.astype(np.uint32))
        patterns_N = keys_N >> np.uint32(1)
        ends_B = np.flatnonzero(np.append(patterns_N[1:] != patterns_N[:-1], [True]))
        defective_B = np.diff(np.cumsum(keys_N & np.uint32(1), dtype=np.int64)[ends_B], prepend=0)
        good_B = np.diff(ends_B, prepend=-1) - defective_B
        return cls.of_counts(patterns_N[ends_B].view(np.float32), good_B, defective_B, np.zeros(len(ends_B), np.bool_))

    @property
    def good(self) -> int:
        """Number of good items."""
        return int(self.false_positives[-1]) if len(self.false_positives) else 0

    @property
    def defective(self) -> int:
        """Number of defective items."""
        return int(self.true_positives[-1]) if len(self.true_positives) else 0

    @property
    def is_defined(self) -> bool:
        """Whether there are items of both kinds; all methods below need that."""
        return self.good > 0 and self.defective > 0

    def auroc(self) -> float:
        """Chance that a defective item scores above a good one, ties counting one half; 0 to 1."""
        # As floats, because the product of two pixel counts can pass an int64.
        good_B = np.diff(self.false_positives, prepend=0).astype(np.float64)
        twice_above_B = from_origin(self.true_positives)[:-1] + self.true_positives
        return float((good_B * twice_above_B).sum()) / (2 * self.good * self.defective)

    def average_precision(self) -> float:
        """Σ (Rₙ - Rₙ₋₁) Pₙ over the thresholds, without interpolation; 0 to 1.

        Where the order inside a bin is lost, the precision is that of a random order, at the middle of its defective
        items. That of the bin's end, as for true ties, would be too low in every bin.
        """
        defective_B, good_B = np.diff(self.true_positives, prepend=0), np.diff(self.false_positives, prepend=0)
        true_B = self.true_positives - np.where(self.mixed, np.maximum(defective_B - 1, 0) / 2, 0)
        false_B = self.false_positives - np.where(self.mixed, good_B / 2, 0)
        return float((defective_B * (true_B / (true_B + false_B))).sum()) / self.defective

    def f1_max(self) -> tuple[float, float]:
        """The largest F1 over all thresholds, and the highest threshold t that reaches it with ``score >= t``."""
        f1_B = 2 * self.true_positives / (self.true_positives + self.false_positives + self.defective)
        best = int(np.argmax(f1_B))
        return float(f1_B[best]), float(self.thresholds[best])

    def roc(self) -> Curve:
        """True positive rate (y) over false positive rate (x)."""
        return Curve(from_origin(self.false_positives) / self.good, from_origin(self.true_positives) / self.defective)

    def precision_recall(self) -> Curve:
        """Precision (y) over recall (x), from the point (0, 1)."""
        precision_B = self.true_positives / (self.true_positives + self.false_positives)
        return Curve(from_origin(self.true_positives) / self.defective, np.concatenate([np.ones(1), precision_B]))


def from_origin(counts_B: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cumulative counts with the 0 of a threshold above all scores."""
    return np.concatenate([np.zeros(1, np.int64), counts_B])
