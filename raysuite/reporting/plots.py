"""What all figures share: colours, the look, and numbers short enough for a page."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go

from raysuite.reporting.results import Floats

# Okabe & Ito's palette (Color Universal Design, 2008), without black and yellow, which vanish on a dark or light page.
BLUE, VERMILION, GREEN, SKY, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7"
SEED_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
NEUTRAL = "#808994"
"""Legible on white and on near-black."""

DASHES = ("solid", "dash", "dot", "dashdot")

TEMPLATE = go.layout.Template(
    layout={
        "font": {"family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", "size": 12},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(SEED_COLOURS),
        "margin": {"l": 52, "r": 14, "t": 14, "b": 44},
        "hovermode": "closest",
        "legend": {"orientation": "h", "x": 0, "y": 1.01, "yanchor": "bottom", "bgcolor": "rgba(0,0,0,0)"},
        "xaxis": {"zeroline": False, "ticks": "outside", "ticklen": 4, "title": {"standoff": 6}},
        "yaxis": {"zeroline": False, "ticks": "", "title": {"standoff": 6}},
    }
)


def spread(n: int, most: int) -> list[int]:
    """Indices of at most ``most`` of ``n`` things, evenly spaced, both ends among them."""
    return list(range(n)) if n <= most else np.unique(np.linspace(0, n - 1, most).round().astype(int)).tolist()


def rounded(value: float | None) -> float | None:
    """Five significant digits: more are not seen, and they would double the page."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def plain(values: Floats) -> list[float | None]:
    """An array as a list of `rounded` numbers, None where one is not finite."""
    return [rounded(value) for value in values.tolist()]
