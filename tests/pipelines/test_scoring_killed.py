"""Whatever is killed, and whatever kills: the archive comes out as if nothing had been."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pipelines.drivers import Drivers
from tests.pipelines.nodes import Nodes
from tests.scoring.archive import encoded, picture, rows_of, save_detector, write_pictures

pytestmark = pytest.mark.ray

KILLS = 20
DEADLY = b"DEADLY"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A cluster of two CPUs, whose Pythons die of deadly images."""
    nodes = Nodes()
    nodes.environment["PYTHONPATH"] = f"{ROOT / 'tests' / 'pipelines' / 'deadly'}:{ROOT}"
    with nodes:
        nodes.add()
        yield nodes


@pytest.fixture(scope="module")
def drivers(nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drivers]:
    """Starts commands on that cluster."""
    with Drivers(nodes.environment, tmp_path_factory.mktemp("drivers") / "log") as drivers:
        yield drivers


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category with one detector."""
    return save_detector(tmp_path_factory.mktemp("run"))


def command(nodes: Nodes, model: Path, source: Path, out: Path) -> list[object]:
    return [
        "score", source, "--model", model, "--output", out, "--unit-size", "8", "--batch-size", "4",
        "--engine", "eager", "--address", nodes.address,
    ]  # fmt: skip


def parts(out: Path) -> dict[str, int]:
    """When each part was written."""
    return {path.stem: path.stat().st_mtime_ns for path in (out / "parts").rglob("*.parquet")}


def stat_of(pid: int | str) -> tuple[str, int]:
    """State and parent of a process; state X if there is none."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
        return state, int(parent)
    except OSError:
        return "X", 0


def kill_a_worker(nodes: Nodes, chance: random.Random) -> bool:
    """Kill one of the processes that the cluster has at work, but none of Ray's own."""
    at_work = []
    for folder in Path("/proc").iterdir():
        try:
            name = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        parents, pid = [], int(folder.name) if folder.name.isdigit() else 0
        if not name.startswith(b"ray::") or b"IDLE" in name or b"Agent" in name:
            continue
        while pid > 1:
            pid = stat_of(pid)[1]
            parents.append(pid)
        if nodes.pid in parents:
            at_work.append(int(folder.name))
    if at_work:
        os.kill(chance.choice(at_work), signal.SIGKILL)
    return bool(at_work)


def test_an_archive_killed_twenty_times_is_that_of_an_undisturbed_run(
    nodes: Nodes, drivers: Drivers, model: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "in", 500)
    (tmp_path / "in" / "line-1" / "bad.png").write_bytes(b"")
    whole, out = tmp_path / "whole", tmp_path / "out"
    drivers.start(*command(nodes, model, tmp_path / "in", whole))
    assert drivers.wait() == 3, drivers.log.read_text()
    chance = random.Random(7)
    done: dict[str, int] = {}
    workers = 0
    for number in range(KILLS):
        pid = drivers.start(*command(nodes, model, tmp_path / "in", out))
        start = time.monotonic()
        if number % 5 < 3:
            time.sleep(chance.uniform(0.0, 2.5))
        else:
            wanted = len(done) + chance.randrange(1, 8)
            while len(parts(out)) < wanted and stat_of(pid)[0] not in "XZ" and time.monotonic() - start < 60:
                time.sleep(0.01)
            if number % 5 == 4:
                workers += kill_a_worker(nodes, chance)
            time.sleep(chance.uniform(0.0, 0.3))
        os.kill(pid, signal.SIGKILL)
        assert drivers.wait() == -signal.SIGKILL, drivers.log.read_text()
        now = parts(out)
        assert {key: now[key] for key in done} == done, "a finished unit was scored again"
        done = now
    assert workers >= 1
    assert 0 < len(done) < len(parts(whole))
    assert not (out / "manifest.json").exists()
    drivers.start(*command(nodes, model, tmp_path / "in", out))
    assert drivers.wait() == 3, drivers.log.read_text()
    assert "501 images = 500 scored + 1 failed" in drivers.log.read_text()
    now = parts(out)
    assert {key: now[key] for key in done} == done
    undisturbed, resumed = rows_of(whole), rows_of(out)
    for row in (*undisturbed, *resumed):
        del row["ms"], row["scored_at"]
    assert resumed == undisturbed
    assert len({str(row["uri"]) for row in resumed}) == 501


def test_an_image_that_kills_its_worker_is_a_row_and_costs_no_other(
    nodes: Nodes, drivers: Drivers, model: Path, tmp_path: Path
) -> None:
    paths = write_pictures(tmp_path / "in", 24)
    killers = (paths[3], paths[20])
    for path in killers:
        path.write_bytes(encoded(picture(1)) + DEADLY)
    words = [*command(nodes, model, tmp_path / "in", tmp_path / "out"), "--unit-size", "64"]
    drivers.start(*words)
    assert drivers.wait() == 3, drivers.log.read_text()
    rows = rows_of(tmp_path / "out")
    assert [str(row["uri"]) for row in rows] == [str(path) for path in paths]
    for row in rows:
        if Path(str(row["uri"])) in killers:
            assert str(row["error"]).startswith(f"WorkerDied: {row['id']} ended the process"), row
            assert row["score"] is None
        else:
            assert row["error"] is None
            assert row["score"] is not None
    assert "WorkerDied: 2" in drivers.log.read_text()
