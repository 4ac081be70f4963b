"""A search on a real Ray: what it leaves, what goes wrong with trials, and that a stopped one goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

from raysuite import settings
from raysuite.cli.main import main
from raysuite.config import Config
from raysuite.datasets.layouts import find_all
from raysuite.errors import ClusterError, ConfigError, RunError, StorageError
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.progress import Event
from raysuite.pipelines.tuning import job
from raysuite.pipelines.tuning import search as searching
from raysuite.pipelines.tuning import trial as trials
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.plan import Request, resources
from raysuite.pipelines.tuning.search import OUT_OF_TIME, Manner, search
from raysuite.pipelines.tuning.trial import Brief, run_trial
from raysuite.planning import Need, Node
from raysuite.reporting.search import text
from raysuite.runs import Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location
from raysuite.tuning.space import Choice, Dimension, Float, Int, Space
from raysuite.tuning.trials import read_trials, write_trial

WORDS = [
    "data.image_size=64", "training.steps=18", "training.log_every=2", "training.batch_size=2",
    "training.checkpoint_every=3", "training.precision=float32", "model.dilations=[1,2]", "detection.choice=fixed",
]  # fmt: skip
SPACE = Space(
    (
        Dimension("training.learning_rate", Float(1e-4, 1e-2, log=True)),
        Dimension("model.depth", Int(1, 3)),
        Dimension("model.dilations", Choice(((1, 2), (1, 2, 4, 8)))),
        Dimension("training.weight_decay", Choice((1e-5, 1e38))),
    )
)
GOOD: dict[str, Any] = {"training.weight_decay": 1e-5, "model.depth": 1, "model.dilations": (1, 2)}


@pytest.fixture(scope="module")
def config() -> Config:
    return with_words(preset("tiny"), WORDS)


@pytest.fixture
def folder(local_ray: None, small_benchmark: Path, config: Config, tmp_path: Path) -> SearchFolder:
    """A search's folder with its shards, before any trial."""
    listings = find_all([Location.of(str(small_benchmark))], "auto", ())
    run = Run.create(str(tmp_path / "search"), [listing.source for listing in listings], config)
    shard(listings, run.shards)
    return SearchFolder(run)


def brief_of(folder: SearchFolder, *categories: str, **changes: Any) -> Brief:
    config = folder.run.config
    brief = Brief(folder.run.root.uri, config, SPACE.validated(config), categories, (2, 6, 18), 0, False, 1)
    return replace(brief, **changes)


def manner_of(**changes: Any) -> Manner:
    return replace(Manner("random", False, None, 1, None, 2, Need(1, 1, 0.0)), **changes)


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


def request_of(small_benchmark: Path, run: Path, config: Config, **changes: Any) -> Request:
    request = Request(run=str(run), data=(str(small_benchmark),), config=config, trials=4, final_seeds=0)
    return replace(request, **changes)


@pytest.fixture(scope="module")
def finished(
    local_ray: None, small_benchmark: Path, config: Config, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Request, dict[str, Any]]:
    """A search over a default that hardly learns, with its verdict."""
    root = tmp_path_factory.mktemp("tuned")
    (root / "space.yaml").write_text("training.learning_rate: [1.0e-7, 4.0e-3]\nmodel.width: {low: 8, high: 16}\n")
    lazy = with_words(config, ["training.learning_rate=1e-7", "training.steps=54"])
    request = request_of(
        small_benchmark, root / "search", lazy, categories=("weave",), spaces=(str(root / "space.yaml"),),
        final_seeds=2, arguments=("tune", "data"),
    )  # fmt: skip
    _, summary = job.tune(request)
    return request, summary


def test_a_search_leaves_rows_settings_to_use_and_a_verdict(finished: tuple[Request, dict[str, Any]]) -> None:
    request, summary = finished
    root = Path(request.run)
    rows = pq.read_table(root / "trials.parquet").to_pylist()
    assert [row["number"] for row in rows] == [0, 1, 2, 3]
    assert all(row["state"] in {"done", "stopped"} and row["curve"] and row["seconds"] > 0 for row in rows)
    assert json.loads(rows[0]["config"]) == settings.to_mapping(request.config)
    assert all((Path(row["checkpoint"]) / "checkpoint.json").is_file() for row in rows)
    tested = pq.read_table(root / "test.parquet").to_pylist()
    assert len(tested) == 4
    assert all(0 <= row["image_auroc"] <= 1 and row["error"] is None for row in tested)
    best = settings.from_yaml((root / "best.yaml").read_text())
    (outcome,) = summary["outcomes"]
    assert best == settings.from_mapping(json.loads(rows[outcome["winner"]["number"]]["config"]))
    assert best.training.learning_rate == 4e-3
    assert summary["final"]["seeds"] == [1, 2]
    assert summary["final"]["verdicts"]["image_auroc"]["pairs"] == 2
    assert Run.open(str(root / "final" / f"trial-{outcome['winner']['number']}")).config == best
    assert summary == json.loads((root / "summary.json").read_text())
    assert summary["training_seconds"] > 0
    words = text(summary)
    assert summary["final"]["verdicts"]["image_auroc"]["words"] in words
    page = (root / "report.html").read_text(encoding="utf-8")
    assert summary["final"]["verdicts"]["image_auroc"]["words"] in page
    assert "The search is not over" not in page
    assert "ORACLE" not in words + (root / "summary.md").read_text() + (root / "best.yaml").read_text()


