"""Histograms of image scores, with every image as a tick and the threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from raysuite.reporting.plots import BLUE, NEUTRAL, TEMPLATE, VERMILION, plain, rounded, spread
from raysuite.reporting.results import SeedResult

_STRIP_POINTS = 400


def with_scores(runs: Sequence[SeedResult]) -> list[SeedResult]:
    """The seeds that have a row in `score_figure`, in order."""
    return [run for run in runs if any(s.score is not None and s.label is not None for s in run.scores)]


def score_figure(runs: Sequence[SeedResult]) -> go.Figure | None:
    """Histograms of the scores of good and defective images, a row a seed, each image as a tick, and the threshold.

    Seeds have rows of their own because their scores are not on one scale.
    """
    shown = with_scores(runs)
    if not shown:
        return None
    titles = [f"seed {run.seed}" for run in shown]
    height = 60 + 170 * len(shown)
    figure = make_subplots(len(shown), 1, vertical_spacing=50 / height if len(shown) > 1 else 0, row_titles=titles)
    figure.update_layout(template=TEMPLATE, height=height)
    figure.update_annotations(font_size=12)
    for row, run in enumerate(shown, start=1):
        _score_row(figure, run, row)
    figure.update_xaxes(title_text="Image score", row=len(shown))
    return figure


def _score_row(figure: go.Figure, run: SeedResult, row: int) -> None:
    scored = sorted(
        (s.score, escape(s.id, quote=False), s.label) for s in run.scores if s.score is not None and s.label is not None
    )
    groups = {"good": [s for s in scored if s[2] == 0], "defect": [s for s in scored if s[2] == 1]}
    values = np.array([score for score, _, _ in scored])
    logarithmic = values.min() > 0 and values.max() > 20 * values.min()
    scale = np.geomspace if logarithmic else np.linspace
    edges = scale(values.min(), max(values.max(), values.min() * (1 + 1e-9) + 1e-12), 25)
    counts = {name: np.histogram([score for score, _, _ in group], edges)[0] for name, group in groups.items()}
    top = max(1, *(int(c.max()) for c in counts.values()))
    first = row == 1
    for name, colour, floor in (("good", BLUE, -0.1), ("defect", VERMILION, -0.22)):
        group = groups[name]
        steps = [*counts[name].tolist(), 0]
        line = {"shape": "hv", "color": colour, "width": 1.5, "dash": "dot" if name == "good" else "solid"}
        figure.add_scatter(
            x=plain(edges), y=steps, name=name, legendgroup=name, showlegend=first, row=row, col=1,
            mode="lines", line=line, fill="tozeroy", fillcolor=_faint(colour),
            hovertemplate="%{y} images from %{x:.4g}<extra>" + name + "</extra>",
        )  # fmt: skip
        # Evenly spaced order statistics: the extremes, which matter most, always stay.
        kept = [group[i] for i in spread(len(group), _STRIP_POINTS)]
        figure.add_scatter(
            x=[rounded(score) for score, _, _ in kept], y=[floor * top] * len(kept), legendgroup=name, showlegend=False,
            row=row, col=1, mode="markers", marker={"symbol": "line-ns-open", "size": 8, "color": colour},
            text=[id_ for _, id_, _ in kept], hovertemplate="%{text}<br>score %{x:.4g}<extra>" + name + "</extra>",
        )  # fmt: skip
    threshold = run.values.get("threshold")
    if threshold is not None and (threshold > 0 or not logarithmic):
        figure.add_scatter(
            x=[threshold, threshold], y=[-0.3 * top, 1.05 * top], name="threshold", legendgroup="threshold",
            showlegend=first, row=row, col=1, mode="lines", line={"color": NEUTRAL, "dash": "dash", "width": 2},
            hovertemplate=f"threshold {threshold:.4g}<extra></extra>",
        )  # fmt: skip
    ticks = sorted({0, top // 2, top})
    figure.update_yaxes(range=[-0.3 * top, 1.08 * top], tickvals=ticks, title_text="Images", row=row, col=1)
    if logarithmic:
        at = _log_ticks(values.min(), values.max())
        figure.update_xaxes(type="log", tickvals=at, ticktext=[f"{tick:g}" for tick in at], row=row, col=1)


def _log_ticks(low: float, high: float) -> list[float]:
    """Values 1, 2 and 5 times powers of ten between two positive numbers; powers alone where that would be many.

    Plotly itself labels the values between powers by their first digit only.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) < 6 else (1,)
    return [tick for power in powers for digit in digits if low <= (tick := float(f"{digit}e{power}")) <= high]


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"
