"""``raysuite status``: where a run or a search stands, from any shell, while it is worked on and afterwards."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from raysuite.cli import search_status
from raysuite.cli.options import json_option
from raysuite.cli.stopping import Terminated
from raysuite.cli.table import coloured, plain, summary
from raysuite.locks import Owner
from raysuite.runs import Run
from raysuite.standing import standings, totals
from raysuite.tuning.standing import is_search, standing

WATCH_SECONDS = 3.0


@click.command()
@click.argument("run")
@json_option
@click.option("--watch", is_flag=True, help="Look again every few seconds until nobody works on the run any more.")
def status(run: str, as_json: bool, watch: bool) -> None:
    """Show where each training of RUN stands, or each trial of a search, and who works on it.

    It reads the run folder alone: on any machine that sees it, without Ray, also after the command that worked on it
    died. What failed is listed with its reason and is no failure of this command: the exit code is 0.

    \b
    Examples:
      raysuite status runs/mvtec --watch
      raysuite status s3://bucket/runs/mvtec --json
      raysuite status tuned/grid --watch
    """
    opened, console = Run.open(run), Console(highlight=False)
    try:
        if as_json or not console.is_terminal:
            _print(opened, as_json=as_json, watch=watch)
        else:
            _draw(opened, console, watch=watch)
    except KeyboardInterrupt as stop:
        # Ctrl-C is the way out of watching.
        if isinstance(stop, Terminated):
            raise


@dataclass(frozen=True, slots=True)
class _Look:
    """How a run stands at one moment: who works on it, and the same told in three ways."""

    owner: Owner | None
    card: dict[str, Any]
    table: Table
    text: str
    words: str

    @property
    def is_worked_on(self) -> bool:
        return self.owner is not None and self.owner.is_alive


def _draw(run: Run, console: Console, *, watch: bool) -> None:
    """Draw the table, and with ``watch`` keep it up to date in its place."""
    look = _look(run)
    with Live(_picture(look), console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while watch and look.is_worked_on:
            time.sleep(WATCH_SECONDS)
            look = _look(run)
            live.update(_picture(look), refresh=True)


def _look(run: Run) -> _Look:
    if is_search(run.root):
        search = standing(run)
        return _Look(
            search.owner, search_status.as_mapping(search), search_status.coloured(search),
            search_status.plain(search), search_status.summary(search),
        )  # fmt: skip
    owner = Owner.of(run.root)
    members = standings(run, owner if owner is not None and owner.is_alive else None)
    card = {"totals": totals(members), "members": [member.as_row() for member in members]}
    return _Look(owner, card, coloured(members), plain(members), summary(members) or "nothing begun yet")


def _print(run: Run, *, as_json: bool, watch: bool) -> None:
    """Print the table, and with ``watch`` print it again when it has changed."""
    said = None
    while True:
        look = _look(run)
        if look.card != said:
            click.echo(_json(run, look) if as_json else f"{look.text}\n\n{_words(look)}")
            said = look.card
        if not watch or not look.is_worked_on:
            return
        time.sleep(WATCH_SECONDS)


def _picture(look: _Look) -> Group:
    return Group(look.table, "", escape(_words(look)))


def _words(look: _Look) -> str:
    if look.owner is None:
        return f"{look.words}\nNobody works on it."
    if look.is_worked_on:
        return f"{look.words}\n{look.owner}, works on it."
    return f"{look.words}\nNobody works on it: {look.owner}, ended without a word. The same command goes on."


def _json(run: Run, look: _Look) -> str:
    owner = None if look.owner is None else {**asdict(look.owner), "alive": look.is_worked_on}
    return json.dumps({"run": run.root.uri, "owner": owner, **look.card}, indent=2, ensure_ascii=False)
