"""Commands that are given at the same moment for one run folder that is not there yet: one makes it, one is refused."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import yaml

from raysuite.errors import RunError
from raysuite.pipelines.benchmark import Request, at_work
from raysuite.settings import preset, with_words

FOLDERS = 10


def drive(name: int, home: str, data: str, together: Any, told: Any) -> None:
    """Begin on one new folder after the other, each at the same moment as the other process."""
    config = with_words(preset("tiny"), [f"training.steps={100 + name}"])
    for index in range(FOLDERS):
        request = Request(run=f"{home}/run-{index}", data=(data,), config=config)
        together.wait(120)
        try:
            with at_work(request) as (run, _, _):
                told.put((index, name, run.config.training.steps))
                together.wait(120)
        except RunError as error:
            told.put((index, name, str(error)))
            together.wait(120)


def test_of_two_drivers_on_a_new_folder_one_wins_and_the_other_is_told_its_name(
    small_benchmark: Path, tmp_path: Path
) -> None:
    spawn = multiprocessing.get_context("spawn")
    together, told = spawn.Barrier(2), spawn.Queue()
    words = (str(tmp_path), str(small_benchmark), together, told)
    processes = [spawn.Process(target=drive, args=(name, *words)) for name in range(2)]
    for process in processes:
        process.start()
    said = sorted((told.get(timeout=120) for _ in range(2 * FOLDERS)), key=lambda word: word[:2])
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for index in range(FOLDERS):
        both = {name: word for where, name, word in said if where == index}
        (winner,) = [name for name, word in both.items() if word == 100 + name]
        loser = both[1 - winner]
        assert "is being worked on by " in loser
        assert f"process {processes[winner].pid}, since " in loser
        folder = tmp_path / f"run-{index}"
        assert [path.name for path in folder.iterdir()] == ["config.yaml"]
        assert yaml.safe_load((folder / "config.yaml").read_text())["settings"]["training"]["steps"] == 100 + winner
