"""What a person sees while a pipeline works: bars that update in place on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from raysuite.pipelines.progress import Event

WORDS = {"shard": "sharding", "train": "training", "evaluate": "scoring", "report": "report"}
QUIET_SECONDS = 10.0


class Display:
    """Shows events on standard error, so that standard output stays for results. Use it as a context manager."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, float] = {}
        self._start = time.monotonic()

    def __enter__(self) -> Display:
        if self._console.is_terminal:
            self._bars = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
                TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[text]}"), console=self._console,
            )  # fmt: skip
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        """Show one event."""
        name = f"{WORDS[event.stage]} {event.subject}".strip()
        if self._bars is not None:
            self._draw(self._bars, name, event)
        else:
            self._say(name, event)

    def _draw(self, bars: Progress, name: str, event: Event) -> None:
        if event.total == 0:
            bars.console.print(f"{escape(name)}: {escape(event.text)}")
            return
        if event.stage == "train" and not event.subject:
            bars.console.print(escape(event.text))
            return
        if name not in self._tasks:
            self._tasks[name] = bars.add_task(escape(name), total=event.total, text="")
        colour = {"failed": "red", "done": "green"}.get(event.state)
        text = f"[{colour}]{escape(event.text)}[/]" if colour else escape(event.text)
        bars.update(self._tasks[name], completed=event.done, total=event.total, text=text)
        if event.state != "running":
            bars.stop_task(self._tasks[name])

    def _say(self, name: str, event: Event) -> None:
        now = time.monotonic()
        if event.state == "running" and now - self._said.get(name, -QUIET_SECONDS) < QUIET_SECONDS:
            return
        self._said[name] = now
        share = f" {event.done:.0f}/{event.total:.0f}" if event.total and event.state == "running" else ""
        state = "FAILED: " if event.state == "failed" else ""
        line = f"[{now - self._start:6.1f} s] {name}{share}: {state}{event.text}"
        self._console.print(line, markup=False, soft_wrap=True)
