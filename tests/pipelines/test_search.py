"""Trials on a real Ray: what goes wrong with them, time that runs out, and that a stopped one goes on."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raysuite.errors import StorageError
from raysuite.pipelines.progress import Event
from raysuite.pipelines.tuning import search as searching
from raysuite.pipelines.tuning import trial as trials
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.search import OUT_OF_TIME, search
from raysuite.pipelines.tuning.trial import Brief, run_trial
from raysuite.settings import with_words
from raysuite.tuning.trials import read_trials, write_trial
from tests.pipelines.searches import GOOD, brief_of, folder_in, manner_of


@pytest.fixture
def folder(local_ray: None, small_benchmark: Path, tmp_path: Path) -> SearchFolder:
    return folder_in(tmp_path / "search", small_benchmark)


def cursed(config: dict[str, Any], brief: Brief) -> None:
    """A trial with a fate of its own, by its number."""
    number, real = config["trial"]["number"], trials.train

    def fate(*args: Any, **more: Any) -> Any:
        if number == 1:
            raise ZeroDivisionError("one over nothing")
        if number == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 4:
            time.sleep(600)
        return real(*args, **more)

    def refuse(*_: Any) -> None:
        raise StorageError("the disk is full")

    write = trials.write_trial
    trials.train = fate  # type: ignore[assignment]
    if number == 7:
        trials.write_trial = refuse  # type: ignore[assignment]
    try:
        run_trial(config, brief)
    finally:
        trials.train, trials.write_trial = real, write


def test_whatever_happens_to_a_trial_becomes_its_reason_and_the_others_go_on(
    folder: SearchFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "trainable", cursed)
    first = [GOOD] * 8
    first[5] = {**first[5], "training.weight_decay": 1e38}
    first[6] = {**first[6], "model.depth": 3, "model.dilations": (1, 2, 4, 8)}
    events: list[Event] = []
    manner = manner_of(search="tpe", early_stopping=True, trials=9)
    search(folder, brief_of(folder, "weave", timeout=15.0), manner, first, events.append)
    rows = {row.number: row for row in read_trials(folder.rows)}
    assert sorted(rows) == list(range(9))
    assert {number: row.state for number, row in rows.items() if 0 < number < 8} == {
        1: "failed", 2: "failed", 3: "failed", 4: "failed", 5: "failed", 6: "invalid", 7: "failed",
    }  # fmt: skip
    for number, words in {
        1: "ZeroDivisionError: one over nothing",
        2: "out of memory",
        3: "its worker died twice",
        4: "longer than 15 s to the next rung (--trial-timeout)",
        5: "no longer a number",
        6: "model.dilations",
        7: "StorageError: the disk is full",
    }.items():
        assert words in str(rows[number].reason)
        assert any(words in event.text and event.state == "failed" for event in events)
    assert rows[0].state == "done"
    assert [rung.steps for rung in rows[0].curve] == [2, 6, 18]
    assert rows[0].judged is not None
    # What hung until it was ended has cost that long, though it never came to a score.
    assert rows[4].seconds >= 15
    assert rows[1].seconds > 0
    assert rows[6].config is None
    assert not folder.notes.is_dir()


def test_a_search_ends_in_time_and_trials_out_of_time_are_not_over(folder: SearchFolder) -> None:
    endless = with_words(folder.run.config, ["training.steps=1000000"])
    brief = brief_of(folder, "weave", base=endless, rungs=(4, 1000000))
    search(folder, brief, manner_of(time_budget=15.0, trials=3), [GOOD, GOOD, GOOD])
    # On a busy machine none may have begun.
    assert {(row.state, row.reason) for row in read_trials(folder.rows)} <= {("stopped", OUT_OF_TIME)}
    assert folder.spent() >= 15
    search(folder, brief, manner_of(time_budget=0.0, trials=3), [GOOD, GOOD, GOOD])


def test_a_trial_over_several_categories_goes_on_from_its_checkpoints(folder: SearchFolder) -> None:
    """As one out of time does, or one of a search that was killed."""
    short = brief_of(folder, "weave", "flange", rungs=(4,))
    search(folder, short, manner_of(), [GOOD])
    rows = read_trials(folder.rows)
    assert [(row.category, row.steps) for row in rows] == [("flange", 4), ("weave", 4)]
    for row in rows:
        write_trial(folder.rows, replace(row, state="stopped", reason=OUT_OF_TIME))
        # What only a training that goes on from it would have.
        file = folder.work(0, row.category) / "checkpoint" / "checkpoint.json"
        card = json.loads(file.read_text())
        card["state"]["history"][0]["loss"] = 123.0
        file.write_text(json.dumps(card))
    search(folder, replace(short, rungs=(4, 18)), manner_of(), [GOOD])
    after = read_trials(folder.rows)
    assert [row.state for row in after] == ["done", "done"]
    assert [row.curve[:1] for row in after] == [row.curve for row in rows]
    for row in after:
        history = (folder.work(0, row.category) / "history.parquet").read_table().to_pylist()
        assert [line["step"] for line in history] == list(range(2, 19, 2))
        assert history[0]["loss"] == 123.0
