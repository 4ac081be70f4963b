"""What a search cost: seconds by what they went into, core-hours, which trial was where when, and what they held."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from raysuite.reporting.plots import BLUE, GREEN, NEUTRAL, TEMPLATE, VERMILION, spread
from raysuite.reporting.search_results import SearchResults
from raysuite.tuning.standing import Trial

MOST_ROWS = 60
MOST_BARS = 3000
MOST_POINTS = 2000
_KINDS = (
    ("done", "went to the end", BLUE, ""),
    ("stopped", "stopped", NEUTRAL, "/"),
    ("failed", "came to nothing", VERMILION, "x"),
    ("running", "not over", GREEN, "."),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What was spent.

    Attributes:
        wall_seconds: Of the search by the clock, over all commands, without the retrainings.
        trial_seconds: Of trials, each to its last rung.
        training_seconds: Of these in training steps; ``None`` before the end of the search.
        steps: Training steps.
        cpu_hours: Held by trials; ``None`` where nobody noted what each took.
        gpu_hours: The same of GPUs.
    """

    wall_seconds: float
    trial_seconds: float
    training_seconds: float | None
    steps: int
    cpu_hours: float | None
    gpu_hours: float | None


def cost_of(results: SearchResults) -> Cost:
    """What a search cost so far."""
    trials = [trial for group in results.standing.groups for trial in group.trials]
    seconds = sum(trial.seconds for trial in trials)
    each = each_takes(results)
    hours = {name: seconds * each[name] / 3600 if name in each else None for name in ("cpus", "gpus")}
    is_known = results.summary is not None and not results.is_stale
    return Cost(
        wall_seconds=results.standing.spent,
        trial_seconds=seconds,
        training_seconds=(results.summary or {}).get("training_seconds") if is_known else None,
        steps=sum(row.steps for trial in trials for row in trial.rows),
        cpu_hours=hours["cpus"],
        gpu_hours=hours["gpus"],
    )


def each_takes(results: SearchResults) -> Mapping[str, float]:
    """CPUs and GPUs of a trial, as the last command gave them; empty where nobody noted it."""
    return results.standing.plan.get("each") or (results.summary or {}).get("each") or {}


@dataclass(frozen=True, slots=True)
class _Bar:
    trial: Trial
    node: str
    start: float
    end: float
    lane: int

    @property
    def kind(self) -> str:
        if self.trial.state in {"failed", "invalid"}:
            return "failed"
        return self.trial.state if self.trial.state in {"done", "stopped"} else "running"


def timeline_figure(trials: Sequence[Trial]) -> tuple[go.Figure | None, str]:
    """Trials as bars, by node, a row for each that went on at once; without a figure, why there is none."""
    bars = list(_bars(trials))
    if not bars:
        return None, "no trial has begun"
    lanes = sorted({(bar.node, bar.lane) for bar in bars})
    for count, most, what in ((len(lanes), MOST_ROWS, "trials at once"), (len(bars), MOST_BARS, "trials")):
        if count > most:
            return None, f"{count:,} {what} are too many to draw (more than {most:,})"
    row = {lane: len(lanes) - 1 - index for index, lane in enumerate(lanes)}
    figure = go.Figure(
        layout={"template": TEMPLATE, "height": 110 + 26 * len(lanes), "barmode": "overlay", "margin": {"t": 40}}
    )
    first, last, unit = _set_time_axis(figure, bars)
    for kind, title, colour, pattern in _KINDS:
        own = [bar for bar in bars if bar.kind == kind]
        if own:
            figure.add_bar(
                orientation="h", name=title, width=0.7,
                base=[round((bar.start - first) / unit, 4) for bar in own],
                x=[round(max(bar.end - bar.start, (last - first) / 400) / unit, 4) for bar in own],
                y=[row[bar.node, bar.lane] for bar in own],
                # A line around each, or neighbours would run into one another.
                marker={"color": colour, "line": {"width": 1, "color": "rgba(128,128,128,.6)"},
                        "pattern": {"shape": pattern, "size": 6, "solidity": 0.3, "fillmode": "overlay"}},
                text=[f"trial {bar.trial.number}, {bar.trial.state}, {bar.end - bar.start:.1f} s" for bar in own],
                textposition="none", hovertemplate="%{text}<extra></extra>",
            )  # fmt: skip
    figure.update_yaxes(
        tickvals=list(row.values()), ticktext=[escape(node) if lane == 0 else "" for node, lane in lanes],
        range=[-0.6, len(lanes) - 0.4], automargin=True, showgrid=False,
    )  # fmt: skip
    return figure, ""


