"""What ``raysuite status`` shows of a search: its trials, the best so far, and what was spent of the budget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from rich.markup import escape
from rich.table import Table

from raysuite.tuning.standing import SearchStanding, Trial

HEADS = ("trial", "categories", "state", "steps", "score", "took", "node")
NUMBERS = {"trial", "steps", "score", "took"}
COLOURS = {
    "running": "cyan", "interrupted": "yellow", "stopped": "dim", "done": "green", "failed": "red", "invalid": "red",
}  # fmt: skip
SHOWN = 30
"""Trials in the table: those that go on, and the best of those that are over; ``--json`` has all."""


def heads_of(search: SearchStanding) -> tuple[str, ...]:
    """The heads of the table; with one search alone nobody need be told on what."""
    return tuple(head for head in HEADS if head != "categories" or len(search.groups) > 1)


def rows_of(search: SearchStanding) -> list[tuple[str, ...]]:
    """What stands in the lines of the table, under `heads_of`; trials that go on come first, then those by score."""
    last = search.rungs[-1]
    found = []
    for group in search.groups:
        best = group.best
        for trial in _shown(group.trials, -(-SHOWN // len(search.groups))):
            mark = " *" if trial is best else ""
            found.append(
                (
                    f"{trial.number}{mark}",
                    *([_visible(group.title)] if len(search.groups) > 1 else []),
                    _visible(f"{trial.state}: {trial.reason}") if trial.state in {"failed", "invalid"} else trial.state,
                    f"{trial.steps}/{last}",
                    "" if trial.score is None else f"{100 * trial.score:.1f}",
                    str(timedelta(seconds=round(trial.seconds))) if trial.seconds else "",
                    _visible(trial.node or ""),
                )
            )
    return found


def coloured(search: SearchStanding) -> Table:
    """The table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    heads = heads_of(search)
    for head in heads:
        # On a narrow terminal the reason of a failure wraps, and the name of the node gives way.
        wraps = head == "state"
        table.add_column(
            head,
            justify="right" if head in NUMBERS else "left",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    for row in rows_of(search):
        words = [escape(word) for word in row]
        place = heads.index("state")
        if colour := COLOURS.get(row[place].partition(":")[0]):
            words[place] = f"[{colour}]{words[place]}[/]"
        table.add_row(*words)
    return table


def plain(search: SearchStanding) -> str:
    """The table in lines of text, as wide as they need be."""
    heads = heads_of(search)
    lines = [heads, *rows_of(search)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(
            word.rjust(width) if head in NUMBERS else word.ljust(width)
            for head, word, width in zip(heads, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def summary(search: SearchStanding) -> str:
    """How many trials are in which state, the best so far, and what was spent."""
    mark = " (ORACLE: by the labels of the test images)" if search.oracle else ""
    counted = ", ".join(f"{count} {state}" for state, count in search.totals.items()) or "no trial begun yet"
    lines = [f"{counted}{mark}"]
    hidden = sum(len(group.trials) for group in search.groups) - len(rows_of(search))
    if hidden > 0:
        lines.append(f"{hidden} more trials that are over are not shown; --json has all")
    for group in search.groups:
        best = group.best
        if best is not None and best.score is not None:
            where = f" on {_visible(group.title)}" if len(search.groups) > 1 else ""
            score = f"score {100 * best.score:.1f} at {best.steps} steps"
            lines.append(f"Best so far{where}: trial {best.number} (*), {score}")
    spent, budget = timedelta(seconds=round(search.spent)), search.plan.get("time_budget")
    of = f" of {timedelta(seconds=round(budget))} ({100 * search.spent / budget:.0f} %)" if budget else ""
    lines.append(f"Spent on the search: {spent}{of}")
    return "\n".join(lines)


def as_mapping(search: SearchStanding) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "objective": search.card.get("objective"),
        "rungs": list(search.rungs),
        "totals": search.totals,
        "wanted": search.wanted,
        "spent_seconds": search.spent,
        "time_budget": search.plan.get("time_budget"),
        "searches": [
            {
                "categories": list(group.categories),
                "best": None if group.best is None else group.best.number,
                "trials": [_trial(trial) for trial in group.trials],
            }
            for group in search.groups
        ],
    }


def _trial(trial: Trial) -> dict[str, Any]:
    return {
        "number": trial.number,
        "state": trial.state,
        "reason": trial.reason,
        "steps": trial.steps,
        "score": trial.score,
        "seconds": trial.seconds,
        "node": trial.node,
        "values": dict(trial.values),
    }


def _visible(text: str) -> str:
    """In one line, whatever a name or a reason holds."""
    return "".join(one if one.isprintable() else " " for one in text)


def _shown(trials: Sequence[Trial], most: int) -> list[Trial]:
    going_on = [trial for trial in trials if trial.state in {"running", "interrupted"}]
    over = [trial for trial in trials if trial not in going_on]
    over.sort(key=lambda trial: (-trial.steps, -(trial.score if trial.score is not None else -1.0), trial.number))
    return [*going_on, *over][: max(most, len(going_on))]
