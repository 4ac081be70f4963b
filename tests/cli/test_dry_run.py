"""``--dry-run``: the plan is told, nothing is written, trained or started."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from raysuite.datasets.entries import Source
from raysuite.datasets.layouts import find_entries
from raysuite.pipelines import benchmark, trials
from raysuite.pipelines.tuning.plan import Request
from raysuite.planning import Node
from raysuite.runs import Run
from raysuite.settings import preset, to_mapping, with_words
from raysuite.storage import Location
from raysuite.tuning.trials import read_trials, rows_of, write_trial
from tests.reporting.run_folder import write_run_folder
from tests.reporting.search_folder import write_search_folder


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of known size, and a Ray that cannot be started unseen."""
    monkeypatch.setattr(benchmark, "this_machine", lambda: [Node("this machine", 2)])
    import ray

    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray was started"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


SMALL = ("--image-size", "64", "--set", "model.dilations=[1,2]")


def call(command: str, data: Path, run: Path, *words: str) -> Result:
    line = [command, str(data), "--run", str(run), "--preset", "tiny", *SMALL, "--dry-run", *words]
    return CliRunner().invoke(main, line)


@pytest.mark.parametrize("command", ["benchmark", "train"])
def test_a_dry_run_tells_the_plan_and_leaves_nothing(command: str, small_benchmark: Path, tmp_path: Path) -> None:
    result = call(command, small_benchmark, tmp_path / "run", "--seeds", "0-2")
    assert result.exit_code == 0, result.output
    assert "6 trainings, 2 at once, 1 CPU each" in result.stdout
    assert "this machine: 2 CPUs, 0 GPUs, holds 2 workers" in result.stdout
    assert result.stdout.count(" weave/seed-") == result.stdout.count(" flange/seed-") == 3
    first, *_ = result.stdout.splitlines()
    assert re.search(r"; about \d+ (s|min|h)( \d+ min)? by a trial of \d+ steps?$", first), first
    assert len(re.findall(r"^  now +\d+ (?:s|min|h)", result.stdout, re.MULTILINE)) == 2
    assert len(re.findall(r"^  in \d+ (?:s|min|h)", result.stdout, re.MULTILINE)) == 4
    assert not (tmp_path / "run").exists()


def test_longer_objectives_come_first_in_the_plan(small_benchmark: Path, tmp_path: Path) -> None:
    words = ("--json", "--category", "weave", "--objective", "plain", "--objective", "contractive")
    plan = json.loads(call("benchmark", small_benchmark, tmp_path / "run", *words).stdout)
    assert [row["run"] for row in plan["order"]] == ["weave/seed-0-contractive", "weave/seed-0-plain"]
    assert sum(row["length"] for row in plan["order"]) == pytest.approx(1)
    assert plan["each"] == {"workers": 1, "cpus": 1, "gpus": 0.0}
    seconds = [row["seconds"] for row in plan["order"]]
    assert plan["estimate"]["seconds"] == max(seconds) == seconds[0], "both start now"
    assert seconds[0] / sum(seconds) == pytest.approx(plan["order"][0]["length"])
    assert plan["estimate"]["trial_steps"] >= 1
    assert plan["estimate"]["seconds_a_step"] * 400 < seconds[0], "calibration comes after the steps"


