"""Plotly figures of what a search tried: settings side by side, and the score by the value of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from raysuite.reporting.plots import BLUE, GREEN, NEUTRAL, TEMPLATE, VERMILION
from raysuite.tuning.domains import Choice, label_of
from raysuite.tuning.importance import Importances
from raysuite.tuning.space import Dimension, Space
from raysuite.tuning.standing import Group, Trial

MOST_AXES = 8
MOST_LINES = 400
_FIFTH = 5
_LINE = 15
_PAD = 0.06


def shown_dimensions(space: Space, found: Importances, trials: Sequence[Trial]) -> list[Dimension]:
    """The settings that are drawn: those that mattered most, or the first ones, if they took different values."""
    differing = [
        one for one in space.dimensions
        if len({label_of(trial.values[one.key]) for trial in trials if one.key in trial.values}) > 1
    ]  # fmt: skip
    return sorted(differing, key=lambda one: -found.shares.get(one.key, 0.0))[:MOST_AXES]


def parallel_figure(
    group: Group, dimensions: Sequence[Dimension], default: Trial | None, score: str, last: int
) -> go.Figure | None:
    """A line a trial over an axis a setting, and the score of whole trials last; the best fifth stand out.

    None with fewer than two settings or trials.
    """
    scored = [trial for trial in group.trials if trial.score is not None]
    if len(dimensions) < 2 or len(scored) < 2:
        return None
    # As trials are ranked: how far one came counts before its score.
    ranked = sorted(scored, key=lambda trial: (-trial.steps, -(trial.score or 0.0)))
    best, count = group.best, max(1, len(ranked) // _FIFTH)
    rest = [trial for trial in ranked if trial is not best and trial is not default]
    front = [trial for trial in ranked[:count] if trial in rest]
    behind = [trial for trial in rest if trial not in front]
    whole = [trial.score or 0.0 for trial in scored if trial.steps == last] or [trial.score or 0.0 for trial in scored]
    low, high = min(whole), max(whole)
    names = [_wrapped(one.key) for one in dimensions]
    below = 34 + 16 * max(name.count("<br>") for name in names)
    margin = {"t": 70, "b": below, "l": 40, "r": 40}
    figure = go.Figure(layout={"template": TEMPLATE, "height": 316 + below, "margin": margin})
    for name, trials, look in (
        ("the others", behind[:: -(-len(behind) // MOST_LINES) or 1], {"color": NEUTRAL, "width": 1, "opacity": 0.45}),
        ("best fifth", front[:MOST_LINES], {"color": BLUE, "width": 1.8, "opacity": 0.9}),
        ("the default", [trial for trial in scored if trial is default and trial is not best],
         {"color": GREEN, "width": 2.5, "opacity": 1.0, "dash": "dash"}),
        ("the best", [best] if best is not None else [], {"color": VERMILION, "width": 3, "opacity": 1.0}),
    ):  # fmt: skip
        x, y, text = list[int | None](), list[float | None](), list[str | None]()
        for trial in trials:
            for index, one in enumerate(dimensions):
                value = trial.values.get(one.key)
                # Of a setting that was not searched in this trial the line has a gap.
                x.append(index)
                y.append(None if value is None else round(_place(one, value), 4))
                text.append(None if value is None else f"trial {trial.number}: {one.key} {escape(_short(value))}")
            own = trial.score if trial.steps == last else None
            x += [len(dimensions), None]
            y += [None if own is None else round((own - low) / (high - low), 4) if high > low else 0.5, None]
            text += [None if own is None else f"trial {trial.number}: {100 * own:.1f}", None]
        if x:
            figure.add_scatter(
                x=x, y=y, text=text, mode="lines+markers", name=name, opacity=look["opacity"], connectgaps=False,
                line={"color": look["color"], "width": look["width"], "dash": look.get("dash", "solid")},
                marker={"size": 4}, hovertemplate="%{text}<extra></extra>",
            )  # fmt: skip
    for index, one in enumerate(dimensions):
        for end, words in zip((0, 1), _ends(one), strict=True):
            _note(figure, index, end, words)
    for end, value in ((0, low), (1, high)):
        _note(figure, len(dimensions), end, f"{100 * value:.1f}")
    figure.update_xaxes(
        tickmode="array", tickangle=0, tickfont_size=10.5, tickvals=list(range(len(dimensions) + 1)),
        showgrid=True, range=[-0.3, len(dimensions) + 0.3],
        ticktext=[*names, f"{score}, %"],
    )  # fmt: skip
    figure.update_yaxes(visible=False, range=[-0.09, 1.09])
    return figure


def slice_figure(group: Group, dimension: Dimension, steps: int, score: str) -> go.Figure | None:
    """Score after equally many steps by the value of one setting; None with fewer than two trials."""
    best = group.best
    points = [
        (trial.values[dimension.key], round(100 * value, 3), trial) for trial in group.trials
        if dimension.key in trial.values and (value := trial.score_at(steps)) is not None
    ]  # fmt: skip
    if len(points) < 2:
        return None
    domain, points = dimension.domain, points[:: -(-len(points) // MOST_LINES) or 1]
    figure = go.Figure(layout={"template": TEMPLATE, "height": 230, "margin": {"t": 10, "b": 46}, "showlegend": False})

    def x(value: Any) -> str | float:
        if isinstance(domain, Choice):
            return escape(label_of(value))
        # The logarithm on a plain axis: Plotly's own one has too many ticks for so small a figure, or too few.
        return round(math.log10(value), 5) if domain.log else float(value)

    for own, look in (
        ([one for one in points if one[2] is not best], {"color": BLUE, "size": 6, "opacity": 0.9}),
        ([one for one in points if one[2] is best], {"color": VERMILION, "size": 11, "symbol": "diamond"}),
    ):
        figure.add_scatter(
            x=[x(value) for value, _, _ in own], y=[one for _, one, _ in own], mode="markers", marker=look,
            text=[f"trial {trial.number}: {one:.1f} with {escape(_short(value))}" for value, one, trial in own],
            hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    if isinstance(domain, Choice):
        labels = [escape(label) for label in domain.labels]
        figure.update_xaxes(type="category", categoryorder="array", categoryarray=labels)
        figure.update_xaxes(range=[-0.5, len(labels) - 0.5])
    else:
        low, high = float(x(domain.low)), float(x(domain.high))
        figure.update_xaxes(range=[low - _PAD * (high - low), high + _PAD * (high - low)], nticks=6, tickangle=0)
        if domain.log:
            ticks = _ticks(domain.low, domain.high)
            figure.update_xaxes(tickmode="array", tickvals=[x(tick) for tick in ticks])
            figure.update_xaxes(ticktext=[f"{tick:.5g}" for tick in ticks])
    figure.update_yaxes(title_text=f"{score}, %", nticks=5)
    return figure


def _place(dimension: Dimension, value: Any) -> float:
    """Where on its axis a value lies, 0 to 1."""
    domain = dimension.domain
    if isinstance(domain, Choice):
        labels = domain.labels
        at = labels.index(label_of(value)) if label_of(value) in labels else 0
        return at / max(1, len(labels) - 1)
    return domain.share(value)


def _ends(dimension: Dimension) -> tuple[str, str]:
    domain = dimension.domain
    if isinstance(domain, Choice):
        return escape(_short(domain.values[0])), escape(_short(domain.values[-1]))
    return _short(domain.low), _short(domain.high)


def _wrapped(key: str) -> str:
    """In lines of about a word, as there is room for beside the other axes."""
    lines = [""]
    for part in key.replace(".", ". ").replace("_", "_ ").split(" "):
        if lines[-1] and len(lines[-1]) + len(part) > _LINE:
            lines.append("")
        lines[-1] += part
    return "<br>".join(lines)


def _ticks(low: float, high: float) -> list[float]:
    """Round values of a logarithmic axis: powers of ten if there are three, else twice and five times these too."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [10.0**power for power in range(first, last + 1)]
    tens = [power for power in powers if low <= power <= high]
    return tens if len(tens) > 2 else [m * power for power in powers for m in (1, 2, 5) if low <= m * power <= high]


def _short(value: Any) -> str:
    text = f"{value:.3g}" if isinstance(value, float) else label_of(value)
    return text if len(text) <= 14 else f"{text[:13]}…"


def _note(figure: go.Figure, x: float, end: int, words: str) -> None:
    figure.add_annotation(
        x=x, y=1.02 if end else -0.02, text=words, showarrow=False, yanchor="bottom" if end else "top",
        font_size=11,
    )  # fmt: skip