def held_figure(trials: Sequence[Trial], each: Mapping[str, float]) -> tuple[go.Figure | None, str]:
    """What trials held over time, in steps, and the most and the mean of it in words; no figure if none has begun.

    It is of GPUs where trials hold them, else of CPUs, or of trials where nobody noted what each took. Of more than
    `MOST_POINTS` changes an even choice is drawn.

    Args:
        trials: The trials.
        each: ``cpus`` and ``gpus`` of a trial.
    """
    bars = list(_bars(trials))
    if not bars:
        return None, ""
    what, share = next(((n, each[k]) for k, n in (("gpus", "GPUs"), ("cpus", "CPUs")) if each.get(k)), ("trials", 1))
    axis = "Trials at once" if what == "trials" else f"{what} held"
    figure = go.Figure(layout={"template": TEMPLATE, "height": 200, "margin": {"t": 20}})
    first, last, unit = _set_time_axis(figure, bars)
    changes, following = dict[float, int](), dict[tuple[str, int], float]()
    for bar in reversed(bars):
        # Whoever wrote down an end may have been a moment late: it was over when the next one in its row began.
        end = min(bar.end, following.get((bar.node, bar.lane), bar.end))
        following[bar.node, bar.lane] = bar.start
        changes[bar.start] = changes.get(bar.start, 0) + 1
        changes[end] = changes.get(end, 0) - 1
    times = sorted(changes)
    counts = list(itertools.accumulate(changes[time] for time in times))
    mean = sum(bar.end - bar.start for bar in bars) * share / (last - first) if last > first else 0.0
    shown = spread(len(times), MOST_POINTS)
    figure.add_scatter(
        x=[round((times[at] - first) / unit, 4) for at in shown], y=[round(counts[at] * share, 4) for at in shown],
        customdata=[counts[at] for at in shown], mode="lines", fill="tozeroy", showlegend=False,
        line={"color": BLUE, "width": 1.5, "shape": "hv"},
        hovertemplate=f"%{{y}} {what}, %{{customdata}} trials<extra></extra>",
    )  # fmt: skip
    figure.update_yaxes(title_text=axis, rangemode="tozero")
    return figure, f"{axis}: at most {max(counts) * share:g}, {mean:.3g} on average"


def _set_time_axis(figure: go.Figure, bars: Sequence[_Bar]) -> tuple[float, float, int]:
    """Give a figure its axis; returns the first start, the last end, and the seconds of the axis' unit."""
    first, last = min(bar.start for bar in bars), max(bar.end for bar in bars)
    unit, name = next(((s, n) for s, n in ((3600, "hours"), (60, "minutes")) if last - first > 2 * s), (1, "seconds"))
    figure.update_xaxes(
        title_text=f"{name.capitalize()} since the first start", range=[0, (last - first) * 1.02 / unit]
    )
    return first, last, unit


def _bars(trials: Sequence[Trial]) -> Iterator[_Bar]:
    """By time; each in the first row of its node that is free."""
    began = [(trial.started, trial.number, trial) for trial in trials if trial.started is not None]
    busy: dict[str, list[tuple[float, int]]] = {}
    free: dict[str, list[int]] = {}
    for start, _, trial in sorted(began, key=lambda one: one[:2]):
        node = trial.node or "unknown"
        # Of one that is not over nobody knows more than what it did to its last rung.
        end = max(start, trial.ended if trial.ended is not None else start + trial.seconds)
        own, unused = busy.setdefault(node, []), free.setdefault(node, [])
        while own and own[0][0] <= start + 0.05:
            heapq.heappush(unused, heapq.heappop(own)[1])
        lane = heapq.heappop(unused) if unused else len(own)
        heapq.heappush(own, (end, lane))
        yield _Bar(trial, node, start, end, lane)
