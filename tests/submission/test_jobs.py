"""Every spec in jobs/, sent to a real cluster of two nodes: stopped, gone on with, followed and fetched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import raysuite
from raysuite.runs import Run
from raysuite.submission.fetching import LEFT_OUT, wanted
from tests.submission.clusters import Cluster, Done

pytestmark = pytest.mark.ray

ROOT = Path(__file__).parents[2]
JOBS = ROOT / "jobs"
STEPS = 150
TINY = ["--image-size", "64", "--set", "model.dilations=[1,2]", "--category", "weave"]


@dataclass
class Trained:
    """A training that was stopped and gone on with."""

    root: Path
    first: str
    double: Done
    stopped: Done
    waited: Done
    step: int
    second: Done


def submit(cluster: Cluster, spec: str, *words: str, shared: Path, timeout: float = 240) -> Done:
    """Send a spec of jobs/."""
    return cluster.raysuite("submit", str(JOBS / spec), "--shared", str(shared), "--json", *words, timeout=timeout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What both nodes see: its data set and its runs."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def data(folder: Path, small_benchmark: Path) -> Path:
    shutil.copytree(small_benchmark, folder / "parts")
    return folder / "parts"


@pytest.fixture(scope="module")
def trained(cluster: Cluster, folder: Path, data: Path) -> Trained:
    run = folder / "run"
    words = [
        "--set", f"data={data}", "--set", f"run={run}", "--set", "preset=tiny", "--", *TINY,
        "--steps", str(STEPS), "--set", "training.checkpoint_every=10",
    ]  # fmt: skip
    first = submit(cluster, "train-all.yaml", "--detach", *words, shared=folder)
    assert first.code == 0, first.said
    name = first.card["id"]
    double = submit(cluster, "train-all.yaml", "--detach", *words, shared=folder)
    progress, deadline = run / "weave" / "seed-0" / "checkpoint" / "checkpoint.json", time.monotonic() + 120
    while not progress.is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    stopped = cluster.raysuite("jobs", "stop", name, "--json")
    waited = cluster.raysuite("jobs", "wait", name)
    step = Run.open(str(run)).member("weave", 0).status()
    second = submit(cluster, "train-all.yaml", *words, shared=folder)
    return Trained(run, name, double, stopped, waited, 0 if step["state"] == "done" else 1, second)


def test_a_job_that_is_sent_twice_is_noticed_and_runs_once(trained: Trained) -> None:
    assert trained.double.code == 0
    assert trained.double.card["id"] == trained.first
    assert trained.double.card["sent"] is False
    assert f"already, as {trained.first}; nothing was sent" in trained.double.said


def test_a_job_that_is_stopped_lets_go_of_its_run_and_goes_on_when_it_is_sent_again(
    cluster: Cluster, trained: Trained
) -> None:
    assert trained.stopped.card["state"] == "stopped", trained.stopped.said
    assert trained.waited.code == 130
    assert "it was stopped; sent again, it goes on where it was" in trained.waited.said
    assert "the same command goes on from there" in cluster.raysuite("jobs", "logs", trained.first).out
    assert trained.second.code == 0, trained.second.said
    card = trained.second.card
    assert card["id"] == f"{trained.first[:-1]}2"
    assert (card["state"], card["exit_code"], card["attempt"]) == ("succeeded", 0, 2)
    member = Run.open(str(trained.root)).member("weave", 0)
    assert member.is_trained
    assert pq.read_table(trained.root / "weave" / "seed-0" / "history.parquet")["step"][-1].as_py() == STEPS
    commands = json.loads((trained.root / "provenance.json").read_text())["commands"]
    assert len(commands) == 2


@pytest.fixture(scope="module")
def measured(cluster: Cluster, folder: Path, data: Path, trained: Trained) -> Done:
    words = ["--set", f"data={data}", "--set", f"run={trained.root}", "--set", "preset=tiny", "--set", "seeds=0"]
    more = ["--", *TINY, "--steps", str(STEPS), "--set", "training.checkpoint_every=10"]
    return submit(cluster, "benchmark.yaml", *words, *more, shared=folder)


def test_a_benchmark_goes_on_with_what_another_job_has_trained(trained: Trained, measured: Done) -> None:
    assert measured.code == 0, measured.said
    assert (trained.root / "report.html").is_file()
    assert measured.card["results"] == str(trained.root)
    assert "weave" in measured.said


def test_tune_on_a_copy_score_and_report_run_side_by_side_and_are_waited_for(
    cluster: Cluster, folder: Path, data: Path, small_benchmark: Path, trained: Trained, measured: Done
) -> None:
    (trained.root / "report.html").unlink()
    tune = [
        "--set", f"data={small_benchmark}", "--set", f"run={folder / 'tuned'}", "--upload", str(folder / "copies"),
        "--set", "trials=1", "--set", "final_seeds=0", "--", *TINY, "--steps", "9",
    ]  # fmt: skip
    score = ["--set", f"input={data / 'weave' / 'test'}", "--set", f"model={trained.root / 'weave'}"]
    score += ["--set", f"output={folder / 'scored'}", "--set", "false_alarm_rate=0.5"]
    sent = {
        "tune": submit(cluster, "tune.yaml", "--detach", *tune, shared=folder),
        "score": submit(cluster, "score.yaml", "--detach", *score, shared=folder),
        "report": submit(cluster, "report.yaml", "--detach", "--set", f"run={trained.root}", shared=folder),
    }
    for kind, done in sent.items():
        assert done.code == 0, done.said
        assert done.card["sent"] is True
        waited = cluster.raysuite("jobs", "wait", kind, "--json", timeout=240)
        assert waited.code == 0, f"{waited.said}{cluster.raysuite('jobs', 'logs', kind).out}"
        assert waited.card["id"] == done.card["id"]
    assert (folder / "tuned" / "best.yaml").is_file()
    assert json.loads((folder / "scored" / "summary.json").read_text())["failed"] == 0
    assert (trained.root / "report.html").is_file()
    states = {row["id"]: row["state"] for row in cluster.raysuite("jobs", "list", "--json").card}
    assert {states[done.card["id"]] for done in sent.values()} == {"succeeded"}
    assert "raysuite-tune-" in cluster.raysuite("jobs", "list").out


def test_results_are_fetched_from_here_and_through_a_job(
    cluster: Cluster, trained: Trained, measured: Done, tmp_path: Path
) -> None:
    there = {path.relative_to(trained.root).as_posix() for path in trained.root.rglob("*") if path.is_file()}
    results = {name for name in there if wanted(name, (), everything=False)}
    assert results < there, f"nothing was left out by {LEFT_OUT}"
    for way, words in (("here", ()), ("job", ("--through-job",))):
        done = cluster.raysuite("jobs", "fetch", "benchmark", "--to", str(tmp_path / way), "--json", *words)
        assert done.code == 0, done.said
        assert done.card["files"] == len(results)
        brought = {
            path.relative_to(tmp_path / way).as_posix(): path for path in (tmp_path / way).rglob("*") if path.is_file()
        }
        assert set(brought) == results
        assert all(path.read_bytes() == (trained.root / name).read_bytes() for name, path in brought.items())
    assert "raysuite-fetch-" not in cluster.raysuite("jobs", "list").out


def test_a_job_that_fails_is_sent_again_as_often_as_its_spec_says_and_ends_with_its_code(
    cluster: Cluster, tmp_path: Path
) -> None:
    spec = tmp_path / "fails.yaml"
    spec.write_text("{name: fails, command: [sh, -c, \"echo 'Error: the line is closed' >&2; exit 9\"], retries: 1}")
    done = cluster.raysuite("submit", str(spec), "--allow-command", "--json")
    assert done.code == 9, done.said
    assert (done.card["state"], done.card["attempt"]) == ("failed", 2)
    assert done.card["reason"] == "it ended with code 9: the line is closed"
    assert "sent again as raysuite-fails-" in done.said
    assert "the line is closed" in cluster.raysuite("jobs", "status", "fails").out
    assert {row["attempt"] for row in cluster.raysuite("jobs", "list", "--json").card if "fails" in row["id"]} == {1, 2}


def test_a_cluster_whose_python_has_no_raysuite_is_told_and_what_to_do(cluster: Cluster, folder: Path) -> None:
    bare = Path(sys.base_prefix) / "bin" / "python3"
    if not subprocess.run(
        [str(bare), "-c", "import raysuite"], capture_output=True, check=False, cwd=folder
    ).returncode:
        pytest.skip("the Python below this environment has raysuite too")
    done = submit(cluster, "report.yaml", "--python", str(bare), "--set", f"run={folder}", shared=folder)
    assert done.code == 1
    assert "has no raysuite of this version" in done.said
    assert "--ship" in done.said


def test_another_raysuite_is_refused_by_the_cluster_unless_it_is_shipped(
    cluster: Cluster, folder: Path, trained: Trained, tmp_path: Path
) -> None:
    # A checkout of another version on the laptop; the cluster keeps the one of these tests.
    package = Path(raysuite.__file__).parent
    shutil.copytree(package, tmp_path / "raysuite", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "dashboards" / "report", tmp_path / "dashboards" / "report")
    init = tmp_path / "raysuite" / "__init__.py"
    init.write_text(init.read_text().replace(raysuite.__version__, "9.9.0"))
    words = ["--shared", str(folder), "--", "status", str(trained.root)]
    done = cluster.raysuite("submit", *words, PYTHONPATH=str(tmp_path))
    assert done.code == 2, done.said
    assert f"the cluster has raysuite {raysuite.__version__}" in done.said + done.out
    done = cluster.raysuite(
        "submit", "--ship", *words, PYTHONPATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert done.code == 0, done.said
    assert "raysuite 9.9.0, Python" in done.out
    assert "weave" in done.out
