"""``raysuite status``: where a run stands, from any shell, while it is worked on and afterwards."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import asdict

import click
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape

from raysuite.cli.options import json_option
from raysuite.cli.table import coloured, plain, summary
from raysuite.locks import Owner
from raysuite.runs import Run
from raysuite.standing import Standing, standings, totals

WATCH_SECONDS = 3.0


@click.command()
@click.argument("run")
@json_option
@click.option("--watch", is_flag=True, help="Look again every few seconds until nobody works on the run any more.")
def status(run: str, as_json: bool, watch: bool) -> None:
    """Show where each training of RUN stands, and who works on it.

    It reads the run folder alone: on any machine that sees it, without Ray, also after the command that worked on it
    died. What failed is listed with its reason and is no failure of this command: the exit code is 0.

    \b
    Examples:
      raysuite status runs/mvtec --watch
      raysuite status s3://bucket/runs/mvtec --json
    """
    opened, console = Run.open(run), Console(highlight=False)
    # Ctrl-C is the way out of watching.
    with contextlib.suppress(KeyboardInterrupt):
        if as_json or not console.is_terminal:
            _print(opened, as_json=as_json, watch=watch)
        else:
            _draw(opened, console, watch=watch)


def _draw(run: Run, console: Console, *, watch: bool) -> None:
    """Draw the table, and with ``watch`` keep it up to date in its place."""
    owner, members = _look(run)
    with Live(_picture(owner, members), console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while watch and owner is not None and owner.is_alive:
            time.sleep(WATCH_SECONDS)
            owner, members = _look(run)
            live.update(_picture(owner, members), refresh=True)


def _look(run: Run) -> tuple[Owner | None, list[Standing]]:
    owner = Owner.of(run.root)
    return owner, standings(run, owner if owner is not None and owner.is_alive else None)


def _print(run: Run, *, as_json: bool, watch: bool) -> None:
    """Print the table, and with ``watch`` print it again when it has changed."""
    said = None
    while True:
        owner, members = _look(run)
        text = _json(run, owner, members) if as_json else f"{plain(members)}\n\n{_words(owner, members)}"
        if members != said:
            click.echo(text)
            said = members
        if not watch or owner is None or not owner.is_alive:
            return
        time.sleep(WATCH_SECONDS)


def _picture(owner: Owner | None, members: list[Standing]) -> Group:
    return Group(coloured(members), "", escape(_words(owner, members)))


def _words(owner: Owner | None, members: list[Standing]) -> str:
    counted = summary(members) or "nothing begun yet"
    if owner is None:
        return f"{counted}\nNobody works on it."
    if owner.is_alive:
        return f"{counted}\n{owner}, works on it."
    return f"{counted}\nNobody works on it: {owner}, ended without a word. The same command goes on."


def _json(run: Run, owner: Owner | None, members: list[Standing]) -> str:
    card = {
        "run": run.root.uri,
        "owner": None if owner is None else {**asdict(owner), "alive": owner.is_alive},
        "totals": totals(members),
        "members": [member.as_row() for member in members],
    }
    return json.dumps(card, indent=2, ensure_ascii=False)