def test_the_same_command_again_does_nothing_twice_and_another_search_is_refused(
    finished: tuple[Request, dict[str, Any]],
) -> None:
    request, summary = finished
    root = Path(request.run)

    def times() -> dict[Path, int]:
        return {
            path: path.stat().st_mtime_ns for path in root.rglob("*")
            if path.is_file() and {"trials", "seed-1", "seed-2"} & {*path.parts}
        }  # fmt: skip

    before = times()
    _, again = job.tune(request)
    assert times() == before
    assert again["outcomes"] == summary["outcomes"]
    with pytest.raises(ConfigError, match="has another search: seed was 0 and is now 1"):
        job.tune(replace(request, seed=1))


def test_what_is_refused_leaves_no_folder(
    local_ray: None, small_benchmark: Path, config: Config, tmp_path: Path
) -> None:
    request = request_of(small_benchmark, tmp_path / "run", config, categories=("weave",))
    for refused, error, words in (
        (replace(request, search="grid", trials=30), ConfigError, "fix some with --fix"),
        (replace(request, warm_start=(str(tmp_path / "nowhere"),)), RunError, "nowhere"),
        (replace(request, max_concurrent=1000), ClusterError, "1000 trials at once"),
    ):
        with pytest.raises(error, match=words):
            job.tune(refused)
        assert not (tmp_path / "run" / "config.yaml").exists()
    with pytest.raises(ConfigError, match="--minimise is for --search tpe"):
        replace(request, search="random", minimise="latency_ms")


def test_a_warm_start_is_read_once_and_belongs_to_the_search(
    local_ray: None, small_benchmark: Path, config: Config, tmp_path: Path, finished: tuple[Request, dict[str, Any]]
) -> None:
    earlier = tmp_path / "earlier"
    shutil.copytree(finished[0].run, earlier)
    request = request_of(
        small_benchmark, tmp_path / "warm", config, categories=("weave",), trials=2, early_stopping=False,
        warm_start=(str(earlier),), spaces=finished[0].spaces,
    )  # fmt: skip
    _, summary = job.tune(request)
    assert len(summary["first"]) > 1
    shutil.rmtree(earlier)
    _, again = job.tune(replace(request, trials=3))
    assert again["first"] == summary["first"]
    with pytest.raises(ConfigError, match="has another search: warm_start is not the same"):
        job.plan(replace(request, warm_start=(finished[0].run,)))


def test_a_search_that_goes_on_spends_no_other_search_s_time(folder: SearchFolder) -> None:
    briefs = [brief_of(folder, name) for name in ("flange", "weave")]
    request = Request(run=folder.run.root.uri, data=(), config=folder.run.config, time_budget=100.0)
    assert job._time_left(request, folder, briefs, 0) == 50
    folder.set_spent(["flange"], 45.0)
    assert job._time_left(request, folder, briefs, 0) == 5
    folder.set_spent(["weave"], 20.0)
    assert job._time_left(request, folder, briefs, 0) == 5
    assert job._time_left(request, folder, briefs, 1) == 35
    assert folder.spent() == 65


def test_an_oracle_is_marked_everywhere_and_each_category_has_settings_of_its_own(
    local_ray: None, small_benchmark: Path, config: Config, tmp_path: Path, finished: tuple[Request, dict[str, Any]]
) -> None:
    root, space, events = tmp_path / "oracle", tmp_path / "space.yaml", list[Event]()
    # Without the start's own value, so that no winner is the default.
    space.write_text("training.learning_rate: [1.0e-3, 2.0e-3]\n")
    request = request_of(
        small_benchmark, root, config, oracle=True, per_category=True, minimise="parameters",
        spaces=("capacity", str(space)), fixed=("model.depth",), trials=2, warm_start=(finished[0].run,),
        final_seeds=1,
    )  # fmt: skip
    _, summary = job.tune(request, events.append)
    assert [one["categories"] for one in summary["outcomes"]] == [["flange"], ["weave"]]
    assert len(read_trials(SearchFolder(Run.open(request.run)).rows)) == 4
    assert "model.depth" not in summary["space"]
    assert len(summary["first"]) > 1
    assert text(summary).startswith("ORACLE")
    winners = [f"trial-{one['winner']['number']}-{one['categories'][0]}" for one in summary["outcomes"]]
    pages = [f"final/{name}/{page}" for name in winners for page in ("report.html", "metrics.md")]
    for name in ("best-weave.yaml", "best-flange.yaml", "summary.md", "report.html", *pages):
        assert "ORACLE" in (root / name).read_text(encoding="utf-8"), name
    assert "ORACLE" not in (root / "final" / "default" / "metrics.md").read_text(encoding="utf-8")
    for name in ("summary.json", "search.json", "plan.json"):
        assert json.loads((root / name).read_text())["objective"] == "oracle", name
    for file in (root / "trials.parquet", root / "test.parquet", *(root / "trials" / "rows").iterdir()):
        assert set(pq.read_table(file).column("objective").to_pylist()) == {"oracle"}, file
    told = [event.text for event in events if event.stage == "tune"]
    scores = [words for words in told if re.search(r"\d\.\d", words)]
    assert any("after 2 steps" in words for words in scores)
    assert all("score (oracle)" in words for words in scores)
    assert sum("ORACLE: scored with the labels of the test images" in words for words in told) == 2


