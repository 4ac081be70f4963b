"""Who worked where and when: a chart of a run's timeline, a row for each thing that a node did at once."""

from __future__ import annotations

from html import escape

import plotly.graph_objects as go

from raysuite.reporting.cost import Bar, Cost
from raysuite.reporting.plots import BLUE, GREEN, TEMPLATE, VERMILION

MOST_ROWS = 60
"""A taller chart would be no easier to read than the table under it."""

_KINDS = {
    "train": ("training", BLUE, ""),
    "evaluate": ("scoring", GREEN, "/"),
    "failed": ("failed or lost", VERMILION, "x"),
}


def timeline_figure(cost: Cost) -> go.Figure | None:
    """Trainings and scorings as bars, by node; None if nobody wrote down when they were, or nodes are too many."""
    rows = list(dict.fromkeys((bar.node, bar.row) for bar in cost.bars))
    if not rows or len(rows) > MOST_ROWS:
        return None
    first = min(bar.started for bar in cost.bars)
    last = max(max(bar.started, bar.ended or 0.0) for bar in cost.bars)
    unit, name = next(((s, n) for s, n in ((3600, "hours"), (60, "minutes")) if last - first > 2 * s), (1, "seconds"))
    place = {row: len(rows) - 1 - index for index, row in enumerate(rows)}
    figure = go.Figure(layout={"template": TEMPLATE, "height": 110 + 26 * len(rows), "barmode": "overlay"})
    for kind, (title, colour, pattern) in _KINDS.items():
        bars = [bar for bar in cost.bars if _kind(bar) == kind]
        if not bars:
            continue
        figure.add_bar(
            orientation="h", name=title, width=0.7,
            base=[round((bar.started - first) / unit, 4) for bar in bars],
            # One whose end nobody knows is a thin mark where it began.
            x=[round(max((bar.ended or bar.started) - bar.started, (last - first) / 400) / unit, 4) for bar in bars],
            y=[place[bar.node, bar.row] for bar in bars],
            marker={"color": colour, "pattern": {"shape": pattern, "size": 6, "solidity": 0.3, "fillmode": "overlay"}},
            text=[_words(bar) for bar in bars], textposition="none",
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(
        title_text=f"{name.capitalize()} since the first start", range=[0, (last - first) * 1.02 / unit]
    )
    figure.update_yaxes(
        tickvals=list(place.values()),
        ticktext=[escape(node, quote=False) if row == 0 else "" for node, row in rows],
        range=[-0.6, len(rows) - 0.4], automargin=True, showgrid=False,
    )  # fmt: skip
    return figure


def _kind(bar: Bar) -> str:
    return "failed" if bar.reason is not None or bar.ended is None else bar.stage if bar.stage in _KINDS else "train"


def _words(bar: Bar) -> str:
    took = "its worker was lost" if bar.ended is None else f"{bar.ended - bar.started:.1f} s"
    run = bar.run
    return f"{escape(run.category, quote=False)} seed {run.seed} {run.objective}: {bar.stage}, {took}"
