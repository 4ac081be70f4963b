"""Plotly figures of one category, and the overview of all. The page's script adds the colours of light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from raysuite.reporting.definitions import METRICS, PRO_LIMIT
from raysuite.reporting.plots import (
    BLUE,
    DASHES,
    GREEN,
    NEUTRAL,
    SEED_COLOURS,
    TEMPLATE,
    VERMILION,
    plain,
    rounded,
    spread,
)
from raysuite.reporting.results import Curve, SeedResult
from raysuite.reporting.summary import Summary
from raysuite.reporting.thresholds import confusion

_CURVE_POINTS = 160
_HISTORY_POINTS = 300


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
        even = [0.0, *plain(np.geomspace(1e-4, 1, 30))]
        _line(figure, even, even, name="chance", color=NEUTRAL, dash="dot", width=1)
    if kind.key == "pro":
        figure.add_vrect(x0=0, x1=PRO_LIMIT, fillcolor=NEUTRAL, opacity=0.12, line_width=0, layer="below")
        _line(figure, [PRO_LIMIT, PRO_LIMIT], [0, 1], name=f"limit {PRO_LIMIT}", color=NEUTRAL, dash="dash", width=1.5)
    for index, (run, curve) in enumerate(found):
        thin = thin_curve(curve, _CURVE_POINTS)
        colour, dash = SEED_COLOURS[index % len(SEED_COLOURS)], DASHES[index % len(DASHES)]
        _line(figure, plain(thin.x), plain(thin.y), name=f"seed {run.seed}", color=colour, dash=dash)
    for index, (run, _) in enumerate(found):
        if (point := _operating_point(run, kind)) is not None:
            figure.add_scatter(
                x=[rounded(point[0])], y=[rounded(point[1])], name=f"seed {run.seed} at its threshold", mode="markers",
                marker={"color": SEED_COLOURS[index % len(SEED_COLOURS)], "size": 9, "symbol": "x-thin-open",
                        "line": {"width": 2.5}},
                showlegend=False,
            )  # fmt: skip
    figure.update_xaxes(title_text=kind.x, range=[0, right], constrain="domain")
    figure.update_yaxes(title_text=kind.y, range=[0, 1.02])
    return figure


def _operating_point(run: SeedResult, kind: CurveKind) -> tuple[float, float] | None:
    """Where on a curve of images the detector stands with the threshold that it carries."""
    counts = confusion(run)
    x, y = {
        "image_roc": (counts.false_alarm_rate, counts.recall),
        "image_pr": (counts.recall, counts.precision),
    }.get(kind.key, (None, None))
    return None if x is None or y is None else (x, y)


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
            pick = spread(len(x), _HISTORY_POINTS)
            name = f"seed {run.seed} {part.removesuffix('_loss')}"
            _line(
                figure,
                plain(x[pick]),
                plain(y[keep][pick]),
                name=name,
                color=colour,
                dash=dash,
                width=2 if part == "loss" else 1.2,
            )
    if not figure.data:
        return None
    figure.update_xaxes(title_text="Step")
    losses = np.concatenate([np.asarray(line.y, dtype=np.float64) for line in figure.data])
    losses = losses[losses > 0]
    # Of short trainings there may be no power of ten in sight.
    dtick = 1 if len(losses) and losses.max() > 100 * losses.min() else "D2"
    figure.update_yaxes(title_text="Loss", type="log", exponentformat="power", dtick=dtick)
    return figure


def rate_figure(runs: Sequence[SeedResult]) -> go.Figure | None:
    """The learning rate, and images a second, by step: a colour a seed; None without a history."""
    parts = (("learning_rate", "Learning rate"), ("images_per_second", "Images a second"))
    figure = make_subplots(1, 2, horizontal_spacing=0.15, subplot_titles=[title for _, title in parts])
    figure.update_layout(template=TEMPLATE, height=300, margin_t=40, legend_y=1.12)
    figure.update_annotations(font_size=12)
    for column, (part, _) in enumerate(parts, start=1):
        for index, run in enumerate(runs):
            y = run.history.get(part, np.array([]))
            keep = np.isfinite(y)
            if not keep.any():
                continue
            x = run.history["step"][keep]
            pick = spread(len(x), _HISTORY_POINTS)
            colour, dash = SEED_COLOURS[index % len(SEED_COLOURS)], DASHES[index % len(DASHES)]
            figure.add_scatter(
                x=plain(x[pick]), y=plain(y[keep][pick]), name=f"seed {run.seed}", legendgroup=f"seed {run.seed}",
                showlegend=column == 1, mode="lines", line={"color": colour, "dash": dash, "width": 1.5},
                row=1, col=column,
            )  # fmt: skip
        figure.update_yaxes(rangemode="tozero", exponentformat="power", row=1, col=column)
        figure.update_xaxes(title_text="Step", row=1, col=column)
    return figure if figure.data else None


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
                "array": [rounded(100 * (high - mean)) if high is not None else None for mean, _, high in bounds],
                "arrayminus": [rounded(100 * (mean - low)) if low is not None else None for mean, low, _ in bounds],
            }  # fmt: skip
        figure.add_scatter(
            x=[None if mean is None else rounded(100 * mean) for mean in means], y=rows, name=labels[key],
            mode="markers", marker={"color": colour, "symbol": symbol, "size": 9}, error_x=bars,
            hovertemplate="%{x:.1f} %<extra>" + labels[key] + "</extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="Percent")
    figure.update_yaxes(
        tickvals=rows,
        ticktext=[escape(c.category, quote=False) for c in shown],
        automargin=True,
        range=[-0.6, len(shown) - 0.4],
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


def _figure(height: int) -> go.Figure:
    return go.Figure(layout={"template": TEMPLATE, "height": height})


def _line(figure: go.Figure, x: list[Any], y: list[Any], *, name: str, **line: Any) -> None:
    aid = line["color"] == NEUTRAL
    figure.add_scatter(
        x=x, y=y, name=name, mode="lines", line={"width": 2} | line, hoverinfo="skip" if aid else None,
        showlegend=name != "chance",
    )  # fmt: skip
