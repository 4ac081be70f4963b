"""Trainings that are killed and go on, and trainings by several workers, on a real Ray and in real processes."""

from __future__ import annotations

import logging
import multiprocessing
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch

from raysuite.config import Config
from raysuite.datasets.layouts import find_entries
from raysuite.detection.detector import Detector
from raysuite.errors import ClusterError, ConfigError
from raysuite.pipelines.benchmark import Request, train
from raysuite.pipelines.board import open_board
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.training import train_member
from raysuite.runs import Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location
from raysuite.training.accumulation import Accumulation

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

WORDS = [
    "data.image_size=64", "model.dilations=[1,2]", "detection.choice=fixed", "training.precision=float32",
    "training.steps=60", "training.log_every=4", "training.checkpoint_every=6", "training.batch_size=4",
]  # fmt: skip
TIMES = {"seconds", "images_per_second"}


@pytest.fixture(scope="module")
def config() -> Config:
    return with_words(preset("tiny"), WORDS)


@pytest.fixture(scope="module")
def sharded(small_benchmark: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with nothing in it but settings and shards; not to be written to."""
    root = tmp_path_factory.mktemp("runs") / "sharded"
    listing = find_entries(Location.of(small_benchmark), categories=("flange",))
    run = Run.create(str(root), [listing.source], config)
    shard([listing], run.shards)
    return root


@pytest.fixture(scope="module")
def undisturbed(sharded: Path) -> Path:
    """The same with the category trained by one worker without a stop."""
    root = sharded.with_name("undisturbed")
    shutil.copytree(sharded, root)
    train_here(str(root))
    return root


def request_for(root: Path, data: Path, config: Config, workers: int = 1) -> Request:
    return Request(
        run=str(root), data=(str(data),), config=config, categories=("flange",), workers_per_category=workers
    )


def history(root: Path) -> list[dict[str, float]]:
    rows = pq.read_table(root / "flange" / "seed-0" / "history.parquet").to_pylist()
    return [{name: value for name, value in row.items() if name not in TIMES} for row in rows]


def weights(root: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(root / "flange" / "seed-0" / "detector" / "weights.safetensors")


def train_here(root: str) -> None:
    torch.set_num_threads(1)
    run = Run.open(root)
    train_member(run, run.member("flange", 0), torch.device("cpu"))


def test_a_killed_training_goes_on_and_ends_as_if_nothing_had_been(
    sharded: Path, undisturbed: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = tmp_path / "run"
    shutil.copytree(sharded, root)
    worker = multiprocessing.get_context("spawn").Process(target=train_here, args=(str(root),))
    worker.start()
    card = root / "flange" / "seed-0" / "checkpoint" / "checkpoint.json"
    deadline = time.monotonic() + 120
    while not card.is_file() and worker.is_alive() and time.monotonic() < deadline:
        time.sleep(0.002)
    worker.kill()
    worker.join()
    assert card.is_file(), "it was killed after a checkpoint"
    assert not (root / "flange" / "seed-0" / "detector").exists(), "and before its end"
    with caplog.at_level(logging.INFO, "raysuite"):
        train_here(str(root))
    assert re.search(r"going on from step [1-9]", caplog.text)
    assert not card.parent.exists(), "the checkpoint is gone when the detector is there"
    assert history(root) == history(undisturbed)
    resumed, whole = weights(root), weights(undisturbed)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


def test_a_training_short_of_memory_says_so_once_on_the_board(
    sharded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray  # only now: raysuite sets its environment first

    root = tmp_path / "run"
    shutil.copytree(sharded, root)
    run, board = Run.open(str(root)), open_board()
    torch.set_num_threads(1)
    # Memory for two images: what needs more is refused where its gradients are computed.
    attempt = Accumulation._attempt

    def short(self: Accumulation, forward: Any, batch: Any, share: Any) -> torch.Tensor:
        if self.micro_batch > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return attempt(self, forward, batch, share)

    monkeypatch.setattr(Accumulation, "_attempt", short)
    member = run.member("flange", 0)
    train_member(run, member, torch.device("cpu"), board)
    ((key, words),) = ray.get(board.notes.remote(0))
    assert key == member.key
    assert words.startswith("4 images at once do not fit into memory: going on with micro-batches of 2")
    assert ray.get(board.notes.remote(1)) == [], "told once"
    assert Detector.load(member.detector).provenance["micro_batch"] == 2


def test_two_ray_workers_train_one_detector_as_one_would(
    sharded: Path, undisturbed: Path, small_benchmark: Path, config: Config, tmp_path: Path
) -> None:
    root = tmp_path / "run"
    shutil.copytree(sharded, root)
    words: list[str] = []
    _, failed = train(request_for(root, small_benchmark, config, 2), lambda event: words.append(event.text))
    assert not failed
    assert "1 training, 1 at once, 2 workers of 1 CPU each" in words
    detector = Detector.load(root / "flange" / "seed-0" / "detector")
    assert detector.provenance["workers"] == 2
    assert (detector.provenance["cuda_graph"], detector.provenance["cuda_graph_reason"]) == (False, "only GPUs replay")
    for found, wanted in zip(history(root)[:5], history(undisturbed)[:5], strict=True):
        # Rounding differs from the first step on, and the steps after make more of it.
        assert found == pytest.approx(wanted, rel=0.02)


def test_more_workers_than_can_share_a_batch_or_be_placed_are_refused(
    sharded: Path, small_benchmark: Path, config: Config, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"training\.batch_size is 4, which 3 workers"):
        train(request_for(tmp_path / "run", small_benchmark, config, 3), lambda _: None)
    assert not (tmp_path / "run").exists()
    shutil.copytree(sharded, tmp_path / "copy")
    with pytest.raises(ClusterError, match="4 CPUs, the cluster has 2; lower --workers-per-category"):
        train(request_for(tmp_path / "copy", small_benchmark, config, 4), lambda _: None)
