"""A run folder as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from raysuite import __version__
from raysuite.reporting import figures, tables
from raysuite.reporting.assets import assets_folder, environment
from raysuite.reporting.comparison import compare
from raysuite.reporting.definitions import FOOTNOTES, INCOMPLETE, METRICS, UNDEFINED
from raysuite.reporting.images import data_uri
from raysuite.reporting.results import GalleryItem, RunResults, Score, SeedResult, load_results
from raysuite.reporting.summary import CategorySummary, Summary, failure_sentences, summarise
from raysuite.storage import Location

GALLERY_LIMIT = 4
"""Misses, and false alarms, shown for one category: 15 categories must stay a page that can be mailed."""


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure as the template needs it: where it goes, its caption, what it shows in words, and what Plotly draws."""

    id: str
    title: str
    alt: str
    spec: Mapping[str, Any]
    has_fpr: bool = False


@dataclass(frozen=True, slots=True)
class Confusion:
    """Images of one seed by label and by the side of the threshold on which they fell."""

    seed: int
    threshold: float | None
    caught: int
    missed: int
    false_alarms: int
    passed: int


@dataclass(frozen=True, slots=True)
class GalleryView:
    """One image of the gallery with its pictures as data URIs (None = not there, or not an image)."""

    item: GalleryItem
    pictures: Mapping[str, str | None]

    @property
    def verdict(self) -> str:
        """On which side of the threshold the image fell; empty if its score or threshold is not known."""
        score, threshold = self.item.score, self.item.threshold
        if score is None or threshold is None:
            return ""
        above = score > threshold
        if self.item.kind == "miss":
            return "caught" if above else "missed"
        return "false alarm" if above else "passed"


@dataclass(frozen=True, slots=True)
class CategoryView:
    """All that the page shows of one category, with one objective."""

    objective: str
    summary: CategorySummary
    curves: tuple[FigureView, ...]
    undrawn: tuple[str, ...]
    more_curves: tuple[FigureView, ...]
    scores: FigureView | None
    confusion: tuple[Confusion, ...]
    training: FigureView | None
    misses: tuple[GalleryView, ...]
    false_alarms: tuple[GalleryView, ...]
    hidden: int


@dataclass(frozen=True, slots=True)
class ResultsView:
    """The table of one objective: its figures, and the shade of each category by metric."""

    summary: Summary
    heat: Mapping[str, Mapping[str, float]]


def write_report(root: Location) -> Location:
    """Write ``report.html`` into the run folder, whole or not at all, and return where it lies.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
        StorageError: The folder may not be written.
    """
    target = root / "report.html"
    target.write_text(render_report(root))
    return target


def render_report(root: Location) -> str:
    """The report of a run folder as one HTML document.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
    """
    results = load_results(root)
    summaries = summarise(results)
    summary = summaries[0]
    shown = _shown(summaries)
    plotly_js = get_plotlyjs()
    page_js = (assets_folder() / "report.js").read_text(encoding="utf-8")
    template = environment().get_template("report.html.j2")
    return template.render(
        results=results,
        summary=summary,
        summaries=summaries,
        comparisons=compare(summaries),
        tables=[ResultsView(s, {metric.key: _heat(s, metric.key) for metric in METRICS}) for s in summaries],
        categories=[_category_view(index, *one) for index, one in enumerate(shown)],
        panel_of={(category.category, objective): index for index, (objective, category) in enumerate(shown)},
        overview=_view(
            "overview",
            "Metrics by category",
            "The table's means as dots, a row a category",
            figures.overview_figure(summary),
        ),
        images_tested=_total(shown, "n_good") + _total(shown, "n_defect"),
        images_failed=_total(shown, "n_failed"),
        runs_done=sum(s.runs_done for s in summaries),
        runs_expected=sum(len(s.categories) * len(s.seeds) for s in summaries),
        validated=any(run.values.get("val_score") is not None for run in results.runs),
        commands=_commands(results),
        provenance=results.provenance,
        unread=_unread(results),
        metrics=METRICS,
        footnotes=FOOTNOTES,
        undefined=UNDEFINED,
        incomplete=INCOMPLETE,
        version=__version__,
        percent=tables.percent,
        mean_std=tables.mean_std,
        interval=tables.interval,
        compared=tables.compared,
        common_note=tables.common_note,
        count=tables.count,
        failure_sentences=failure_sentences,
        # The page's own style and script, and Plotly's, are the only text that the template does not escape.
        css=(assets_folder() / "report.css").read_text(encoding="utf-8"),
        page_js=page_js,
        plotly_js=plotly_js,
        script_hashes=[_csp_hash(plotly_js), _csp_hash(page_js)],
    )


