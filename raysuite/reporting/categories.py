"""All that the page shows of one category: curves, scores, training, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysuite.reporting import figures, histograms, recall, tables
from raysuite.reporting.html import FigureView, figure_view
from raysuite.reporting.results import SeedResult
from raysuite.reporting.summary import CategorySummary, Summary
from raysuite.reporting.thresholds import Confusion, confusion, sliding


@dataclass(frozen=True, slots=True)
class CategoryView:
    """All that the page shows of one category, with one objective.

    Attributes:
        objective: The one that is shown.
        summary: Its figures.
        curves: Its curves.
        undrawn: The titles of the curves that are not defined or were not written.
        scores: Histograms of its scores.
        confusion: Counts at the thresholds that its detectors carry.
        sliding: What the threshold slider needs, a mapping a seed.
        training: Its losses.
        rates: Its learning rate and speed.
        validated: The seeds that have synthetic validation.
        by_kind: Recall by kind of defect.
        by_size: Recall by size of defect.
    """

    objective: str
    summary: CategorySummary
    curves: tuple[FigureView, ...]
    undrawn: tuple[str, ...]
    scores: FigureView | None
    confusion: tuple[Confusion, ...]
    sliding: Sequence[Mapping[str, Any]]
    training: FigureView | None
    rates: FigureView | None
    validated: tuple[SeedResult, ...]
    by_kind: tuple[recall.Group, ...]
    by_size: tuple[recall.Group, ...]


def shown(summaries: Sequence[Summary]) -> list[tuple[str, CategorySummary]]:
    """Each category with the first objective that was trained on it: pictures of all of them would be too much."""
    found: dict[str, tuple[str, CategorySummary]] = {}
    for summary in summaries:
        for category in summary.categories:
            found.setdefault(category.category, (summary.objective, category))
    return [found[name] for name in sorted(found)]


def category_view(index: int, objective: str, category: CategorySummary) -> CategoryView:
    """All of one category.

    Args:
        index: Its place on the page, for the ids of its figures.
        objective: The objective that is shown.
        category: Its figures with that objective.
    """
    runs, name = category.runs, category.category
    curves = []
    for kind in figures.CURVES:
        area = tables.mean_std(category.metrics[kind.metric])
        alt = f"{kind.title} of {name}, a line a seed; area {area} percent"
        figure = figures.curve_figure(runs, kind)
        curves.append((kind, figure_view(f"{index}-{kind.key}", f"{kind.title}: {area} %", alt, figure, kind.has_fpr)))
    slid = sliding(runs)
    # A row of the histograms each, in the order in which they are drawn.
    rows = {run.seed: row for row, run in enumerate(histograms.with_scores(runs))}
    return CategoryView(
        objective=objective,
        summary=category,
        curves=tuple(view for _, view in curves if view),
        undrawn=tuple(kind.title for kind, view in curves if view is None),
        scores=figure_view(
            f"{index}-scores",
            "",
            f"Histograms of the image scores of {name}, good and defective, with the threshold, a row a seed",
            histograms.score_figure(runs),
        ),
        confusion=tuple(confusion(run) for run in runs if run.done and run.scores),
        sliding=[{**one, "row": rows[one["seed"]]} for one in slid],
        training=figure_view(
            f"{index}-training",
            "Loss",
            f"Training loss of {name} by step, a line a seed",
            figures.training_figure(runs),
        ),
        rates=figure_view(
            f"{index}-rates",
            "Learning rate and speed",
            f"Learning rate and images a second in the training of {name}, a line a seed",
            figures.rate_figure(runs),
        ),
        validated=tuple(run for run in runs if run.values.get("val_score") is not None),
        by_kind=recall.by_kind(runs),
        by_size=recall.by_size(runs),
    )
