"""What a training says while it goes on, and what stays of it."""

from __future__ import annotations

import dataclasses
import socket
from pathlib import Path

import pytest

from raysuite.config import Config, TrainingConfig
from raysuite.datasets.entries import Source
from raysuite.pipelines import progress
from raysuite.pipelines.progress import Recorder
from raysuite.runs import Member, Run
from raysuite.training.progress import Progress

SETTINGS = TrainingConfig(steps=100, batch_size=8)
LINE = Progress(
    step=0, loss=0.5, kept_loss=0.2, repaired_loss=0.3, extra_loss=0.0, learning_rate=1e-3, images_per_second=40.0,
    seconds=1.0,
)  # fmt: skip


@pytest.fixture
def member(tmp_path: Path) -> Member:
    return Run.create(str(tmp_path / "run"), [Source("/data", "folders")], Config()).member("screw", 0)


def test_a_word_says_how_far_it_is_and_how_long_it_will_take(member: Member) -> None:
    word = Recorder(member, SETTINGS)(dataclasses.replace(LINE, step=25))
    assert (word["step"], word["steps"], word["node"]) == (25, 100, socket.gethostname())
    assert word["seconds_left"] == pytest.approx(75 * 8 / 40.0)
    assert member.progress() == word


def test_words_are_written_now_and_then_and_the_last_one_always(
    member: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([10.0, 10.0, 11.0, 12.0, 15.0, 15.0, 15.1, 15.2])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    record, written = Recorder(member, SETTINGS), []
    for step in (10, 20, 30, 40, 50, 100):
        record(dataclasses.replace(LINE, step=step))
        written.append(member.progress()["step"])
    assert written == [10, 10, 10, 40, 40, 100]


def test_a_folder_that_cannot_be_written_ends_no_training(member: Member) -> None:
    (Path(member.folder.path) / "progress.json").mkdir(parents=True)
    assert Recorder(member, SETTINGS)(dataclasses.replace(LINE, step=1))["step"] == 1
