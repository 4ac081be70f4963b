"""The folder of a search as one HTML file: what it came to, how it went, and how far it can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysuite.reporting import search_figures as figures
from raysuite.reporting import search_settings, tables, units
from raysuite.reporting.definitions import UNDEFINED
from raysuite.reporting.html import FigureView, commands_of, render_page
from raysuite.reporting.html import figure_view as _view
from raysuite.reporting.search import BY_CATEGORY, METRICS, ORACLE, by_category, default_words, kept_words, points
from raysuite.reporting.search_cost import cost_of, each_takes, held_figure, timeline_figure
from raysuite.reporting.search_results import SearchResults, load_search
from raysuite.storage import Location
from raysuite.tuning.domains import label_of
from raysuite.tuning.importance import Importances
from raysuite.tuning.standing import Group, Trial

LEADERS = 10
MOST_ROWS = 1000
"""Trials in the table of all, and reasons in that of failures: what there is more of is in ``trials.parquet``."""

_STYLES = ("report.css", "search.css")
_SCRIPTS = ("report.js", "tables.js", "theme.js")


@dataclass(frozen=True, slots=True)
class GroupView:
    """All that the page shows of the trials of some categories.

    Attributes:
        group: The trials.
        best: The winner as things stand.
        default: The trial of the start.
        file: The winner's file of settings; empty before the end.
        kept: Why that is the default though another trial has a better score; empty otherwise.
        changes: Key, start's and winner's value of each setting in which they differ.
        leaders: The first trials, best first.
        columns: Settings whose values are shown of the leaders.
        importances: Which settings mattered.
        steps: After how many steps.
        overview: History and rungs.
        importance: Figure of `importances`.
        parallel: Settings side by side.
        slices: Score by value.
        fronts: Score against cost.
        trust: Objective against test, a figure a category and metric.
    """

    group: Group
    best: Trial | None
    default: Trial | None
    file: str
    kept: str
    changes: Sequence[tuple[str, str, str]]
    leaders: Sequence[Trial]
    columns: Sequence[str]
    importances: Importances
    steps: int
    overview: Sequence[FigureView]
    importance: FigureView | None
    parallel: FigureView | None
    slices: Sequence[FigureView]
    fronts: Sequence[FigureView]
    trust: Sequence[FigureView]


def write_search_report(root: Location) -> Location:
    """Write ``report.html`` into the folder of a search, over or not, and return where it lies.

    Raises:
        RunError: It is no such folder, or damaged.
        StorageError: The folder may not be written.
    """
    target = root / "report.html"
    target.write_text(render_search_report(root))
    return target


def render_search_report(root: Location) -> str:
    """The report of a search as one HTML document.

    Raises:
        RunError: It is no such folder, or damaged.
    """
    results = load_search(root)
    standing = results.standing
    trials = [trial for group in standing.groups for trial in group.trials]
    failed = results.failed()
    summary = results.summary
    timeline, no_timeline = timeline_figure(trials)
    held, held_words = held_figure(trials, each_takes(results))
    values = {
        "results": results,
        "standing": standing,
        "is_over": summary is not None and not results.is_stale,
        "summary": summary or {},
        "final": (summary or {}).get("final"),
        "by_category": by_category(summary) if summary else [],
        "by_category_words": BY_CATEGORY,
        "kept_words": kept_words(summary) if summary else "",
        "metric_names": METRICS,
        "oracle_words": ORACLE,
        "groups": [_group_view(index, group, results) for index, group in enumerate(standing.groups)],
        "trials": trials[:MOST_ROWS],
        "trials_hidden": max(0, len(trials) - MOST_ROWS),
        "failed": failed[:MOST_ROWS],
        "failed_hidden": max(0, len(failed) - MOST_ROWS),
        "cost": cost_of(results),
        "timeline": _view("timeline", "Which trial was where when", "Trials as bars, by node", timeline),
        "no_timeline": no_timeline,
        "held": _view("held", held_words, f"{held_words}, in steps over time", held),
        "commands": commands_of(results.provenance),
        "provenance_shown": {name: value for name, value in results.provenance.items() if name != "commands"},
        "several": len(standing.groups) > 1 or any(len(group.categories) > 1 for group in standing.groups),
        "how": {
            **{name: value for name, value in standing.card.items() if name not in {"space", "first", "format"}},
            **({"families": summary["families"]} if summary and "families" in summary else {}),
            **({"each trial takes": standing.plan["each"]} if "each" in standing.plan else {}),
        },
        "undefined": UNDEFINED,
        "percent": tables.percent,
        "points": points,
        "number": _number,
        "word": _word,
        "hours": units.hours,
        "duration": units.duration,
        "clock": units.clock,
    }
    return render_page("search.html.j2", _STYLES, _SCRIPTS, values)


def _group_view(index: int, group: Group, results: SearchResults) -> GroupView:
    standing, last = results.standing, results.standing.rungs[-1]
    best, default, outcome = group.best, results.default(group), results.outcome(group)
    score = "Score (oracle)" if standing.oracle else "Score"
    steps, found = results.importances(group)
    dimensions = search_settings.shown_dimensions(results.space, found, group.trials)
    of = f" of {group.title}" if len(standing.groups) > 1 else ""
    overview = (
        _view(f"{index}-history", "History: score by trial", f"Score{of} by trial, and the best so far",
              figures.history_figure(group, last, default, score)),
        _view(f"{index}-rungs", "Rungs: score by steps", f"Score{of} at each rung, a line a trial",
              figures.rungs_figure(group, standing.rungs, score)),
    )  # fmt: skip
    fronts = (
        _view(f"{index}-{cost}", f"Score against {title.partition(',')[0].lower()}",
              f"Score{of} against {title.lower()} of the trials that went to the end",
              figures.front_figure(group, cost, last, default, score))
        for cost, title in figures.COSTS.items()
    )  # fmt: skip
    trust = (
        _view(f"{index}-{number}-{metric}", f"{category}: objective and {METRICS[metric]}",
              f"Objective of each trial of {category} against {METRICS[metric]} of the same net on the test images",
              figures.trust_figure(group.trials, category, results.tested, metric, last, score))
        for number, category in enumerate(group.categories) for metric in ("image_auroc", "aupro")
    )  # fmt: skip
    slices = (
        _view(f"{index}-slice-{number}", one.key, f"Score{of} after {steps} steps by the value of {one.key}",
              search_settings.slice_figure(group, one, steps, score))
        for number, one in enumerate(dimensions)
    )  # fmt: skip
    return GroupView(
        group=group,
        best=best,
        default=default,
        file=str(outcome["file"]) if outcome is not None and not results.is_stale else "",
        kept=default_words(outcome) if outcome and not results.is_stale and outcome.get("passed_over") else "",
        changes=[
            (key, _word(old), _word(new)) for key, (old, new) in (results.changes(best) if best else {}).items()
        ],
        leaders=_leaders(group, outcome if not results.is_stale else None),
        columns=[one.key for one in dimensions],
        importances=found,
        steps=steps,
        overview=[view for view in overview if view],
        importance=_view(f"{index}-importance", "", f"Share of each setting{of}", figures.importance_figure(found)),
        parallel=_view(f"{index}-parallel", "Settings side by side", f"A line a trial{of} over an axis a setting",
                       search_settings.parallel_figure(group, dimensions, default, score, last)),
        slices=[view for view in slices if view],
        fronts=[view for view in fronts if view],
        trust=[view for view in trust if view],
    )  # fmt: skip


def _leaders(group: Group, outcome: Mapping[str, Any] | None) -> list[Trial]:
    """In the order of the summary; before the end by how far a trial came, and its score."""
    of = {trial.number: trial for trial in group.trials}
    if outcome is not None:
        return [of[row["number"]] for row in outcome["leaders"] if row["number"] in of]
    scored = [trial for trial in group.trials if trial.score is not None]
    return sorted(scored, key=lambda trial: (-trial.steps, -(trial.score or 0.0), trial.number))[:LEADERS]


def _word(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def _number(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
