"""What a person sees while a pipeline works: a table that is kept up to date on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from raysuite.cli.table import coloured, summary
from raysuite.printing import printable

if TYPE_CHECKING:
    from raysuite.pipelines.progress import Event
    from raysuite.standing import Standing

WORDS = {
    "shard": "sharding", "train": "training", "evaluate": "scoring", "report": "report", "tune": "tuning",
    "judge": "testing", "score": "scoring",
}  # fmt: skip
QUIET_SECONDS = 10.0
FIRST = {"training": 0, "failed": 1}


class Display:
    """Shows events on standard error, so that standard output stays for results. Use it as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live: Live | None = None
        self._bars = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("{task.fields[text]}"), console=self._console,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}
        self._standings: dict[str, Standing] = {}
        self._begun: set[str] = set()
        self._trainings = 0
        self._ended = False
        self._said: dict[str, float] = {}
        self._start = time.monotonic()

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._picture, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            # What stays on the terminal may be longer than it.
            self._ended, self._live.vertical_overflow = True, "visible"
            self._live.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        name = printable(f"{WORDS[event.stage]} {event.subject}".strip())
        event = replace(event, text=printable(event.text, keep="\n"))
        if event.standing is not None:
            self._standings[event.subject] = event.standing
            if event.stage == "train":
                self._begun.add(event.subject)
        if self._live is not None:
            self._draw(self._live, name, event)
        else:
            self._say(name, event)

    def _draw(self, live: Live, name: str, event: Event) -> None:
        if event.stage == "train" and not event.subject:
            self._trainings = int(event.total) or self._trainings
            live.console.print(f"{name}: {event.text}", markup=False)
        elif event.total == 0:
            live.console.print(f"{name}: {event.text}", markup=False)
        elif event.standing is None:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(escape(name), total=event.total, text="")
            colour = {"failed": "red", "done": "green"}.get(event.state)
            text = f"[{colour}]{escape(event.text)}[/]" if colour else escape(event.text)
            self._bars.update(self._tasks[name], completed=event.done, total=event.total, text=text)
            if event.state != "running":
                self._bars.stop_task(self._tasks[name])

    def _picture(self) -> Group:
        """The table, those at work first and as many as fit, and the bars of the stages that are no training."""
        members = sorted(self._standings.values(), key=lambda member: FIRST.get(member.state, len(FIRST)))
        parts: list[RenderableType] = []
        if members:
            room = len(members) if self._ended else max(3, self._console.height - len(self._tasks) - 3)
            waiting = self._trainings - len(self._begun)
            parts = [coloured(members[:room]), summary(members) + (f", {waiting} pending" if waiting > 0 else "")]
        if self._tasks:
            parts.append(self._bars.get_renderable())
        return Group(*parts)

    def _say(self, name: str, event: Event) -> None:
        now = time.monotonic()
        if event.state == "running" and now - self._said.get(name, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self._said[name] = now
        share = f" {event.done:.0f}/{event.total:.0f}" if event.total and event.state == "running" else ""
        state = "FAILED: " if event.state == "failed" else ""
        line = f"[{now - self._start:6.1f} s] {name}{share}: {state}{event.text}"
        self._console.print(line, markup=False, soft_wrap=True)
