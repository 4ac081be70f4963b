"""A run folder as one HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

from collections.abc import Sequence

from raysuite.reporting import figures, gallery, tables, units
from raysuite.reporting.categories import category_view, shown
from raysuite.reporting.cost import cost_of
from raysuite.reporting.definitions import FOOTNOTES, INCOMPLETE, METRICS, ORACLE, UNDEFINED
from raysuite.reporting.gantt import timeline_figure
from raysuite.reporting.html import commands_of, figure_view, render_page
from raysuite.reporting.protocol import protocol
from raysuite.reporting.quality import anomalies, inspect_shards
from raysuite.reporting.results import RunResults, Score, load_results
from raysuite.reporting.results_view import results_context
from raysuite.reporting.summary import CategorySummary, failure_sentences, summarise
from raysuite.storage import Location

_STYLES = ("report.css", "results.css")
_SCRIPTS = ("report.js", "tables.js", "threshold.js", "gallery.js", "theme.js")


def write_report(root: Location) -> Location:
    """Write ``report.html`` into the run folder, whole or not at all, and return where it lies.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet.
        StorageError: The folder may not be written.
    """
    target = root / "report.html"
    target.write_text(render_report(root))
    return target


def render_report(root: Location, baseline: Location | None = None) -> str:
    """The report of a run folder as one HTML document.

    Args:
        root: The run folder.
        baseline: Another one, with which it is compared.

    Raises:
        RunError: There is no such folder, or it was not evaluated yet; or the baseline has no category of this run.
    """
    results = load_results(root)
    summaries = summarise(results)
    summary = summaries[0]
    chosen = shown(summaries)
    cost = cost_of(results)
    quality = inspect_shards(root / "shards")
    galleries = gallery.galleries({category.category: category.runs for _, category in chosen})
    values = dict(
        results=results,
        summary=summary,
        summaries=summaries,
        **results_context(root, results, summaries, baseline, quality),
        categories=[category_view(index, *one) for index, one in enumerate(chosen)],
        panel_of={(category.category, objective): index for index, (objective, category) in enumerate(chosen)},
        overview=figure_view(
            "overview",
            "Metrics by category",
            "The table's means as dots, a row a category",
            figures.overview_figure(summary),
        ),
        galleries=galleries,
        gallery_kinds=gallery.KINDS,
        gallery_defects=sorted({defect for one in galleries for defect in one.defects}),
        cost=cost,
        timeline=figure_view(
            "timeline", "Who worked where and when", "Trainings and scorings as bars, by node", timeline_figure(cost)
        ),
        quality=quality,
        anomalies=anomalies,
        protocol=protocol(results),
        images_tested=_total(chosen, "n_good") + _total(chosen, "n_defect"),
        images_failed=_total(chosen, "n_failed"),
        runs_done=sum(s.runs_done for s in summaries),
        runs_expected=sum(len(s.categories) * len(s.seeds) for s in summaries),
        validated=any(run.values.get("val_score") is not None for run in results.runs),
        commands=commands_of(results.provenance),
        provenance=results.provenance,
        # The commands stand above it.
        provenance_shown={name: value for name, value in results.provenance.items() if name != "commands"},
        unread=_unread(results),
        metrics=METRICS,
        footnotes=FOOTNOTES,
        undefined=UNDEFINED,
        oracle=ORACLE,
        incomplete=INCOMPLETE,
        percent=tables.percent,
        mean_std=tables.mean_std,
        count=tables.count,
        rate=units.rate,
        hours=units.hours,
        duration=units.duration,
        size=units.size,
        energy=units.energy,
        clock=units.clock,
        failure_sentences=failure_sentences,
    )
    return render_page("report.html.j2", _STYLES, _SCRIPTS, values)


def _total(chosen: Sequence[tuple[str, CategorySummary]], name: str) -> int:
    return sum(span[1] for _, category in chosen if (span := category.counts[name]) is not None)


def _unread(results: RunResults) -> list[tuple[str, Score]]:
    """Test images with an error, each once, with its category."""
    found = {(run.category, score.id): score for run in results.runs for score in run.scores if score.error}
    return [(category, score) for (category, _), score in sorted(found.items(), key=lambda pair: pair[0])]
