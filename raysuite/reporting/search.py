"""A search's summary, as `raysuite tune` leaves it in ``summary.json``, in words and tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from raysuite.reporting.definitions import UNDEFINED
from raysuite.reporting.tables import as_markdown

ORACLE = "ORACLE: trials were chosen with the labels of the test images."
METRICS = {
    "image_auroc": "image AUROC", "pixel_auroc": "pixel AUROC", "pixel_ap": "pixel AP", "aupro": "AUPRO",
}  # fmt: skip
BY_CATEGORY = "Mean of winner minus default in each category, points"
_HEADS = ("trial", "state", "steps", "score", "judged", "parameters", "latency ms", "seconds")

Summary = Mapping[str, Any]


def text(summary: Summary) -> str:
    """The summary for a terminal."""
    parts = [_opening(summary)]
    for one in summary["outcomes"]:
        parts.append(f"{_title(one)}\n{_aligned([_HEADS, *_leaders(one)])}")
        parts.append(_lines(_words(summary, one)))
    if rows := by_category(summary):
        parts.append(f"{BY_CATEGORY}{_mark(summary)}\n{_aligned(rows)}")
    parts.append(_lines([*_verdict(summary), *_trust(summary), *_failures(summary)]))
    return "\n\n".join(part for part in parts if part)


def markdown(summary: Summary) -> str:
    """The summary as Markdown."""
    parts = ["# raysuite tune", _opening(summary)]
    if verdict := _verdict(summary):
        parts += ["## Verdict", _bullets(verdict)]
    if differences := by_category(summary):
        parts += [f"{BY_CATEGORY}{_mark(summary)}:", _table(differences)]
    for one in summary["outcomes"]:
        parts += [f"## {as_markdown(_title(one))}", _bullets(_words(summary, one)), _table([_HEADS, *_leaders(one)])]
        if one["changes"]:
            rows = [(key, _word(both["default"]), _word(both["winner"])) for key, both in one["changes"].items()]
            parts += [
                f"{as_markdown(one['file'])} differs from the default in:",
                _table([("setting", "default", "winner"), *rows]),
            ]
    if trust := _trust(summary):
        parts += ["## Does the objective rank trials as the test does?", _bullets(trust)]
    if failures := _failures(summary):
        parts += ["## Trials that came to nothing", _bullets(failures)]
    return "\n\n".join(part for part in parts if part) + "\n"


def kept_words(summary: Summary) -> str:
    """Which categories are not in the verdict, as they kept the default; empty if all are, or there is no verdict."""
    kept = [category for one in summary["outcomes"] if one["is_default"] for category in one["categories"]]
    if summary["final"] is None or not kept:
        return ""
    verb = "keeps" if len(kept) == 1 else "keep"
    return f"not in the verdict: {', '.join(kept)}, which {verb} the default"


def _opening(summary: Summary) -> str:
    states = ", ".join(f"{count} {state}" for state, count in summary["states"].items())
    spent = timedelta(seconds=round(summary["spent_seconds"]))
    lines = [f"Trials: {states}; {summary['trained_steps']} steps in {spent}."]
    if summary["oracle"]:
        lines.insert(0, ORACLE)
    return "\n".join(lines)


def _title(one: Summary) -> str:
    return f"Best trials on {', '.join(one['categories'])}"


def _leaders(one: Summary) -> list[tuple[str, ...]]:
    return [
        (
            str(row["number"]),
            str(row["state"]),
            str(row["steps"]),
            _percent(row["score"]),
            _percent(row["judged"]),
            _number(row["parameters"]),
            _number(row["latency_ms"]),
            f"{row['seconds']:.0f}",
        )
        for row in one["leaders"]
    ]


def _words(summary: Summary, one: Summary) -> list[str]:
    score = "the oracle's score" if summary["oracle"] else "the objective"
    winner, default = one["winner"], one["default"]
    if one["is_default"]:
        found = [f"{one['file']} is the default ({_percent(winner['score'])}): {default_words(one, score)}"]
    else:
        beside = f", the default {_percent(default['score'])}" if default else ""
        found = [f"{one['file']} is trial {winner['number']}: {score} gives it {_percent(winner['score'])}{beside}"]
    for cost, front in one["fronts"].items():
        if front and summary["minimise"] in {None, cost}:
            trials = ", ".join(f"{row['number']} ({_number(row[cost])}: {_percent(row['score'])})" for row in front)
            found.append(f"front of score against {cost}: trials {trials}")
    importances = one["importances"]
    if importances["shares"]:
        most = list(importances["shares"].items())[:5]
        found.append(
            f"what mattered most at {importances['steps']} steps: "
            + ", ".join(f"{key} {100 * share:.0f} %" for key, share in most)
        )
    else:
        found.append(f"what mattered is not known: {importances['reason']}")
    return found


def default_words(one: Summary, score: str = "the objective") -> str:
    """Why the default is kept."""
    # Summaries of older versions passed over none.
    if (best := one.get("passed_over")) is None:
        return f"{score} prefers no trial to it"
    return (
        f"trial {best['number']} has a better score ({_percent(best['score'])}), but not surely so: "
        f"{best['words']}; two standard errors are asked for"
    )


def _verdict(summary: Summary) -> list[str]:
    final = summary["final"]
    if final is None:
        return []
    seeds = ", ".join(map(str, final["seeds"]))
    found = [
        f"{METRICS[metric]}, winner against default, seeds {seeds}{_mark(summary)}: {one['words']}"
        for metric, one in final["verdicts"].items()
    ]
    if kept := kept_words(summary):
        found.append(kept)
    return found + [
        f"{one['settings']}, {one['category']} seed {one['seed']} failed: {one['reason']}" for one in final["failed"]
    ]


def by_category(summary: Summary) -> list[tuple[str, ...]]:
    """A row a category of the verdict, under heads; nothing where the verdict itself says all, being on one."""
    verdicts = summary["final"]["verdicts"] if summary["final"] else {}
    # Summaries of older versions have no figures by category.
    of = {metric: one.get("by_category", {}) for metric, one in verdicts.items()}
    categories = list(dict.fromkeys(category for known in of.values() for category in known))
    if len(categories) < 2:
        return []
    return [
        ("category", *(METRICS[metric] for metric in of)),
        *((category, *(points(known.get(category)) for known in of.values())) for category in categories),
    ]


def _trust(summary: Summary) -> list[str]:
    """Image AUROC and AUPRO alone; the rest is in the file."""
    return [
        f"{one['category']}, {METRICS[one['metric']]}: of trials that went to the end, {one['full']['words']}; "
        f"of all trials, {one['all']['words']}"
        for one in summary["correlations"] if one["metric"] in {"image_auroc", "aupro"}
    ]  # fmt: skip


def _failures(summary: Summary) -> list[str]:
    return list(summary["without"]) + [
        f"trial {one['number']} of {one['category']} is {one['state']}: {one['reason']}"
        for one in summary["failures"]
    ]  # fmt: skip


def points(difference: float | None) -> str:
    """A difference of fractions in points (hundredths), with its sign."""
    return UNDEFINED if difference is None else f"{100 * difference:+.1f}"


def _mark(summary: Summary) -> str:
    return " (oracle)" if summary["oracle"] else ""


def _percent(share: float | None) -> str:
    return UNDEFINED if share is None else f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    if value is None:
        return UNDEFINED
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def _word(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _lines(words: Iterable[str]) -> str:
    return "\n".join(words)


def _bullets(words: Iterable[str]) -> str:
    return "\n".join(f"* {as_markdown(word)}" for word in words)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(word.rjust(width) for word, width in zip(row, widths, strict=True)) for row in rows)


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(map(as_markdown, row)) + " |" for row in rows]
    lines.insert(1, "|" + " --- |" * len(rows[0]))
    return "\n".join(lines)
