"""Curves for plots: as many points as an eye can use, where it looks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DECADES = 6
"""Rates below 10^-6 are not drawn apart on a logarithmic axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Points of a curve, x rising or staying.

    Attributes:
        x: float64 (P,), in 0 to 1.
        y: float64 (P,), in 0 to 1.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def thinned(self, max_points: int, *, dense_until: float | None = None) -> Curve:
        """A subset of the points, ends included, spread evenly along the curve.

        Args:
            max_points: At most so many points, at least 2.
            dense_until: For an x axis that is also shown zoomed to 0..``dense_until`` and on a logarithmic axis: the
                points are spread evenly over the sum of these three views.
        """
        if len(self.x) <= max_points:
            return self
        seen_P = self.x
        if dense_until is not None:
            decades_P = np.log10(np.maximum(self.x, 10.0**-_DECADES)) / _DECADES + 1
            seen_P = self.x + np.minimum(self.x / dense_until, 1) + decades_P
        steps_P = np.abs(np.diff(seen_P)) + np.abs(np.diff(self.y))
        way_P = np.concatenate([np.zeros(1), np.cumsum(steps_P)])
        kept = np.unique(np.searchsorted(way_P, np.linspace(0, way_P[-1], max_points)).clip(0, len(way_P) - 1))
        kept[-1] = len(way_P) - 1
        return Curve(self.x[kept], self.y[kept])

    def area(self, until: float = 1.0) -> float:
        """Area below the curve from its first x to ``until``, the last piece cut by linear interpolation."""
        inside = int(np.searchsorted(self.x, until, side="right"))
        end = np.interp(until, self.x[inside - 1 : inside + 1], self.y[inside - 1 : inside + 1])
        x_P = np.append(self.x[:inside], until)
        y_P = np.append(self.y[:inside], end)
        return float((np.diff(x_P) * (y_P[1:] + y_P[:-1])).sum()) / 2
