"""How many images were scored when: a histogram over time that stays small however long it took, and can be merged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_BINS = 240


@dataclass(slots=True, eq=False)
class Pace:
    """Images by the time at which they were scored.

    Bins are of equal width, a power of two in seconds, and start at multiples of it, so that any two histograms have
    bins in common. When there are more than `MOST_BINS` that are not empty, neighbours are joined.

    Attributes:
        width: Of a bin, in seconds.
        images: By number of the bin, counted from 1970 in widths.
        failed: Those of them that have an error.
    """

    width: int = 1
    images: Counter[int] = field(default_factory=Counter)
    failed: Counter[int] = field(default_factory=Counter)

    def add(self, at_ms: NDArray[np.int64], failed: NDArray[np.bool_]) -> None:
        """Count some images, in place.

        Args:
            at_ms: int64, milliseconds since 1970.
            failed: As many: whether each has an error.
        """
        bins = at_ms // (1000 * self.width)
        for counter, own in ((self.images, bins), (self.failed, bins[failed])):
            for one, count in zip(*np.unique(own, return_counts=True), strict=True):
                counter[int(one)] += int(count)
        self._shrink()

    def __add__(self, other: Pace) -> Pace:
        width = max(self.width, other.width)
        merged = Pace(width)
        for one in (self, other):
            for target, source in ((merged.images, one.images), (merged.failed, one.failed)):
                for key, count in source.items():
                    target[key * one.width // width] += count
        merged._shrink()
        return merged

    def _shrink(self) -> None:
        while len(self.images) > MOST_BINS:
            self.width *= 2
            self.images, self.failed = (_joined(one) for one in (self.images, self.failed))

    def as_mapping(self) -> dict[str, Any]:
        """For JSON: the width of bins; of each that is not empty its start, in seconds since 1970, and its counts."""
        return {
            "bin_seconds": self.width,
            "bins": [[key * self.width, self.images[key], self.failed[key]] for key in sorted(self.images)],
        }


def _joined(counter: Counter[int]) -> Counter[int]:
    found: Counter[int] = Counter()
    for key, count in counter.items():
        found[key // 2] += count
    return found
