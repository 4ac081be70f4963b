"""Sparse counts over float32 scores, as fine as a fixed number of bins allows.

A non-negative float32 and its bit pattern, read as an unsigned integer, have the same order. So a bin is the pattern
without its lowest ``shift`` bits, and needs no range known beforehand: one hot pixel takes one bin, and a narrow
distribution keeps every distinct value. ``shift`` is the smallest for which at most ``MAX_BINS`` bins are occupied.

That rule depends on the set of scores alone. A part never needs a larger shift than the whole, and a coarser table
follows exactly from a finer one; hence tables merged in any order and any split equal the table of one pass.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_BINS = 1 << 17
"""Most bins a table holds."""

LARGEST_PATTERN = 0x7F7FFFFF
"""Bit pattern of the largest finite float32; infinities, NaN and negative numbers lie above."""


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Counts of scores in occupied bins.

    Attributes:
        shift: How many low bits of the pattern a bin leaves out; 0 means that a bin is a single float32 value.
        low: uint32 (B,), strictly rising; the smallest pattern met in each bin.
        mixed: bool (B,), whether more than one value was met in the bin; if not, its scores are truly tied.
        counts: int64 (C, B), a row for each thing counted.
    """

    shift: int
    low: NDArray[np.uint32]
    mixed: NDArray[np.bool_]
    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, rows: int) -> Bins:
        """A table of nothing, with ``rows`` things to count."""
        return cls(0, np.empty(0, np.uint32), np.empty(0, np.bool_), np.empty((rows, 0), np.int64))

    @classmethod
    def grouped(
        cls, shift: int, low_N: NDArray[np.uint32], mixed_N: NDArray[np.bool_], counts_CN: NDArray[np.int64]
    ) -> Bins:
        """Sum what falls into one bin at ``shift``, or at the smallest larger one that leaves few enough bins.

        Args:
            shift: At least this many bits are left out.
            low_N: uint32, sorted, with repetitions.
            mixed_N: bool, whether an item stands for more than one value.
            counts_CN: int64, what an item counts for.
        """
        if len(low_N) == 0:
            return cls(shift, low_N, mixed_N, counts_CN)
        runs = Runs.of(low_N, shift)
        return cls(
            runs.shift,
            low_N[runs.starts],
            runs.mixed(low_N) | np.logical_or.reduceat(mixed_N, runs.starts),
            np.add.reduceat(counts_CN, runs.starts, axis=1),
        )

    def __add__(self, other: Bins) -> Bins:
        low_N = np.concatenate([self.low, other.low])
        # Two rising runs: the stable sort merges them in one pass.
        order_N = np.argsort(low_N, kind="stable")
        return Bins.grouped(
            max(self.shift, other.shift),
            low_N[order_N],
            np.concatenate([self.mixed, other.mixed])[order_N],
            np.concatenate([self.counts, other.counts], axis=1)[:, order_N],
        )

    @property
    def thresholds(self) -> NDArray[np.float32]:
        """float32 (B,): the smallest score met in each bin; ``score >= threshold`` cuts exactly between two bins."""
        return self.low.view(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Where sorted patterns pass from one bin into the next.

    Attributes:
        shift: The smallest shift, at least the one asked for, that leaves at most `MAX_BINS` bins.
        starts: int (B,), the index of the first pattern of each bin.
        size: Number of patterns.
    """

    shift: int
    starts: NDArray[np.intp]
    size: int

    @classmethod
    def of(cls, patterns_N: NDArray[np.uint32], shift: int) -> Runs:
        """Find the bins of sorted patterns, at least one."""
        keys_N = patterns_N >> np.uint32(shift)
        while np.count_nonzero(keys_N[1:] != keys_N[:-1]) >= MAX_BINS:
            keys_N >>= np.uint32(1)
            shift += 1
        starts_B = np.flatnonzero(keys_N[1:] != keys_N[:-1]) + 1
        return cls(shift, np.concatenate([np.zeros(1, np.intp), starts_B]), len(patterns_N))

    @property
    def lengths(self) -> NDArray[np.intp]:
        """How many patterns lie in each bin, int (B,)."""
        return np.diff(self.starts, append=self.size)

    def mixed(self, patterns_N: NDArray[np.uint32]) -> NDArray[np.bool_]:
        """Whether the sorted patterns of a bin differ, bool (B,)."""
        differ: NDArray[np.bool_] = patterns_N[self.starts] != patterns_N[self.starts + self.lengths - 1]
        return differ
