"""What a person sees while trainings go on: a table on a terminal, a line now and then in a log."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from raysuite.cli import display as module
from raysuite.cli.display import Display
from raysuite.pipelines.progress import Event
from raysuite.standing import Standing


def show(monkeypatch: pytest.MonkeyPatch, events: list[Event], *, terminal: bool, height: int = 40) -> str:
    """What stands on standard error after the last event and, on a terminal, before the display has ended."""
    sink = io.StringIO()
    console = Console(file=sink, force_terminal=terminal, width=140, height=height, color_system=None)
    monkeypatch.setattr(module, "Console", lambda **_: console)
    with Display() as display:
        for event in events:
            display(event)
        if not terminal:
            return sink.getvalue()
        plain = Console(file=io.StringIO(), width=140)
        with plain.capture() as captured:
            plain.print(display._picture())
        return captured.get()


def training(category: str, step: int, state: str = "running", reason: str | None = None) -> Event:
    standing = Standing(
        category, 0, "filter", {"running": "training", "done": "trained"}.get(state, state), reason, step, 800,
        loss=0.01234, images_per_second=31.5, seconds_left=65.0, node="node-7",
    )  # fmt: skip
    return Event("train", f"{category} seed 0", step, 800, reason or "loss 0.01234", state, standing)


PLAN = Event("train", "", 0, 4, "4 trainings, 2 at once, 1 CPU each")


def test_a_terminal_has_one_row_a_training_with_its_last_word(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [PLAN, training("grid", 8), training("[b]screw[/b]", 16), training("grid", 24)]
    seen = show(monkeypatch, events, terminal=True)
    rows = [line.split() for line in seen.splitlines()]
    grid = ["grid", "0", "filter", "training", "24/800", "0.01234", "31.5", "0:01:05", "node-7"]
    assert [row for row in rows if row[0] == "grid"] == [grid]
    assert [row[4] for row in rows if row[0] == "[b]screw[/b]"] == ["16/800"]
    assert "2 training (63.0 images/s), 2 pending" in seen


def test_those_at_work_stand_first_and_a_small_terminal_still_has_the_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [PLAN, training("a", 800, "done"), training("b", 0, "failed", "too few images"), training("c", 8)]
    lines = show(monkeypatch, events, terminal=True, height=20).splitlines()
    assert [line[0] for line in lines[1:4]] == ["c", "b", "a"]
    assert "failed: too few images" in lines[2]
    many = [training(f"k{index}", 8) for index in range(50)]
    small = show(monkeypatch, many, terminal=True, height=10).splitlines()
    assert len(small) <= 10
    assert "50 training" in small[-1]


def test_an_evaluated_member_is_not_pending_again(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Standing("grid", 0, "filter", "done", val_score=0.9)
    scoring = [Event("evaluate", "", 3, 6, "grid"), Event("evaluate", "grid seed 0", 3, 3, "3 images", "done", done)]
    plan = Event("train", "", 0, 1, "1 training")
    seen = show(monkeypatch, [plan, training("grid", 800, "done"), *scoring], terminal=True)
    assert "1 done" in seen
    assert "pending" not in seen
    assert any("scoring" in line and "3/6" in line for line in seen.splitlines())


def test_a_log_has_plain_lines_and_not_one_for_every_word(monkeypatch: pytest.MonkeyPatch) -> None:
    events = [PLAN, training("grid", 8), training("grid", 16), training("grid", 24, "failed", "[red]broken[/]")]
    lines = show(monkeypatch, events, terminal=False).splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "training 0/4: 4 trainings, 2 at once, 1 CPU each",
        "training grid seed 0 8/800: loss 0.01234",
        "training grid seed 0: FAILED: [red]broken[/]",
    ]
