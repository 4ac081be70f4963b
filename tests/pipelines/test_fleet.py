"""The fleet on a real cluster of two nodes: workers, nodes and drivers are killed, and nothing is lost.

The commands are those of the command line, in processes of their own; every disturbed run must end with the figures of
the undisturbed one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from raysuite.runs import Run
from tests.pipelines.nodes import Nodes

pytestmark = pytest.mark.ray

WORDS = [
    "data.image_size=64", "model.dilations=[1,2]", "detection.choice=fixed", "training.precision=float32",
    "training.steps=300", "training.log_every=4", "training.checkpoint_every=8", "training.batch_size=4",
]  # fmt: skip
TIMES = {"train_seconds", "evaluate_seconds"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A head and one node, a CPU each."""
    with Nodes() as nodes:
        nodes.add()
        yield nodes


class Command:
    """``raysuite benchmark`` on the cluster, in a process of its own."""

    def __init__(self, cluster: Nodes, data: Path, run: Path, *more: str) -> None:
        words = [word for setting in WORDS for word in ("--set", setting)]
        command = [sys.executable, "-m", "raysuite.cli.main", "benchmark", str(data), "--run", str(run)]
        self.run, self.log = run, run.with_suffix(".log")
        with self.log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*command, "--preset", "tiny", *words, "--address", cluster.address, *more],
                stdout=sink, stderr=sink, env=cluster.environment,
            )  # fmt: skip

    def word(self, category: str) -> dict[str, Any]:
        """The last word of a category's training, empty as long as there is none."""
        with contextlib.suppress(OSError, ValueError):
            said: dict[str, Any] = json.loads((self.run / category / "seed-0" / "progress.json").read_text())
            return said
        return {}

    def wait_for(self, what: Callable[[], Any]) -> Any:
        """Wait until something is true while the command works."""
        deadline = time.monotonic() + 240
        while not (found := what()) and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert found, self.said
        return found

    def wait_for_checkpoint(self, category: str) -> None:
        """Wait until a training would lose something, but not all."""
        self.wait_for((self.run / category / "seed-0" / "checkpoint" / "checkpoint.json").is_file)

    def end(self) -> int:
        """Wait for its end; returns the exit code."""
        try:
            return self.process.wait(timeout=300)
        finally:
            self.process.kill()

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")


@pytest.fixture
def command(cluster: Nodes, small_benchmark: Path, tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Starts commands, and ends at the end of the test what has not ended."""
    started: list[Command] = []

    def start(*more: str, data: Path = small_benchmark) -> Command:
        started.append(Command(cluster, data, tmp_path / "run", *more))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


@pytest.fixture(scope="module")
def undisturbed(
    cluster: Nodes, small_benchmark: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """Every figure of both categories in a run that nothing happened to."""
    done = Command(cluster, small_benchmark, tmp_path_factory.mktemp("runs") / "undisturbed")
    assert done.end() == 0, done.said
    return figures(done.run)


def figures(run: Path) -> dict[str, dict[str, Any]]:
    members = [member for member in Run.open(str(run)).members() if member.seed == 0]
    return {member.category: without_times(member.metrics()) for member in members}


def without_times(metrics: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metrics.items() if key not in TIMES}


def kill_workers(command: Command, **times: int) -> None:
    """Kill the workers that train these, each as often as told, and no sooner than it would lose something."""
    killed: dict[str, set[int]] = {category: set() for category in times}

    def step() -> bool:
        for category, pids in killed.items():
            pid = command.word(category).get("pid")
            kept = command.run / category / "seed-0" / "checkpoint" / "checkpoint.json"
            if pid is not None and pid not in pids and len(pids) < times[category] and kept.is_file():
                os.kill(pid, signal.SIGKILL)
                pids.add(pid)
        return all(len(pids) == times[category] for category, pids in killed.items())

    command.wait_for(step)


def test_a_killed_node_loses_nothing_and_is_no_failure_and_a_late_one_is_put_to_use(
    cluster: Nodes, undisturbed: dict[str, Any], command: Callable[..., Command]
) -> None:
    # Two seeds, so that there is work on both nodes whichever began first.
    disturbed = command("--retries", "0", "--seeds", "0-1")
    disturbed.wait_for(lambda: [*disturbed.run.glob("*/seed-0/checkpoint/checkpoint.json")])
    cluster.kill()
    disturbed.wait_for(lambda: "its node is lost" in disturbed.said)
    cluster.add()
    assert disturbed.end() == 0, disturbed.said
    assert all(member.is_evaluated for member in Run.open(str(disturbed.run)).members())
    assert figures(disturbed.run) == undisturbed


def test_after_a_killed_driver_the_same_command_goes_on(
    undisturbed: dict[str, Any], command: Callable[..., Command]
) -> None:
    killed = command()
    killed.wait_for_checkpoint("weave")
    killed.process.kill()
    killed.process.wait()
    reached = killed.word("weave").get("step", 0)
    assert not Run.open(str(killed.run)).member("weave", 0).is_trained
    again = command()
    assert again.end() == 0, again.said
    assert 0 < reached < 300
    assert figures(again.run) == undisturbed


def test_a_killed_worker_loses_nothing_and_trainings_that_fail_do_not_hold_up_the_others(
    undisturbed: dict[str, Any], command: Callable[..., Command], small_benchmark: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    shutil.copytree(small_benchmark, data)
    shutil.copytree(data / "weave", data / "broken")
    for image in sorted((data / "broken" / "train" / "good").iterdir())[1:]:
        image.write_bytes(b"no image")
    shutil.copytree(data / "weave", data / "cursed")
    disturbed = command(data=data)
    kill_workers(disturbed, weave=1, cursed=2)
    assert disturbed.end() == 3, disturbed.said
    run = Run.open(str(disturbed.run))
    broken, cursed = (run.member(name, 0).status() for name in ("broken", "cursed"))
    assert (broken["state"], cursed["state"]) == ("failed", "failed")
    assert "1 readable good training image" in broken["reason"]
    assert "its worker died" in cursed["reason"]
    for reason in (broken["reason"], cursed["reason"]):
        assert reason in disturbed.said
        assert reason in (disturbed.run / "report.html").read_text(encoding="utf-8")
    assert disturbed.said.count("retry 1 of 1") == 3, "of the broken, the cursed and the killed one"
    assert "Incomplete" in disturbed.said
    done = {member.category: member.metrics() for member in run.members() if member.is_evaluated}
    assert {name: without_times(of) for name, of in done.items()} == undisturbed
