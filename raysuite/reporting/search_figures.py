"""Plotly figures of a search: history, rungs, fronts, importances, and how far its objective can be trusted.

Scores are percent. What is drawn of more trials than `MOST_POINTS` is an even choice of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from raysuite.reporting.plots import BLUE, GREEN, NEUTRAL, TEMPLATE, VERMILION
from raysuite.tuning.importance import Importances
from raysuite.tuning.pareto import pareto_front
from raysuite.tuning.standing import Group, Trial

MOST_POINTS = 2000
MOST_BARS = 15
COSTS = {"latency_ms": "Latency of one image, ms", "parameters": "Parameters"}
_GONE = {"color": NEUTRAL, "size": 6, "symbol": "circle-open"}
_WHOLE = {"color": BLUE, "size": 7}
_BEST = {"color": VERMILION, "size": 11, "symbol": "diamond"}
_DEFAULT = {"color": GREEN, "size": 10, "symbol": "square"}


def history_figure(group: Group, last: int, default: Trial | None, score: str) -> go.Figure | None:
    """Score by trial, and the best so far of those that went to the end; None without a score.

    Args:
        group: The trials.
        last: Steps of the last rung.
        default: The trial of the start.
        score: What the scores are called.
    """
    scored = _scored(group.trials)
    if not scored:
        return None
    figure = _figure(320)
    best: float | None = None
    climbed: list[tuple[int, float | None]] = []
    for trial in scored:
        if trial.steps == last and (best is None or _percent(trial) > best):
            best = _percent(trial)
        climbed.append((trial.number, best))
    figure.add_scatter(
        x=[number for number, value in climbed if value is not None],
        y=[value for _, value in climbed if value is not None],
        mode="lines", line={"color": BLUE, "width": 1.5, "shape": "hv"}, name="best so far, of whole trials",
        hoverinfo="skip",
    )  # fmt: skip
    _add_kinds(figure, group, scored, last, default, lambda trial: trial.number)
    bad = [trial for trial in group.trials if trial.state in {"failed", "invalid"}]
    if bad:
        low = min(_percent(trial) for trial in scored)
        figure.add_scatter(
            x=[trial.number for trial in bad], y=[low] * len(bad), mode="markers", name="came to nothing",
            marker={"color": VERMILION, "size": 8, "symbol": "x-thin-open", "line": {"width": 2}},
            text=[f"trial {trial.number}: {trial.state}" for trial in bad], hovertemplate="%{text}<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(title_text="Trial", rangemode="tozero")
    figure.update_yaxes(title_text=f"{score}, %")
    return figure


def rungs_figure(group: Group, rungs: Sequence[int], score: str) -> go.Figure | None:
    """Score by steps, a line a trial; those that were stopped are pale."""
    best, figure = group.best, _figure(340)
    kinds: tuple[tuple[str, list[Trial], dict[str, Any]], ...] = (
        ("stopped", [t for t in group.trials if t.steps < rungs[-1]], {"color": NEUTRAL, "opacity": 0.5, "width": 1}),
        ("went to the end", [t for t in group.trials if t.steps >= rungs[-1] and t is not best],
         {"color": BLUE, "opacity": 0.9, "width": 1.5}),
        ("the best", [best] if best is not None else [], {"color": VERMILION, "opacity": 1.0, "width": 2.5}),
    )  # fmt: skip
    for name, trials, look in kinds:
        x, y, text = list[int | None](), list[float | None](), list[str | None]()
        for trial in _thinned(trials):
            curve = [(steps, value) for steps, value in trial.curve() if steps in rungs]
            x += [*(rungs.index(steps) for steps, _ in curve), None]
            y += [*(round(100 * value, 3) for _, value in curve), None]
            text += [*(f"trial {trial.number}, {steps:,} steps" for steps, _ in curve), None]
        if any(value is not None for value in y):
            figure.add_scatter(
                x=x, y=y, text=text, mode="lines+markers", name=name, opacity=look["opacity"],
                line={"color": look["color"], "width": look["width"]}, marker={"size": 5},
                hovertemplate="%{text}: %{y:.1f}<extra></extra>",
            )  # fmt: skip
    if not figure.data:
        return None
    # Rungs are equally many times apart, so that this is a logarithmic axis, with room for every name.
    figure.update_xaxes(
        title_text="Steps", tickmode="array", tickvals=list(range(len(rungs))), ticktext=[f"{one:,}" for one in rungs]
    )
    figure.update_yaxes(title_text=f"{score}, %")
    return figure


def importance_figure(found: Importances) -> go.Figure | None:
    """Shares of the settings that mattered most, as bars; None if nothing can be said."""
    shares = [(key, share) for key, share in found.shares.items() if share > 0][:MOST_BARS]
    if not shares:
        return None
    figure = _figure(70 + 24 * len(shares), top=10)
    figure.add_bar(
        orientation="h", x=[round(100 * share, 2) for _, share in shares], y=[key for key, _ in shares],
        marker={"color": BLUE}, hovertemplate="%{y}: %{x:.1f} %<extra></extra>", showlegend=False,
    )  # fmt: skip
    figure.update_xaxes(title_text="Share of what settings explain, %", rangemode="tozero")
    figure.update_yaxes(autorange="reversed", automargin=True, showgrid=False)
    return figure


def front_figure(group: Group, cost: str, last: int, default: Trial | None, score: str) -> go.Figure | None:
    """Score against a cost of whole trials, and the front that none beats in both; None with fewer than two."""
    known = [
        trial for trial in _scored(group.trials) if trial.steps == last and trial.mean(cost) is not None
    ]  # fmt: skip
    if len(known) < 2:
        return None
    figure = _figure(320)
    on_front = pareto_front([trial.score for trial in known], [trial.mean(cost) for trial in known])
    figure.add_scatter(
        x=[known[index].mean(cost) for index in on_front], y=[_percent(known[index]) for index in on_front],
        mode="lines", line={"color": BLUE, "width": 1.5, "shape": "hv", "dash": "dot"}, name="front",
        hoverinfo="skip",
    )  # fmt: skip
    _add_kinds(figure, group, known, last, default, lambda trial: trial.mean(cost) or 0)
    figure.update_xaxes(title_text=COSTS[cost])
    figure.update_yaxes(title_text=f"{score}, %")
    return figure


def trust_figure(
    trials: Sequence[Trial], category: str, tested: Sequence[Mapping[str, Any]], metric: str, last: int, score: str
) -> go.Figure | None:
    """The objective of each trial against a test metric of the same net; None with fewer than two."""
    of = {row["number"]: row[metric] for row in tested if row["category"] == category and row[metric] is not None}
    points = []
    for trial in trials:
        row = next((row for row in trial.rows if row.category == category), None)
        if row is not None and row.reached is not None and trial.number in of:
            points.append((row.steps == last, round(100 * row.reached.score, 3), round(100 * of[trial.number], 3), row))
    if len(points) < 2:
        return None
    figure = _figure(320)
    for is_whole, name, look in ((False, "stopped", _GONE), (True, "went to the end", _WHOLE)):
        own = _thinned([point for point in points if point[0] == is_whole])
        if own:
            figure.add_scatter(
                x=[one for _, one, _, _ in own], y=[other for _, _, other, _ in own], mode="markers", name=name,
                marker=look, text=[f"trial {row.number}" for *_, row in own],
                hovertemplate="%{text}: objective %{x:.1f}, test %{y:.1f}<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title_text=f"{score}, %")
    figure.update_yaxes(title_text="On the test images, %")
    return figure


def _add_kinds(
    figure: go.Figure, group: Group, trials: Sequence[Trial], last: int, default: Trial | None, x: Any
) -> None:
    """Trials by what became of them, the start and the best marked by shape as well as by colour."""
    best = group.best
    rest = [trial for trial in trials if trial is not best and trial is not default]
    for name, own, look in (
        ("stopped", [trial for trial in rest if trial.steps < last], _GONE),
        ("went to the end", [trial for trial in rest if trial.steps >= last], _WHOLE),
        ("the default", [trial for trial in trials if trial is default and trial is not best], _DEFAULT),
        (
            "the best" + (", the default" if best is default else ""),
            [trial for trial in trials if trial is best],
            _BEST,
        ),
    ):
        shown = _thinned(own)
        if shown:
            figure.add_scatter(
                x=[x(trial) for trial in shown], y=[_percent(trial) for trial in shown], mode="markers", name=name,
                marker=look, text=[f"trial {trial.number}" for trial in shown],
                hovertemplate="%{text}: %{y:.1f}<extra></extra>",
            )  # fmt: skip


def _figure(height: int, top: int = 40) -> go.Figure:
    return go.Figure(layout={"template": TEMPLATE, "height": height, "margin": {"t": top}})


def _scored(trials: Sequence[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.score is not None]


def _percent(trial: Trial) -> float:
    return round(100 * (trial.score or 0.0), 3)


def _thinned(of: Sequence[Any]) -> list[Any]:
    step = -(-len(of) // MOST_POINTS) or 1
    return list(of[::step])
