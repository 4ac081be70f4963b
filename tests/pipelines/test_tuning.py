"""The whole of a search on a real Ray: what it leaves, what is refused, and that a killed one goes on."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from raysuite import settings
from raysuite.cli.main import main
from raysuite.config import Config
from raysuite.errors import ClusterError, ConfigError, RunError
from raysuite.pipelines import benchmark
from raysuite.pipelines.progress import Event
from raysuite.pipelines.tuning import job
from raysuite.pipelines.tuning.finals import retrain
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.plan import Request, plan_of, resources
from raysuite.planning import Need, Node
from raysuite.reporting.search import text
from raysuite.runs import Run
from raysuite.settings import with_words
from raysuite.storage import Location
from raysuite.tuning.trials import read_trials
from tests.pipelines.searches import CONFIG, WORDS, brief_of, folder_in


@pytest.fixture(scope="module")
def config() -> Config:
    return CONFIG


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


def test_credentials_of_an_earlier_search_are_not_written_and_make_no_other_search(
    small_benchmark: Path, config: Config, tmp_path: Path
) -> None:
    earlier = f"{tmp_path.as_uri()}/earlier?token=hidden"
    request = request_of(small_benchmark, tmp_path / "run", config, warm_start=(earlier,))
    listings = benchmark.find_listings(request.as_benchmark())
    planned = plan_of(request, listings, [Node("here", 2)], None, [])
    card = job._card(request, planned)
    assert card["warm_start"] == [earlier.replace("hidden", "***")]
    folder = folder_in(tmp_path / "run", small_benchmark)
    folder.claim({**card, "warm_start": [earlier]}, [])
    folder.check(card)


def test_a_search_that_goes_on_spends_no_other_search_s_time(
    local_ray: None, small_benchmark: Path, tmp_path: Path
) -> None:
    folder = folder_in(tmp_path / "search", small_benchmark)
    briefs = [brief_of(folder, name) for name in ("flange", "weave")]
    request = Request(run=folder.run.root.uri, data=(), config=folder.run.config, time_budget=100.0)
    assert job._time_left(request, folder, briefs, 0) == 50
    folder.set_spent(["flange"], 45.0)
    assert job._time_left(request, folder, briefs, 0) == 5
    folder.set_spent(["weave"], 20.0)
    assert job._time_left(request, folder, briefs, 0) == 5
    assert job._time_left(request, folder, briefs, 1) == 35
    assert folder.spent() == 65


def test_what_a_search_has_spent_counts_in_whatever_order_its_categories_are_named(
    small_benchmark: Path, tmp_path: Path
) -> None:
    folder = folder_in(tmp_path / "search", small_benchmark)
    file = folder.run.root / "spent.json"
    file.write_text('{"seconds": 70.0, "searches": {"weave/flange": 50.0, "flange/weave": 20.0}}')
    assert folder.spent(["weave", "flange"]) == folder.spent(["flange", "weave"]) == 70
    folder.set_spent(["weave", "flange"], 90.0)
    assert folder.spent(["flange", "weave"]) == folder.spent() == 90
    for half in ("", '{"sec', "{}", "[]"):
        file.write_text(half)
        with pytest.raises(RunError, match=r"spent\.json is damaged; remove it"):
            folder.spent()


def test_a_plan_is_the_same_in_whatever_order_the_data_sets_are_named(
    small_benchmark: Path, config: Config, tmp_path: Path
) -> None:
    for name, category in (("one", "weave"), ("two", "flange")):
        shutil.copytree(small_benchmark / category, tmp_path / name / category)
    request = request_of(small_benchmark, tmp_path / "search", config, categories=())
    data = (str(tmp_path / "one"), str(tmp_path / "two"))
    plans = [job.plan(replace(request, data=order)) for order in (data, data[::-1])]
    assert [plan.groups for plan in plans] == [(("flange", "weave"),)] * 2


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
    for name, marked in ((".", False), ("final/default", False), *((f"final/{name}", True) for name in winners)):
        assert settings.is_oracle((root / name / "config.yaml").read_text()) is marked, name
    for name in ("summary.json", "search.json", "plan.json"):
        assert json.loads((root / name).read_text())["objective"] == "oracle", name
    for file in (root / "trials.parquet", root / "test.parquet", *(root / "trials" / "rows").iterdir()):
        assert set(pq.read_table(file).column("objective").to_pylist()) == {"oracle"}, file
    told = [event.text for event in events if event.stage == "tune"]
    scores = [words for words in told if re.search(r"\d\.\d", words)]
    assert any("after 6 steps" in words for words in scores)
    assert all("score (oracle)" in words for words in scores)
    assert sum("ORACLE: scored with the labels of the test images" in words for words in told) == 2


@pytest.mark.parametrize("oracle", [True, False])
def test_a_run_of_retrained_winners_is_marked_as_the_search_is(
    small_benchmark: Path, config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, oracle: bool
) -> None:
    monkeypatch.setattr(benchmark, "benchmark", lambda *_: (None, []))
    request = request_of(small_benchmark, tmp_path / "search", config, oracle=oracle)
    folder = SearchFolder(Run.create(request.run, [], config))
    retrain(folder, "winner", config, ["weave"], replace(request.as_benchmark(), oracle=oracle), lambda _: None)
    assert settings.is_oracle((tmp_path / "search" / "final" / "winner" / "config.yaml").read_text()) is oracle


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
    assert (card["trials_each"], card["rungs"], card["steps_at_most"]) == (5, [6, 18], 90)
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
    run, log, space = tmp_path / "run", tmp_path / "log", tmp_path / "space.yaml"
    # It makes no difference to this objective, so that ASHA finds the second trial as good as the first.
    space.write_text("objective.sparsity: [0.001, 0.002]\n")
    words = command(
        small_benchmark, run, "--set", "training.steps=40", "--first-rung", "4", "--trials", "2",
        "--final-seeds", "0", "--max-concurrent", "1", "--space", str(space),
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
