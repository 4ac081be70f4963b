"""``raysuite cluster check`` on a real cluster of two nodes, in a process of its own."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysuite.errors import ClusterError
from raysuite.pipelines import check as look
from raysuite.pipelines.check import NodeReport, differing, versions
from raysuite.pipelines.reach import reach
from tests.pipelines.nodes import NODE, Nodes


@pytest.fixture(scope="module")
def cluster() -> Iterator[Nodes]:
    """A head and one node, a CPU each."""
    with Nodes() as nodes:
        nodes.add()
        yield nodes


def check(cluster: Nodes, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "raysuite.cli.main", "cluster", "check", "--address", cluster.address, *words]
    return subprocess.run(
        command, capture_output=True, text=True, env=cluster.environment, timeout=120, check=False
    )  # fmt: skip


@pytest.mark.ray
def test_every_node_is_asked_and_the_plan_is_told(cluster: Nodes, tmp_path: Path, small_benchmark: Path) -> None:
    words = ("--storage", str(tmp_path), "--plan", str(small_benchmark), "--seeds", "0-2", "--json")
    result = check(cluster, *words)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert [node["is_head"] for node in report["nodes"]] == [True, False]
    assert report["nodes"][1]["address"] == "127.0.0.2"
    assert report["versions"] == versions()
    for node in report["nodes"]:
        assert (node["cpus"], node["gpus"]) == (1, 0)
        assert node["object_store"] == NODE["object_store_memory"]
        assert node["versions"] == report["versions"]
        assert 0 < node["round_trip_ms"] < 60_000
        assert list(node["storage_ms"]) == [str(tmp_path)]
    assert report["plan"] == "6 trainings, 2 at once, 1 CPU each"
    assert report["problems"] == []
    assert not list(tmp_path.iterdir()), "the probe is removed"


@pytest.mark.ray
def test_what_is_wrong_is_said_in_sentences_with_exit_code_1(
    cluster: Nodes, tmp_path: Path, small_benchmark: Path
) -> None:
    missing = str(tmp_path / "runs")
    words = ("--storage", missing, "--plan", str(small_benchmark), "--workers-per-category", "3")
    result = check(cluster, *words)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"Error: storage, where the command was given: there is no folder {missing}; make it, or mount it, first",
        "Error: the plan: 3 workers for each training take 3 CPUs, the cluster has 2; lower --workers-per-category",
    ]
    assert f"2 nodes at {cluster.address}: 2 CPUs, 0 GPUs, 0.2 GiB object store" in result.stdout
    assert f"here and on all nodes: python {versions()['python']}, ray " in result.stdout
    assert "plan: 2 trainings, none of which fits" in result.stdout
    assert "Nothing is wrong" not in result.stdout


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_node_that_cannot_do_it_is_named_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'raysuite'")

    def refuses(*_: object) -> look._Answer:
        return look._Answer(refused=("/mnt/runs is not there",))

    told = {}
    for answer in (fails, refuses):
        monkeypatch.setattr(look, "_answer", answer)
        (told[answer],) = look.check(None).problems
    assert re.fullmatch(r"node .* \([\d.]+\) cannot run raysuite: ModuleNotFoundError: No module .*", told[fails])
    assert re.fullmatch(r"storage, on node .* \([\d.]+\): /mnt/runs is not there", told[refuses])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at"),
        ("127.0.0.1", "is no address of a cluster; give one such as"),
        ("http://127.0.0.1:8265", "is the address of a dashboard, which takes jobs: raysuite submit --address http"),
    ],
)
def test_an_address_that_is_none_is_told_at_once(address: str, words: str) -> None:
    with pytest.raises(ClusterError, match=words):
        reach(address)


def test_a_node_with_another_version_is_named() -> None:
    mine = {"python": "3.11", "ray": "2.60.0", "raysuite": "0.1.0"}
    same = NodeReport("a", "one", "192.0.2.1", True, 1, 0, (), 0, 0, mine, 1.0, {})
    older = dataclasses.replace(same, host="two", versions={**mine, "ray": "2.59.1", "raysuite": "0.0.9"})
    silent = dataclasses.replace(same, host="three", versions={})
    assert differing(mine, [same, older, silent]) == [
        "node two (192.0.2.1) has ray 2.59.1, not 2.60.0 and raysuite 0.0.9, not 0.1.0 as here; install the same on all"
    ]
