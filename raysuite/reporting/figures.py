"""Plotly figures of one category, and the overview of all. The page's script adds the colours of light and dark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from raysuite.reporting.definitions import METRICS, PRO_LIMIT
from raysuite.reporting.results import Curve, Floats, SeedResult
from raysuite.reporting.summary import Summary

# Okabe & Ito's palette (Color Universal Design, 2008), without black and yellow, which vanish on a dark or light page.
BLUE, VERMILION, GREEN, SKY, ORANGE, PURPLE = "#0072B2", "#D55E00", "#009E73", "#56B4E9", "#E69F00", "#CC79A7"
SEED_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
NEUTRAL = "#808994"
"""Legible on white and on near-black."""

_CURVE_POINTS = 160
_HISTORY_POINTS = 300
_STRIP_POINTS = 400
_DASHES = ("solid", "dash", "dot", "dashdot")

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


@dataclass(frozen=True, slots=True)
class CurveKind:
    """How one curve of ``curves.parquet`` is drawn.

    Attributes:
        key: Its name there.
        title: The heading over the figure.
        x: Title of the horizontal axis.
        y: Title of the vertical axis.
        metric: The key of the area under it.
    """

    key: str
    title: str
    x: str
    y: str
    metric: str

    @property
    def has_fpr(self) -> bool:
        """Whether the horizontal axis is a false positive rate."""
        return not self.key.endswith("_pr")


CURVES = (
    CurveKind("image_roc", "Image ROC", "False positive rate (images)", "True positive rate", "image_auroc"),
    CurveKind("pixel_roc", "Pixel ROC", "False positive rate (pixels)", "True positive rate", "pixel_auroc"),
    CurveKind("pro", "Per-region overlap", "False positive rate (pixels)", "Mean overlap per region", "aupro"),
    CurveKind("image_pr", "Image precision and recall", "Recall", "Precision", "image_ap"),
    CurveKind("pixel_pr", "Pixel precision and recall", "Recall", "Precision", "pixel_ap"),
)


def curve_figure(runs: Sequence[SeedResult], kind: CurveKind) -> go.Figure | None:
    """One curve of a category, a line a seed; None where no seed has it."""
    found = [(run, run.curves[kind.key]) for run in runs if kind.key in run.curves and len(run.curves[kind.key].x)]
    if not found:
        return None
    figure = _figure(height=300)
    longest = max(float(np.nanmax(curve.x)) for _, curve in found)
    # A PRO curve that stops at its limit would leave most of the square empty.
    right = 1.0 if longest > PRO_LIMIT * 1.2 else PRO_LIMIT * 1.15
    if kind.key.endswith("_roc"):
        # More than two points, for on a logarithmic axis chance is a curve.
        even = [0.0, *_plain(np.geomspace(1e-4, 1, 30))]
        _line(figure, even, even, name="chance", color=NEUTRAL, dash="dot", width=1)
    if kind.key == "pro":
        figure.add_vrect(x0=0, x1=PRO_LIMIT, fillcolor=NEUTRAL, opacity=0.12, line_width=0, layer="below")
        _line(figure, [PRO_LIMIT, PRO_LIMIT], [0, 1], name=f"limit {PRO_LIMIT}", color=NEUTRAL, dash="dash", width=1.5)
    for index, (run, curve) in enumerate(found):
        thin = thin_curve(curve, _CURVE_POINTS)
        colour, dash = SEED_COLOURS[index % len(SEED_COLOURS)], _DASHES[index % len(_DASHES)]
        _line(figure, _plain(thin.x), _plain(thin.y), name=f"seed {run.seed}", color=colour, dash=dash)
    figure.update_xaxes(title_text=kind.x, range=[0, right], constrain="domain")
    figure.update_yaxes(title_text=kind.y, range=[0, 1.02])
    return figure


def score_figure(runs: Sequence[SeedResult]) -> go.Figure | None:
    """Histograms of the scores of good and defective images, a row a seed, each image as a tick, and the threshold.

    Seeds have rows of their own because their scores are not on one scale.
    """
    shown = [run for run in runs if any(s.score is not None and s.label is not None for s in run.scores)]
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
    scored = sorted((s.score, escape(s.id), s.label) for s in run.scores if s.score is not None and s.label is not None)
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
            x=_plain(edges), y=steps, name=name, legendgroup=name, showlegend=first, row=row, col=1,
            mode="lines", line=line, fill="tozeroy", fillcolor=_faint(colour),
            hovertemplate="%{y} images from %{x:.4g}<extra>" + name + "</extra>",
        )  # fmt: skip
        # Evenly spaced order statistics: the extremes, which matter most, always stay.
        kept = [group[i] for i in _spread(len(group), _STRIP_POINTS)]
        figure.add_scatter(
            x=[_round(score) for score, _, _ in kept], y=[floor * top] * len(kept), legendgroup=name, showlegend=False,
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


def training_figure(runs: Sequence[SeedResult]) -> go.Figure | None:
    """Training losses on a logarithmic axis: a colour a seed, a dash a part of the loss; None without a history.

    A part that is 0 all along, as the extra one of most objectives, is left out.
    """
    parts = {"loss": "solid", "kept_loss": "dot", "repaired_loss": "dash", "extra_loss": "dashdot"}
    figure = _figure(height=320)
    for index, run in enumerate(runs):
        colour = SEED_COLOURS[index % len(SEED_COLOURS)]
        for part, dash in parts.items():
            y = run.history.get(part, np.array([]))
            keep = np.isfinite(y) & (y > 0)
            if not keep.any():
                continue
            x = run.history["step"][keep]
            pick = _spread(len(x), _HISTORY_POINTS)
            name = f"seed {run.seed} {part.removesuffix('_loss')}"
            _line(
                figure,
                _plain(x[pick]),
                _plain(y[keep][pick]),
                name=name,
                color=colour,
                dash=dash,
                width=2 if part == "loss" else 1.2,
            )
    if not figure.data:
        return None
    figure.update_xaxes(title_text="Step")
    figure.update_yaxes(title_text="Loss", type="log", exponentformat="power", dtick=1)
    return figure


def overview_figure(summary: Summary) -> go.Figure | None:
    """Mean of three metrics by category, lowest image AUROC on top, with the interval of image AUROC."""
    shown = [c for c in summary.categories if any(c.metrics[metric.key].mean is not None for metric in METRICS)]
    if len(shown) < 2:
        return None
    shown.sort(key=lambda c: c.metrics["image_auroc"].mean or 0.0, reverse=True)
    # Rows are numbered and named by ticks: two categories whose names are drawn alike stay two.
    rows = list(range(len(shown)))
    figure = _figure(height=90 + 26 * len(shown))
    marks = (("image_auroc", BLUE, "circle"), ("pixel_auroc", GREEN, "square"), ("aupro", VERMILION, "diamond"))
    labels = {metric.key: metric.label for metric in METRICS}
    for key, colour, symbol in marks:
        means = [c.metrics[key].mean for c in shown]
        bars = None
        if key == "image_auroc":
            bounds = [(mean or 0.0, c.low, c.high) for c, mean in zip(shown, means, strict=True)]
            bars = {
                "type": "data", "symmetric": False, "thickness": 1.5, "width": 4,
                "array": [_round(100 * (high - mean)) if high is not None else None for mean, _, high in bounds],
                "arrayminus": [_round(100 * (mean - low)) if low is not None else None for mean, low, _ in bounds],
            }  # fmt: skip
        figure.add_scatter(
            x=[None if mean is None else _round(100 * mean) for mean in means], y=rows, name=labels[key],
            mode="markers", marker={"color": colour, "symbol": symbol, "size": 9}, error_x=bars,
            hovertemplate="%{x:.1f} %<extra>" + labels[key] + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="Percent")
    figure.update_yaxes(
        tickvals=rows, ticktext=[escape(c.category) for c in shown], automargin=True, range=[-0.6, len(shown) - 0.4]
    )
    return figure


def thin_curve(curve: Curve, points: int) -> Curve:
    """At most about ``2 * points`` of the points, both ends among them, none of them moved.

    Half are spaced evenly along the curve, half evenly in the logarithm of x, so that both axes show its shape.
    """
    if len(curve.x) <= 2 * points:
        return curve
    steps = np.abs(np.diff(curve.x)) + np.abs(np.diff(curve.y))
    length = np.concatenate([[0.0], np.cumsum(np.nan_to_num(steps))])
    along = np.searchsorted(length, np.linspace(0, length[-1], points)).clip(max=len(length) - 1)
    positive = curve.x[curve.x > 0]
    logs: Any = []
    if len(positive):
        logs = np.searchsorted(curve.x, np.geomspace(positive.min(), positive.max(), points)).clip(max=len(curve.x) - 1)
    keep = np.unique(np.concatenate([along, logs, [0, len(curve.x) - 1]]).astype(np.intp))
    return Curve(curve.x[keep], curve.y[keep])


def _log_ticks(low: float, high: float) -> list[float]:
    """Values 1, 2 and 5 times powers of ten between two positive numbers; powers alone where that would be many.

    Plotly itself labels the values between powers by their first digit only.
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits = (1, 2, 5) if len(powers) < 6 else (1,)
    return [tick for power in powers for digit in digits if low <= (tick := float(f"{digit}e{power}")) <= high]


def _figure(height: int) -> go.Figure:
    return go.Figure(layout={"template": TEMPLATE, "height": height})


def _line(figure: go.Figure, x: list[Any], y: list[Any], *, name: str, **line: Any) -> None:
    aid = line["color"] == NEUTRAL
    figure.add_scatter(
        x=x, y=y, name=name, mode="lines", line={"width": 2} | line, hoverinfo="skip" if aid else None,
        showlegend=name != "chance",
    )  # fmt: skip


def _spread(n: int, most: int) -> list[int]:
    """Indices of at most ``most`` of ``n`` things, evenly spaced, both ends among them."""
    return list(range(n)) if n <= most else np.unique(np.linspace(0, n - 1, most).round().astype(int)).tolist()


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"


def _round(value: float | None) -> float | None:
    """Five significant digits: more are not seen, and they would double the page."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.5g}")


def _plain(values: Floats) -> list[float | None]:
    return [_round(value) for value in values.tolist()]
