"""A cluster that grows by itself: Ray's autoscaler is asked for room, and believed when it says never."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from raysuite.pipelines import growth
from raysuite.pipelines.growth import RENEW_SECONDS, Room, limits
from raysuite.planning import Growth, Node
from raysuite.runs import Run
from tests.pipelines.growing import Growing

WORDS = [
    "data.image_size=64", "model.dilations=[1,2]", "detection.choice=fixed", "training.precision=float32",
    "training.steps=20", "training.batch_size=4",
]  # fmt: skip

# What a managed service does, and Ray's own autoscaler does not: tell the limits.
TELL_LIMITS = """
import sys
from raysuite.pipelines.session import ray_session
from ray._private.worker import global_worker
from ray.core.generated.autoscaler_pb2 import ClusterConfig
with ray_session(sys.argv[1]):
    config = ClusterConfig()
    config.node_group_configs.add(name="small", max_count=2).resources["CPU"] = 1
    global_worker.gcs_client.report_cluster_config(config.SerializeToString())
"""


def config_of(*groups: tuple[int, int, int], **most: int) -> Any:
    from ray.core.generated.autoscaler_pb2 import ClusterConfig

    config = ClusterConfig()
    for cpus, gpus, count in groups:
        group = config.node_group_configs.add(name=f"group of {cpus}", max_count=count)
        group.resources["CPU"], group.resources["GPU"] = cpus, gpus
    for name, amount in most.items():
        config.max_resources[name] = amount
    return config


class Clock:
    """Time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """As `time.monotonic`."""
        return self.now


@pytest.mark.usefixtures("local_ray")
def test_a_full_cluster_refuses_nothing_for_good_and_is_asked_anew_when_it_is_empty(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, verdicts = Clock(), [True]
    monkeypatch.setattr(growth, "time", clock)
    monkeypatch.setattr(growth, "_never", lambda: verdicts[0])

    def turn(count: int, beside: int) -> None:
        clock.now += RENEW_SECONDS + 1
        room.ask([{"CPU": 1.0}], count, beside)

    with Room() as room:
        for _ in range(4):
            turn(2, 1)
        assert not room.refused, "what goes on takes the room that is asked for"
        verdicts[0] = False
        turn(3, 0)
        assert room._asked == 3, "what was refused beside it may fit now"
        verdicts[0] = True
        for _ in range(4):
            turn(3, 0)
        assert room.refused


def test_nodes_that_are_there_are_not_counted_twice_and_totals_are_kept() -> None:
    head, small = Node("head", 2), Node("one", 4)
    grown = limits(config_of((4, 0, 3), (8, 1, 2)), [head, small]).nodes
    assert sorted((node.cpus, node.gpus) for node in grown) == [(2, 0), (4, 0), (4, 0), (4, 0), (8, 1), (8, 1)]
    assert len({node.name for node in grown}) == 6
    assert len(limits(config_of((2, 0, 3)), [head, small], {"head"}).nodes) == 5, "the head is none of a group's nodes"
    assert len(limits(config_of((2, 0, 1)), [head, small], {"head"}).nodes) == 2, "but of its own group it is"
    capped = limits(config_of((4, 0, 9), CPU=10), [head]).nodes
    assert sum(node.cpus for node in capped) == 10
    assert limits(config_of((4, 0, -1)), [head]) == Growth(), "what has no limit has none that is known"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Growing]:
    """A head of one CPU, and an autoscaler that may add one node of one CPU."""
    with Growing(tmp_path_factory.mktemp("cluster"), most=1) as growing:
        yield growing


def command(cluster: Growing, data: Path, run: Path, *more: str) -> subprocess.CompletedProcess[str]:
    words = [word for setting in WORDS for word in ("--set", setting)]
    return subprocess.run(
        [
            sys.executable, "-m", "raysuite.cli.main", "train", str(data), "--run", str(run), "--category", "weave",
            "--preset", "tiny", *words, "--address", cluster.address, *more,
        ],
        env=cluster.environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.ray
def test_a_training_waits_for_a_node_and_gets_it_and_what_never_fits_is_refused(
    cluster: Growing, small_benchmark: Path, tmp_path: Path
) -> None:
    planned = command(cluster, small_benchmark, tmp_path / "run", "--workers-per-category", "2", "--dry-run", "--json")
    assert planned.returncode == 0, planned.stderr
    card = json.loads(planned.stdout)
    assert "take 2 CPUs, the cluster has 1" in card["lack"]
    assert (card["at_once"], card["estimate"], len(card["nodes"])) == (0, None, 1), "a dry run asks for no node"

    refused = command(cluster, small_benchmark, tmp_path / "never", "--workers-per-category", "4")
    assert refused.returncode == 1
    assert "autoscaler says that it can never hold a training: 4 workers" in refused.stderr

    done = command(cluster, small_benchmark, tmp_path / "run", "--workers-per-category", "2")
    assert done.returncode == 0, done.stderr
    assert "autoscaler is asked for room: 2 workers for each training take 2 CPUs, the cluster has 1" in done.stderr
    assert Run.open(str(tmp_path / "run")).member("weave", 0).is_trained

    subprocess.run(
        [sys.executable, "-c", TELL_LIMITS, cluster.address], env=cluster.environment, check=True, timeout=120
    )
    refused = command(cluster, small_benchmark, tmp_path / "never", "--workers-per-category", "4")
    assert refused.returncode == 1
    assert "4 workers for each training take 4 CPUs, the cluster has 2 and could grow to 3; lower" in refused.stderr
