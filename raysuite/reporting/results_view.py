"""The head of a report as its templates need it: the verdict, the tables of results, and what stands beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from raysuite import settings
from raysuite.datasets.inspection import CategoryReport
from raysuite.errors import RaysuiteError
from raysuite.reporting import tables
from raysuite.reporting.comparison import compare
from raysuite.reporting.contrast import EXPLANATION, SIGNIFICANT, Contrast, contrast
from raysuite.reporting.contrast_table import p_text, signed
from raysuite.reporting.definitions import METRICS
from raysuite.reporting.loaded import LoadedRun
from raysuite.reporting.published import CAUTION, Published, published_beside
from raysuite.reporting.results import RunResults, SeedResult
from raysuite.reporting.summary import CategorySummary, Summary
from raysuite.reporting.verdict import verdict
from raysuite.storage import Location


@dataclass(frozen=True, slots=True)
class ResultsView:
    """The table of one objective.

    Attributes:
        summary: Its figures.
        heat: By metric key and category: 0 for the column's lowest mean, 1 for its highest; empty where there is
            nothing to rank.
        contrast: By how much it differs from the baseline; None if there is none.
    """

    summary: Summary
    heat: Mapping[str, Mapping[str, float]]
    contrast: Contrast | None

    def runs(self, category: CategorySummary) -> tuple[SeedResult, ...]:
        """The seeds that a category's row unfolds into; none where it would be the row again."""
        return category.runs if len(self.summary.seeds) > 1 else ()


def results_context(
    root: Location,
    results: RunResults,
    summaries: Sequence[Summary],
    baseline: Location | None,
    quality: Sequence[CategoryReport],
) -> dict[str, Any]:
    """Names and values for ``verdict``, ``results``, ``comparison``, ``contrast`` and ``published.html.j2``.

    Raises:
        RunError: The baseline is no evaluated run, or has no category in common with this one.
    """
    contrasts = _contrasts(root, summaries, baseline)
    by_objective = {one.objective: one for one in contrasts}
    return {
        "verdict": verdict(root, results, summaries, quality),
        "comparisons": compare(summaries),
        "tables": [
            ResultsView(s, {m.key: _heat(s, m.key) for m in METRICS}, by_objective.get(s.objective)) for s in summaries
        ],
        "contrasts": contrasts,
        "explanation": EXPLANATION,
        "significant": SIGNIFICANT,
        "published": published_beside(summaries[0]),
        "published_cautions": CAUTION,
        "best_published": best_published,
        "own_features": _features(results),
        "interval": tables.interval,
        "compared": tables.compared,
        "common_note": tables.common_note,
        "signed": signed,
        "p_text": p_text,
    }


def best_published(one: Published, key: str, category: str | None = None) -> float | None:
    """The highest figure of a metric among the methods and the run itself, as it is printed.

    Args:
        one: What stands beside the run.
        key: The metric.
        category: Of this category; of the mean if not given. The run's own is only in the mean.
    """
    if category is None:
        found = [method.means.get(key) for method in one.methods] + [one.own[key]]
    else:
        found = [method.figures.get(key, {}).get(category) for method in one.methods]
    known = [float(f"{100 * value:.1f}") for value in found if value is not None]
    return max(known, default=None)


def _contrasts(root: Location, summaries: Sequence[Summary], baseline: Location | None) -> list[Contrast]:
    """Each objective against the same one of the baseline; the first against the baseline's own if it lacks that."""
    if baseline is None:
        return []
    ours, theirs = LoadedRun.at(root), LoadedRun.at(baseline)
    known = theirs.results.objectives
    pairs = [(s.objective, s.objective) for s in summaries if s.objective in known]
    return [contrast(ours, theirs, *pair) for pair in pairs or [(summaries[0].objective, known[0])]]


def _features(results: RunResults) -> str:
    """What the nets of the run know from other images, in the words of the published results."""
    try:
        config = settings.from_card(yaml.safe_load(results.config))
    except (yaml.YAMLError, RaysuiteError, KeyError, TypeError):
        return "none"
    return "none; texture photographs as defects" if config.corruption.fills.texture.folder else "none"


def _heat(summary: Summary, key: str) -> dict[str, float]:
    means = {c.category: mean for c in summary.categories if (mean := c.metrics[key].mean) is not None}
    low, high = (min(means.values()), max(means.values())) if means else (0.0, 0.0)
    return {category: (mean - low) / (high - low) for category, mean in means.items()} if high > low else {}
