"""Plotly figures of a scored archive, from the histograms of its summary: as large for ten images as for 10⁸."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go

from raysuite.reporting.plots import BLUE, GREEN, TEMPLATE, VERMILION


def distribution_figure(model: Mapping[str, Any]) -> go.Figure | None:
    """Images by score over threshold, both axes logarithmic; the held-out good images, scaled to as many, as a line.

    Args:
        model: Of ``models`` in the summary.
    """
    counts, threshold = list(model["histogram"]), model["threshold"] or 1.0
    ratios = [edge / threshold for edge in model["histogram_edges"]]
    good = list(model.get("calibration_histogram") or [])
    filled = [index for index, count in enumerate(counts) if count or (good and good[index])]
    if not any(counts):
        return None
    first, last = filled[0], filled[-1]
    figure = go.Figure(layout={"template": TEMPLATE, "height": 320, "margin": {"t": 40}, "bargap": 0.06})
    # Bin i lies between edges i - 1 and i; the first has no lower edge, and the last no upper one.
    above = next((index for index, ratio in enumerate(ratios) if ratio >= 1 - 1e-9), len(ratios)) + 1
    for name, colour, pattern, begin, end in (
        ("up to the threshold", BLUE, "", first, min(above, last + 1)),
        ("anomalous", VERMILION, "/", max(above, first), last + 1),
    ):
        own = [index for index in range(begin, end) if counts[index]]
        if own:
            figure.add_bar(
                x=own, y=[counts[index] for index in own], name=name, width=0.94,
                marker={"color": colour, "pattern": {"shape": pattern, "size": 6, "solidity": 0.25,
                                                     "fillmode": "overlay"}},
                text=[f"{counts[index]:,} images, score {_between(ratios, index)} × threshold" for index in own],
                textposition="none", hovertemplate="%{text}<extra></extra>",
            )  # fmt: skip
    if sum(good):
        own = [index for index in range(first, last + 1) if good[index]]
        figure.add_scatter(
            x=own, y=[round(good[index] * sum(counts) / sum(good), 4) for index in own], mode="lines+markers",
            name="held-out good images, scaled", line={"color": GREEN, "width": 1.5, "dash": "dot"},
            marker={"size": 5}, hovertemplate="%{y:.3g}<extra>good images, scaled</extra>",
        )  # fmt: skip
    # Between the bins; of few bins more edges than powers of ten are named.
    ticks = [
        (index + 0.5, ratio) for index, ratio in enumerate(ratios)
        if first <= index + 1 <= last + 1 and (_is_round(ratio) or (last - first < 17 and index % 2 == 0))
    ]  # fmt: skip
    figure.update_xaxes(
        title_text="Score over threshold", tickmode="array", tickvals=[place for place, _ in ticks],
        ticktext=[f"{ratio:.3g}" for _, ratio in ticks], range=[first - 0.7, last + 0.7],
    )  # fmt: skip
    # From below one image on, as a bar of a single one has no height at the axis' own beginning.
    figure.update_yaxes(title_text="Images", type="log", exponentformat="power", dtick=1, range=[-0.3, None])
    return figure


def pace_figure(pace: Mapping[str, Any]) -> go.Figure | None:
    """Images a second over the time of scoring, bad ones apart; None where nobody noted when."""
    width, bins = pace.get("bin_seconds", 1), pace.get("bins") or []
    if not bins:
        return None
    figure = go.Figure(
        layout={"template": TEMPLATE, "height": 260, "margin": {"t": 40}, "barmode": "stack", "bargap": 0}
    )
    middles = [_when(start + width / 2) for start, *_ in bins]
    for name, colour, values in (
        ("scored", BLUE, [images - failed for _, images, failed in bins]),
        ("failed", VERMILION, [failed for _, _, failed in bins]),
    ):
        if any(values):
            figure.add_bar(
                x=middles, y=[round(value / width, 4) for value in values], width=1000 * width, name=name,
                marker={"color": colour, "line": {"width": 0}},
                hovertemplate="%{x}: %{y:.3g} images/s<extra></extra>",
            )  # fmt: skip
    figure.update_xaxes(title_text="UTC", type="date")
    figure.update_yaxes(title_text="Images a second", rangemode="tozero")
    return figure


def _between(ratios: list[float], index: int) -> str:
    if index == 0:
        return f"below {ratios[0]:.3g}"
    return f"above {ratios[-1]:.3g}" if index == len(ratios) else f"{ratios[index - 1]:.3g} to {ratios[index]:.3g}"


def _when(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


def _is_round(ratio: float) -> bool:
    """A power of ten."""
    return f"{ratio:.3e}".startswith("1.000e")
