"""The table of where each member of a run stands: in colour on a terminal, in plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from rich.markup import escape
from rich.table import Table

from raysuite.standing import Standing, totals

HEADS = ("category", "seed", "objective", "state", "step", "loss", "val score", "images/s", "left", "node")
NUMBERS = {"seed", "step", "loss", "val score", "images/s", "left"}
COLOURS = {"training": "cyan", "stopped": "yellow", "trained": "green", "done": "green", "failed": "red"}


def cells(member: Standing) -> tuple[str, ...]:
    """What stands in one line of the table, under `HEADS`; what is not known is empty."""
    is_going_on = member.state == "training"
    step = "" if member.step is None else f"{member.step}/{member.steps}"
    left = None if member.seconds_left is None else timedelta(seconds=round(member.seconds_left))
    return (
        member.category,
        str(member.seed),
        member.objective,
        f"{member.state}: {member.reason}" if member.reason else member.state,
        step,
        "" if member.loss is None else f"{member.loss:.5f}",
        "" if member.val_score is None else f"{100 * member.val_score:.1f}",
        f"{member.images_per_second:.1f}" if is_going_on and member.images_per_second is not None else "",
        "" if left is None else str(left),
        member.node or "",
    )


def coloured(members: Sequence[Standing]) -> Table:
    """The table for a terminal."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in HEADS:
        # On a narrow terminal the reason of a failure wraps, and the name of the node gives way.
        wraps = head == "state"
        table.add_column(
            head,
            justify="right" if head in NUMBERS else "left",
            no_wrap=not wraps,
            overflow="fold" if wraps else "ellipsis",
        )
    for member in members:
        words = [escape(word) for word in cells(member)]
        if colour := COLOURS.get(member.state):
            words[3] = f"[{colour}]{words[3]}[/]"
        table.add_row(*words)
    return table


def plain(members: Sequence[Standing]) -> str:
    """The table in lines of text, as wide as they need be."""
    lines = [HEADS, *(cells(member) for member in members)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(
            word.rjust(width) if head in NUMBERS else word.ljust(width)
            for head, word, width in zip(HEADS, line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def summary(members: Sequence[Standing]) -> str:
    """How many are in which state, and how fast all go together: ``2 training (61.3 images/s), 3 pending``."""
    rate = sum(member.images_per_second or 0.0 for member in members if member.state == "training")
    return ", ".join(
        f"{count} {state}" + (f" ({rate:.1f} images/s)" if state == "training" and rate else "")
        for state, count in totals(members).items()
    )