def _csp_hash(script: str) -> str:
    """The source expression that lets a browser run exactly this inline script and no other."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _view(name: str, title: str, alt: str, figure: go.Figure | None, has_fpr: bool = False) -> FigureView | None:
    return None if figure is None else FigureView(f"figure-{name}", title, alt, figure.to_plotly_json(), has_fpr)


def _shown(summaries: Sequence[Summary]) -> list[tuple[str, CategorySummary]]:
    """Each category with the first objective that was trained on it: pictures of all of them would be too much."""
    found: dict[str, tuple[str, CategorySummary]] = {}
    for summary in summaries:
        for category in summary.categories:
            found.setdefault(category.category, (summary.objective, category))
    return [found[name] for name in sorted(found)]


def _category_view(index: int, objective: str, category: CategorySummary) -> CategoryView:
    runs = category.runs
    name = category.category
    curves = []
    for kind in figures.CURVES:
        area = tables.mean_std(category.metrics[kind.metric])
        alt = f"{kind.title} of {name}, a line a seed; area {area} percent"
        figure = figures.curve_figure(runs, kind)
        curves.append((kind, _view(f"{index}-{kind.key}", f"{kind.title}: {area} %", alt, figure, kind.has_fpr)))
    misses, false_alarms = _gallery(runs, "miss"), _gallery(runs, "false_alarm")
    return CategoryView(
        objective=objective,
        summary=category,
        curves=tuple(view for kind, view in curves if view and kind.has_fpr),
        more_curves=tuple(view for kind, view in curves if view and not kind.has_fpr),
        undrawn=tuple(kind.title for kind, view in curves if view is None),
        scores=_view(
            f"{index}-scores",
            "",
            f"Histograms of the image scores of {name}, good and defective, with the threshold, a row a seed",
            figures.score_figure(runs),
        ),
        confusion=tuple(_confusion(run) for run in runs if run.done and run.scores),
        training=_view(
            f"{index}-training",
            "",
            f"Training loss of {name} by step, a line a seed",
            figures.training_figure(runs),
        ),
        misses=_pictures(misses[:GALLERY_LIMIT]),
        false_alarms=_pictures(false_alarms[:GALLERY_LIMIT]),
        hidden=max(0, len(misses) - GALLERY_LIMIT) + max(0, len(false_alarms) - GALLERY_LIMIT),
    )


def _confusion(run: SeedResult) -> Confusion:
    tally = Counter((score.label, score.anomalous) for score in run.scores)
    return Confusion(
        seed=run.seed,
        threshold=run.values.get("threshold"),
        caught=tally[1, True],
        missed=tally[1, False],
        false_alarms=tally[0, True],
        passed=tally[0, False],
    )


def _gallery(runs: Sequence[SeedResult], kind: str) -> list[GalleryItem]:
    """The worst first, an image once: with several seeds, where it went most wrong."""

    def ratio(item: GalleryItem) -> float:
        # Scores of different seeds compare only as multiples of their thresholds.
        return (item.score or 0.0) / (item.threshold or 1.0)

    items = [item for run in runs for item in run.gallery if item.kind == kind]
    items.sort(key=ratio, reverse=kind == "false_alarm")
    worst: dict[str, GalleryItem] = {}
    for item in items:
        worst.setdefault(item.id, item)
    return list(worst.values())


def _pictures(items: Sequence[GalleryItem]) -> tuple[GalleryView, ...]:
    return tuple(GalleryView(item, {name: data_uri(data) for name, data in item.pictures.items()}) for item in items)


def _heat(summary: Summary, key: str) -> dict[str, float]:
    """Shade by category, 0 for the column's lowest mean and 1 for its highest; empty where there is nothing to rank."""
    means = {c.category: mean for c in summary.categories if (mean := c.metrics[key].mean) is not None}
    low, high = (min(means.values()), max(means.values())) if means else (0.0, 0.0)
    return {category: (mean - low) / (high - low) for category, mean in means.items()} if high > low else {}


def _total(shown: Sequence[tuple[str, CategorySummary]], name: str) -> int:
    return sum(span[1] for _, category in shown if (span := category.counts[name]) is not None)


def _unread(results: RunResults) -> list[tuple[str, Score]]:
    """Test images with an error, each once, with its category."""
    found = {(run.category, score.id): score for run in results.runs for score in run.scores if score.error}
    return [(category, score) for (category, _), score in sorted(found.items(), key=lambda pair: pair[0])]


def _commands(results: RunResults) -> list[str]:
    """What was typed to make the run, each command once, in order; damaged provenance has none."""
    given = results.provenance.get("commands")
    entries = given if isinstance(given, list) else []
    return list(
        dict.fromkeys(str(entry["command"]) for entry in entries if isinstance(entry, dict) and "command" in entry)
    )