def test_a_trial_that_fails_costs_the_estimate_and_not_the_plan(
    small_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("the GPU is on fire\nand more")

    monkeypatch.setattr(trials, "time_steps", fail)
    result = call("train", small_benchmark, tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "2 trainings, 2 at once, 1 CPU each; no estimate, as the trial failed: the GPU is on fire\n" in result.stdout
    assert "50.0%" in result.stdout, "the share of all work, where there are no times"


def test_a_dry_run_of_what_never_fits_is_refused_with_the_numbers(small_benchmark: Path, tmp_path: Path) -> None:
    result = call("benchmark", small_benchmark, tmp_path / "run", "--workers-per-category", "4")
    assert result.exit_code == 1
    assert "4 workers for each training take 4 CPUs, the cluster has 2" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_dry_run_counts_only_what_is_left_and_refuses_a_foreign_folder(small_benchmark: Path, tmp_path: Path) -> None:
    trained = tmp_path / "run" / "weave" / "seed-0" / "detector" / "detector.json"
    assert call("train", small_benchmark, tmp_path / "run").exit_code == 0
    trained.parent.mkdir(parents=True)
    trained.write_text("{}")
    refused = call("train", small_benchmark, tmp_path / "run")
    assert refused.exit_code == 1
    assert "no run folder" in refused.stderr

    listing = find_entries(Location.of(small_benchmark))
    Run.create(str(tmp_path / "other"), [listing.source], with_words(preset("tiny"), [SMALL[-1], "data.image_size=64"]))
    (tmp_path / "run" / "weave").rename(tmp_path / "other" / "weave")
    left = call("train", small_benchmark, tmp_path / "other")
    assert "1 training, 1 at once, 2 CPUs each" in left.stdout
    assert "flange/seed-0" in left.stdout
    assert "Nothing is left" in call("train", small_benchmark, tmp_path / "other", "--category", "weave").stdout


def tune(data: Path, folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["tune", str(data), "--run", str(folder), "--dry-run", *words])


def test_a_search_by_good_images_does_not_start_from_what_an_oracle_chose(
    small_benchmark: Path, tmp_path: Path
) -> None:
    config = with_words(preset("tiny"), [SMALL[-1], "data.image_size=64"])
    (tmp_path / "best.yaml").write_text(yaml.safe_dump({"oracle": True, "settings": to_mapping(config)}))
    Run.create(str(tmp_path / "made"), [Source("/data", "mvtec")], config, oracle=True)
    for file in (tmp_path / "best.yaml", tmp_path / "made" / "config.yaml"):
        words = (small_benchmark, tmp_path / "run", "--config", str(file), "--set", "training.steps=9")
        refused = tune(*words)
        assert refused.exit_code == 2, refused.output
        assert "--config has settings that were chosen with the labels of test images" in refused.stderr
        assert "or --objective oracle" in refused.stderr
        assert tune(*words, "--objective", "oracle").exit_code == 0
    assert tune(small_benchmark, tmp_path / "run", "--preset", "tiny", *SMALL).exit_code == 0
    assert Request(run="", data=(), config=config, oracle=True, from_oracle=True).as_benchmark().oracle


def made_as(data: Path, folder: Path) -> tuple[Run, list[str]]:
    """A run folder without anything in it, and the words that it is made with."""
    listing = find_entries(Location.of(data))
    config = with_words(preset("tiny"), [SMALL[-1], "data.image_size=64"])
    return Run.create(str(folder), [listing.source], config), ["--preset", "tiny", *SMALL]


@pytest.mark.parametrize("rest", ["shards/manifest.json", "weave/seed-0/metrics.json", "provenance.json"])
def test_a_search_takes_over_no_run(rest: str, small_benchmark: Path, tmp_path: Path) -> None:
    run, words = made_as(small_benchmark, tmp_path / "run")
    for draft in ("owner.json", "config.yaml.0123abcd.tmp", "search.json.0123abcd.tmp"):
        (tmp_path / "run" / draft).write_text("")
    killed = tune(small_benchmark, tmp_path / "run", *words)
    assert killed.exit_code == 0, f"a search killed before it was noted goes on: {killed.output}"
    (run.root / rest).write_text("{}")
    refused = tune(small_benchmark, tmp_path / "run", *words)
    assert refused.exit_code == 2, refused.output
    assert f"{run.root} is the folder of a run (raysuite train or benchmark), and of no search" in refused.stderr
    assert "take another --run folder" in refused.stderr
    other = tune(small_benchmark, tmp_path / "run", *words, "--steps", "7")
    assert "and of no search" in other.stderr, "the kind of folder is told before what differs"


@pytest.mark.parametrize("words", [["evaluate"], ["compare", "run"]])
def test_who_asks_for_the_figures_of_a_search_is_told_where_they_lie(
    words: list[str], small_benchmark: Path, tmp_path: Path
) -> None:
    run, _ = made_as(small_benchmark, tmp_path / "tuned")
    (run.root / "search.json").write_text("{}")
    write_run_folder(Location.of(tmp_path / "run"))
    line = [word if word != "run" else str(tmp_path / "run") for word in words]
    refused = CliRunner().invoke(main, [*line, str(tmp_path / "tuned")])
    assert refused.exit_code == 1, refused.output
    assert f"{run.root} is the folder of a search: " in refused.stderr
    assert f"{run.root}/final" in refused.stderr


@pytest.mark.parametrize("command", ["benchmark", "train"])
def test_a_run_takes_over_no_search(command: str, small_benchmark: Path, tmp_path: Path) -> None:
    run, words = made_as(small_benchmark, tmp_path / "run")
    (run.root / "search.json").write_text("{}")
    before = sorted(tmp_path.rglob("*"))
    for more in ((), ("--dry-run",)):
        line = [command, str(small_benchmark), "--run", str(tmp_path / "run"), *words, *more]
        refused = CliRunner().invoke(main, line)
        assert refused.exit_code == 2, refused.output
        assert f"{run.root} is the folder of a search (raysuite tune), not of a run; take another" in refused.stderr
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("rows_say", [True, False], ids=["", "rows of older versions"])
@pytest.mark.parametrize("oracle", [True, False])
def test_a_search_by_good_images_does_not_try_the_best_of_an_oracle_s(
    oracle: bool, rows_say: bool, small_benchmark: Path, tmp_path: Path
) -> None:
    earlier = write_search_folder(Location.of(tmp_path / "earlier"), oracle=oracle, is_over=False)
    if not rows_say:
        for record in read_trials(rows_of(earlier)):
            write_trial(rows_of(earlier), replace(record, objective=None))
    words = ("--preset", "tiny", *SMALL, "--space", "capacity", "--warm-start", str(earlier))
    good = tune(small_benchmark, tmp_path / "run", *words)
    assert good.exit_code == (2 if oracle else 0), good.output
    if oracle:
        assert f"--warm-start {earlier} is a search by the labels of test images" in good.stderr
        assert "or --objective oracle" in good.stderr
    assert tune(small_benchmark, tmp_path / "run", *words, "--objective", "oracle").exit_code == 0


@pytest.mark.parametrize("option", ["--set", "--fix"])
@pytest.mark.parametrize("weight", ["0.2", "0"])
def test_a_search_without_its_textures_is_refused_before_it_starts(
    option: str, weight: str, small_benchmark: Path, tmp_path: Path
) -> None:
    """Also where the start leaves them out: the search may not."""
    folder = tmp_path / "textures"
    words = ("--set", f"corruption.fills.texture.weight={weight}", option, f"corruption.fills.texture.folder={folder}")
    refused = call("tune", small_benchmark, tmp_path / "run", *words)
    assert refused.exit_code == 2
    assert f"corruption.fills.texture.folder is '{folder}', which cannot be read" in refused.stderr
