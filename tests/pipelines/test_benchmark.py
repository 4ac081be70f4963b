"""The whole job on a real Ray: what a run folder holds, and that a command goes on where it stopped."""

from __future__ import annotations

import json
import shutil
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import roc_auc_score

from raysuite.config import Config
from raysuite.datasets.decoding import decode_image, decode_mask
from raysuite.detection.detector import Detector
from raysuite.errors import ConfigError, DatasetError, RunError
from raysuite.locks import Owner
from raysuite.pipelines.benchmark import Request, at_work, benchmark, evaluate, train
from raysuite.pipelines.progress import Event
from raysuite.runs import Run
from raysuite.settings import is_oracle, preset, with_words
from raysuite.standing import standings
from raysuite.timeline import spans

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

WORDS = ["data.image_size=64", "training.steps=6", "training.log_every=2", "model.dilations=[1,2]"]


@pytest.fixture(scope="module")
def config() -> Config:
    return with_words(preset("tiny"), WORDS)


@pytest.fixture(scope="module")
def data(small_benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sound categories, with a truncated test image and a missing mask, and one whose images are all broken."""
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(small_benchmark, root, dirs_exist_ok=True)
    victim = root / "weave" / "test" / "good" / "000.png"
    victim.write_bytes(victim.read_bytes()[:100])
    next((root / "flange" / "ground_truth").glob("*/000_mask.png")).unlink()
    for index in range(3):
        broken = root / "void" / "train" / "good" / f"{index}.png"
        broken.parent.mkdir(parents=True, exist_ok=True)
        broken.write_text("nothing to see")
    return root


@pytest.fixture(scope="module")
def finished(data: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> tuple[Request, list[Event]]:
    run = tmp_path_factory.mktemp("runs") / "run"
    request = Request(run=str(run), data=(str(data),), config=config, seeds=(0,), arguments=("benchmark", "data"))
    events: list[Event] = []
    benchmark(request, events.append)
    return request, events


@pytest.mark.parametrize("oracle", [True, False])
def test_a_run_says_to_whoever_takes_its_settings_that_an_oracle_chose_them(
    small_benchmark: Path, config: Config, tmp_path: Path, oracle: bool
) -> None:
    request = Request(run=str(tmp_path / "run"), data=(str(small_benchmark),), config=config, oracle=oracle)
    with at_work(request):
        assert is_oracle((tmp_path / "run" / "config.yaml").read_text()) is oracle


def test_run_folder_holds_what_its_contract_says(finished: tuple[Request, list[Event]]) -> None:
    root = Path(finished[0].run)
    for category in ("weave", "flange"):
        names = {path.name for path in (root / category / "seed-0").iterdir()}
        assert names == {
            "detector", "history.parquet", "scores.parquet", "curves.parquet", "gallery.parquet", "metrics.json",
            "status.json", "progress.json", "timeline.json",
        }  # fmt: skip
    assert {"config.yaml", "provenance.json", "metrics.parquet", "report.html"} <= {
        path.name for path in root.iterdir()
    }
    card = json.loads((root / "provenance.json").read_text())
    assert card["commands"][0]["command"] == "raysuite benchmark data"
    assert len(card["data"]["fingerprint"]) == 64


def test_category_without_a_readable_image_fails_alone_and_says_why(finished: tuple[Request, list[Event]]) -> None:
    rows = {row["category"]: row for row in pq.read_table(Path(finished[0].run) / "metrics.parquet").to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {"weave": "done", "flange": "done", "void": "failed"}
    assert "category void has 0 readable good training images" in rows["void"]["reason"]
    assert rows["void"]["image_auroc"] is None


def test_run_that_ended_is_owned_by_nobody_and_keeps_the_last_word_of_each_training(
    finished: tuple[Request, list[Event]], config: Config
) -> None:
    run = Run.open(finished[0].run)
    assert Owner.of(run.root) is None
    seen = {member.category: member for member in standings(run, None)}
    assert {name: member.state for name, member in seen.items()} == {
        "weave": "done",
        "flange": "done",
        "void": "failed",
    }
    for name in ("weave", "flange"):
        last = pq.read_table(Path(finished[0].run) / name / "seed-0" / "history.parquet").to_pylist()[-1]
        assert (seen[name].step, seen[name].steps) == (last["step"], config.training.steps)
        assert seen[name].loss == last["loss"]
    assert seen["void"].step is None


def test_every_test_image_is_scored_or_has_an_error(finished: tuple[Request, list[Event]], data: Path) -> None:
    for category in ("weave", "flange"):
        rows = pq.read_table(Path(finished[0].run) / category / "seed-0" / "scores.parquet").to_pylist()
        files = {str(path.relative_to(data)) for path in (data / category / "test").glob("*/*.png")}
        assert {row["id"] for row in rows} == files
        assert len(rows) == len(files)
        assert all((row["score"] is None) != (row["error"] is None) for row in rows)
    broken = pq.read_table(Path(finished[0].run) / "weave" / "seed-0" / "scores.parquet").to_pylist()
    assert [row["id"] for row in broken if row["error"]] == ["weave/test/good/000.png"]


def test_image_auroc_is_that_of_the_scores(finished: tuple[Request, list[Event]]) -> None:
    folder = Path(finished[0].run) / "flange" / "seed-0"
    rows = pq.read_table(folder / "scores.parquet").to_pylist()
    metrics = json.loads((folder / "metrics.json").read_text())
    expected = roc_auc_score([row["label"] for row in rows], [row["score"] for row in rows])
    assert metrics["image_auroc"] == pytest.approx(expected, abs=1e-12)
    assert metrics["n_without_mask"] == 1


def test_every_try_and_scoring_is_in_a_timeline_with_what_it_took(finished: tuple[Request, list[Event]]) -> None:
    run = Run.open(finished[0].run)
    train, score, *_ = spans(run.member("weave", 0))
    assert (train["stage"], score["stage"]) == ("train", "evaluate")
    assert train["started"] < train["ended"] <= score["started"] < score["ended"]
    assert train["node"] == score["node"] == socket.gethostname()
    assert train["cpus"] >= 1
    assert train["peak_memory"] > 100e6
    assert train["reason"] is None
    tries = spans(run.member("void", 0))
    assert len(tries) >= 2
    assert all("0 readable good training images" in one["reason"] and one["ended"] for one in tries)


def test_defects_have_the_area_of_their_masks(finished: tuple[Request, list[Event]], data: Path) -> None:
    rows = pq.read_table(Path(finished[0].run) / "flange" / "seed-0" / "scores.parquet").to_pylist()
    assert all(row["area"] is None for row in rows if row["label"] == 0)
    known = [row for row in rows if row["area"] is not None]
    assert len(known) == sum(row["label"] == 1 for row in rows) - 1  # one has no mask
    mask = known[0]["id"].replace("/test/", "/ground_truth/").replace(".png", "_mask.png")
    assert known[0]["area"] == decode_mask((data / mask).read_bytes()).mean()


def test_loaded_detector_gives_the_scores_of_the_run(finished: tuple[Request, list[Event]], data: Path) -> None:
    folder = Path(finished[0].run) / "flange" / "seed-0"
    rows = pq.read_table(folder / "scores.parquet").to_pylist()
    detector = Detector.load(folder / "detector")
    scored = detector.score([decode_image((data / row["id"]).read_bytes()) for row in rows])
    np.testing.assert_allclose(scored.scores, [row["score"] for row in rows], rtol=1e-4)
    assert scored.anomalous.tolist() == [row["anomalous"] for row in rows]


def test_same_command_again_does_nothing_that_is_done(finished: tuple[Request, list[Event]]) -> None:
    root = Path(finished[0].run)

    def times() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for name in ("weave", "flange") for path in (root / name).rglob("*")}

    before = times()
    events: list[Event] = []
    benchmark(finished[0], events.append)
    assert times() == before
    assert not [event for event in events if event.stage == "shard"]
    trained = {event.subject for event in events if event.stage == "train" and event.subject}
    assert trained == {"void seed 0", "void seed 0 again"}


def test_lost_evaluation_is_done_again_without_training(finished: tuple[Request, list[Event]]) -> None:
    folder = Path(finished[0].run) / "weave" / "seed-0"
    before = (folder / "metrics.json").read_text()
    weights = (folder / "detector" / "weights.safetensors").stat().st_mtime_ns
    (folder / "metrics.json").unlink()
    rows = evaluate(finished[0].run, None, lambda _: None, worker_logs=False)
    again = json.loads((folder / "metrics.json").read_text())
    assert {k: v for k, v in again.items() if "seconds" not in k} == {
        k: v for k, v in json.loads(before).items() if "seconds" not in k
    }
    assert (folder / "detector" / "weights.safetensors").stat().st_mtime_ns == weights
    assert len(rows) == 3


def test_member_that_cannot_be_evaluated_fails_alone_and_says_why(
    finished: tuple[Request, list[Event]], tmp_path: Path
) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished[0].run, root)
    folders = {name: root / name for name in ("weave", "flange")}
    # One cannot be loaded where the images are scored; of the other, only the last step before the metrics fails.
    shutil.copytree(folders["flange"] / "seed-0", folders["flange"] / "seed-1")
    cut = folders["weave"] / "seed-0" / "detector" / "weights.safetensors"
    cut.write_bytes(cut.read_bytes()[:1000])
    card_file = folders["flange"] / "seed-1" / "detector" / "detector.json"
    card = json.loads(card_file.read_text())
    del card["provenance"]["validation"]
    card_file.write_text(json.dumps(card))
    for done in root.glob("*/seed-*/metrics.json"):
        done.unlink()
    events: list[Event] = []
    rows = {(row["category"], row["seed"]): row for row in evaluate(str(root), None, events.append, worker_logs=False)}
    assert rows["flange", 0]["status"] == "done"
    assert rows["flange", 0]["image_auroc"] is not None
    assert rows["weave", 0]["status"] == rows["flange", 1]["status"] == "failed"
    assert "weave/seed-0/detector is damaged" in rows["weave", 0]["reason"]
    assert "validation" in rows["flange", 1]["reason"]
    assert {event.subject for event in events if event.state == "failed"} == {"weave seed 0", "flange seed 1"}
    assert {member.state for member in standings(Run.open(str(root)), None) if member.category == "weave"} == {"failed"}


def test_further_objectives_join_the_run_and_what_is_done_is_kept(
    finished: tuple[Request, list[Event]], tmp_path: Path
) -> None:
    root = tmp_path / "run"
    shutil.copytree(finished[0].run, root)
    before = {path: path.stat().st_mtime_ns for path in (root / "weave" / "seed-0").rglob("*")}
    wider = replace(finished[0], run=str(root), categories=("weave",), objectives=("filter", "plain"))
    events: list[Event] = []
    _, rows = benchmark(wider, events.append)
    assert {event.subject for event in events if event.stage == "train" and event.subject} == {"weave seed 0 plain"}
    assert {path: path.stat().st_mtime_ns for path in (root / "weave" / "seed-0").rglob("*")} == before
    done = [(row["category"], row["objective"]) for row in rows if row["status"] == "done"]
    assert done == [("flange", "filter"), ("weave", "filter"), ("weave", "plain")]
    assert pq.read_table(root / "metrics.parquet")["objective"].to_pylist() == [row["objective"] for row in rows]

    detector = json.loads((root / "weave" / "seed-0-plain" / "detector" / "detector.json").read_text())
    assert detector["provenance"]["objective"] == "plain"
    assert detector["model"]["skip"] == "none"
    scores = {
        name: pq.read_table(root / "weave" / name / "scores.parquet").to_pylist() for name in ("seed-0", "seed-0-plain")
    }
    ids = [[row["id"] for row in rows] for rows in scores.values()]
    assert ids[0] == ids[1], "both scored the same images"
    assert scores["seed-0"] != scores["seed-0-plain"]
    assert "Image AUROC by objective" in (root / "metrics.md").read_text()


def test_objective_that_the_settings_forbid_is_refused_before_anything_is_written(tmp_path: Path, data: Path) -> None:
    config = with_words(preset("tiny"), [*WORDS, "model.bottleneck=4"])
    request = Request(run=str(tmp_path / "run"), data=(str(data),), config=config, objectives=("filter", "nonsense"))
    with pytest.raises(ConfigError, match=r"objective\.kind.*nonsense"):
        train(request, lambda _: None)
    assert not (tmp_path / "run").exists()


def test_other_settings_in_the_same_run_folder_are_refused_with_both_values(
    finished: tuple[Request, list[Event]],
) -> None:
    other = replace(finished[0], config=with_words(finished[0].config, ["training.steps=7"]))
    with pytest.raises(ConfigError, match=r"training\.steps was 6 and is now 7"):
        benchmark(other, lambda _: None)


def test_category_without_good_images_is_refused_before_anything_is_written(tmp_path: Path, data: Path) -> None:
    shutil.copytree(data / "weave" / "test", tmp_path / "data" / "lost" / "test")
    request = Request(run=str(tmp_path / "run"), data=(str(tmp_path / "data"),), config=preset("tiny"))
    with pytest.raises(DatasetError, match="lost"):
        train(request, lambda _: None)
    assert not (tmp_path / "run").exists()


def test_evaluating_what_is_no_run_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run folder"):
        evaluate(str(tmp_path), None, lambda _: None, worker_logs=False)