def test_a_plan_by_an_oracle_is_marked(small_benchmark: Path, tmp_path: Path) -> None:
    for objective, mark in (("good", False), ("oracle", True)):
        words = [*command(small_benchmark, tmp_path / "run", "--objective", objective, "--dry-run")][3:]
        assert ("ORACLE: trials are scored with the labels of the test images." in shown(words)) is mark
        assert json.loads(shown([*words, "--json"]))["objective"] == objective


def shown(words: list[str]) -> str:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_more_trials_at_once_than_the_cluster_can_place_are_refused_with_numbers(
    small_benchmark: Path, config: Config, tmp_path: Path
) -> None:
    request = request_of(small_benchmark, tmp_path / "run", config, max_concurrent=3)
    with pytest.raises(ClusterError, match="3 trials at once take 3 CPUs, the cluster has 2 CPUs, which hold 2"):
        resources(request, [Node("here", 2)], None)
    nodes = [Node("here", 8, 1)]
    assert resources(replace(request, gpu_share=0.25), nodes, None)[:2] == (Need(1, 2, 0.25), 3)
    with pytest.raises(ClusterError, match=r"3 trials at once take 1\.5 GPUs and 3 CPUs, .* hold 2: lower --max-conc"):
        resources(replace(request, gpu_share=0.5), nodes, None)


def command(data: Path, run: Path, *more: str) -> list[str]:
    words = [word for setting in WORDS for word in ("--set", setting)]
    head = [sys.executable, "-m", "raysuite.cli.main", "tune", str(data), "--run", str(run), "--category", "weave"]
    return [*head, "--preset", "tiny", *words, *more]


def test_an_unknown_setting_in_a_space_is_answered_with_the_nearest_and_a_plan_is_printed(
    small_benchmark: Path, tmp_path: Path
) -> None:
    space = tmp_path / "space.yaml"
    space.write_text("model.widht: {low: 8, high: 32}\n")
    refused = subprocess.run(
        command(small_benchmark, tmp_path / "run", "--space", str(space)), capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert "there is no setting 'model.widht'; did you mean model.width?" in refused.stderr
    assert not (tmp_path / "run").exists()
    planned = subprocess.run(
        command(small_benchmark, tmp_path / "run", "--space", "capacity", "--dry-run", "--json", "--trials", "5"),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    card = json.loads(planned.stdout)
    assert (card["trials_each"], card["rungs"], card["steps_at_most"]) == (5, [2, 6, 18], 90)
    assert "model.width" in card["space"]
    assert not (tmp_path / "run").exists()


def wait_for(process: subprocess.Popen[bytes], what: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 240
    while not what() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert what()


def test_a_killed_search_keeps_its_trials_and_goes_on_from_their_checkpoints(
    small_benchmark: Path, tmp_path: Path
) -> None:
    run, log = tmp_path / "run", tmp_path / "log"
    words = command(
        small_benchmark, run, "--set", "training.steps=40", "--first-rung", "4", "--trials", "2",
        "--final-seeds", "0", "--no-early-stopping", "--max-concurrent", "1",
    )  # fmt: skip
    checkpoints = run / "trials" / "training"

    def steps() -> dict[str, int]:
        found = {}
        for file in checkpoints.glob("*/checkpoint/checkpoint.json"):
            with contextlib.suppress(OSError, ValueError):
                found[file.parent.parent.name] = json.loads(file.read_text())["state"]["step"]
        return found

    with log.open("wb") as sink:
        killed = subprocess.Popen(words, stdout=sink, stderr=sink)
        try:
            # In the second trial, behind its first rung.
            wait_for(killed, lambda: steps().get("000001-weave", 0) > 5)
        finally:
            killed.kill()
            killed.wait()
    before, rows = steps(), read_trials(Location.of(str(run / "trials" / "rows")))
    assert [row.state for row in rows] == ["done", "running"]
    assert 5 < before["000001-weave"] < 40
    with log.open("ab") as sink:
        again = subprocess.Popen(words, stdout=sink, stderr=sink)
        try:
            least = before["000001-weave"]
            while again.poll() is None:
                least = min(least, steps().get("000001-weave", least))
                time.sleep(0.05)
        finally:
            again.kill()
    assert again.returncode == 0, log.read_text()
    assert least == before["000001-weave"]
    after = read_trials(Location.of(str(run / "trials" / "rows")))
    assert [row.state for row in after] == ["done"] * 2
    assert after[0] == rows[0]
    assert after[1].curve[: len(rows[1].curve)] == rows[1].curve
    assert after[1].started == rows[1].started
    assert (run / "best.yaml").is_file()
