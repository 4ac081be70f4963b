"""Categories that do not fit into memory: out of the shards in a stream, shuffled, and from any place of it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from raysuite.config import Config
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.pieces import Piece, find_pieces
from raysuite.datasets.shards import category_folder
from raysuite.detection.detector import Detector
from raysuite.errors import DatasetError
from raysuite.pipelines import streaming
from raysuite.pipelines.benchmark import Request, train
from raysuite.pipelines.images import good_images
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.training import train_member
from raysuite.runs import Member, Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

COUNT = 100
SIZE = (32, 32)
WORDS = [
    "data.image_size=32", "data.resident_gb=0.0001", "model.dilations=[1]", "detection.choice=fixed",
    "training.precision=float32", "training.steps=30", "training.log_every=5", "training.checkpoint_every=6",
    "training.batch_size=4",
]  # fmt: skip
TIMES = {"seconds", "images_per_second"}


@pytest.fixture(scope="module")
def config() -> Config:
    return with_words(preset("tiny"), WORDS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A category of plain images, each of a grey of its own, and of two that cannot be read."""
    folder = tmp_path_factory.mktemp("data") / "plates"
    folder.mkdir()
    for number in range(COUNT):
        Image.fromarray(np.full((*SIZE, 3), number, np.uint8)).save(folder / f"{number:03}.png")
    (folder / "042-empty.png").write_bytes(b"")
    (folder / "077-text.png").write_text("not an image")
    return folder


@pytest.fixture(scope="module")
def run(data: Path, config: Config, tmp_path_factory: pytest.TempPathFactory) -> Run:
    listing = find_entries(Location.of(data))
    made = Run.create(str(tmp_path_factory.mktemp("runs") / "run"), [listing.source], config)
    shard([listing], made.shards)
    return made


@pytest.fixture(scope="module")
def pieces(run: Run) -> list[Piece]:
    return find_pieces(run.shards, "plates")


@pytest.fixture
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three windows and more an epoch."""
    monkeypatch.setattr(streaming, "WINDOW_BYTES", 32 * 3 * SIZE[0] * SIZE[1])


def greys(run: Run, pieces: list[Piece], seed: int, taken: int, count: int) -> list[int]:
    """Which images the stream holds, from a place on."""
    stream = streaming.open_stream(category_folder(run.shards, "plates"), pieces, SIZE, seed, taken)

    def each() -> Iterator[int]:
        for images_NCHW in stream:
            yield from images_NCHW[:, 0, 0, 0].tolist()

    found = list(itertools.islice(each(), count))
    stream.close()
    return found


@pytest.mark.usefixtures("_small_windows")
def test_every_epoch_holds_each_readable_image_once_in_an_order_of_its_own(run: Run, pieces: list[Piece]) -> None:
    found = greys(run, pieces, 1, 0, 2 * COUNT)
    first, second = found[:COUNT], found[COUNT:]
    assert sorted(first) == sorted(second) == list(range(COUNT))
    assert first != second
    assert greys(run, pieces, 1, 0, COUNT) == first
    assert greys(run, pieces, 2, 0, COUNT) != first
    # Files that follow each other lie apart: 1.5 of 99 pairs would by chance.
    for order in (first, second):
        assert sum(abs(one - other) == 1 for one, other in itertools.pairwise(order)) < 12


@pytest.mark.usefixtures("_small_windows")
def test_from_any_place_on_the_stream_is_the_one_that_was_left(run: Run, pieces: list[Piece]) -> None:
    whole = greys(run, pieces, 1, 0, 2 * COUNT + 20)
    for taken in (5, 33, COUNT - 1, COUNT, 2 * COUNT + 7):
        assert greys(run, pieces, 1, taken, 10) == whole[taken : taken + 10]


@pytest.mark.usefixtures("_small_windows")
def test_windows_that_were_seen_are_not_read_again(run: Run, pieces: list[Piece], monkeypatch: Any) -> None:
    asked: list[int] = []

    def note(_folder: Location, some: list[Piece], _size: tuple[int, int]) -> Iterator[Any]:
        asked.append(sum(map(len, some)))
        return (np.zeros((len(piece), 3, *SIZE), np.uint8) for piece in some)

    monkeypatch.setattr(streaming, "decoded", note)
    greys(run, pieces, 1, 70, 1)
    assert COUNT - 70 <= asked[0] < COUNT - 32


def test_rows_of_neighbouring_files_lie_apart_and_alike_in_every_copy(
    run: Run, data: Path, pieces: list[Piece], tmp_path: Path
) -> None:
    copy = Location.of(tmp_path / "shards")
    shard([find_entries(Location.of(data))], copy)
    assert [piece.ids for piece in find_pieces(copy, "plates")] == [piece.ids for piece in pieces]
    assert len(pieces) >= COUNT // 20
    for piece in pieces:
        numbers = [int(name.removesuffix(".png")) for name in piece.ids]
        assert max(numbers) - min(numbers) > COUNT / 3


def test_each_image_of_a_streamed_category_has_one_task(run: Run, config: Config) -> None:
    images = good_images(run, "plates", config, seed=0)
    assert images.streamed
    parts = [part[:, 0, 0, 0].tolist() for part in (images.held_out_NCHW, images.validation_NCHW)]
    assert [len(part) for part in parts] == [10, 8]
    learnt = [int(images.source.take(torch.rand(1))[0, 0, 0, 0]) for _ in range(len(images.source))]
    images.source.close()
    assert sorted([*parts[0], *parts[1], *learnt]) == list(range(COUNT))
    assert set(images.train_NCHW[:, 0, 0, 0].tolist()) <= set(learnt)


def test_shards_that_are_gone_are_an_error_with_their_name(data: Path, tmp_path: Path) -> None:
    shards = Location.of(tmp_path / "shards")
    shard([find_entries(Location.of(data))], shards)
    pieces, folder = find_pieces(shards, "plates"), category_folder(shards, "plates")
    Path(folder.path, pieces[0].file).unlink()
    with pytest.raises(DatasetError, match=f"cannot be read any more.*{pieces[0].file}"):
        list(streaming.decoded(folder, pieces, SIZE))


def outcome(member: Member) -> tuple[list[dict[str, Any]], bytes]:
    rows = pq.read_table(f"{member.folder.path}/history.parquet").to_pylist()
    known = [{name: value for name, value in row.items() if name not in TIMES} for row in rows]
    return known, (member.detector / "weights.safetensors").read_bytes()


def test_a_streamed_training_that_was_stopped_ends_as_if_it_had_not_been(run: Run) -> None:
    torch.set_num_threads(1)
    cpu, member = torch.device("cpu"), run.member("plates", 1)

    def put(_key: str, word: dict[str, Any]) -> None:
        if word["step"] == 25:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_member(run, member, cpu, SimpleNamespace(put=SimpleNamespace(remote=put)))
    assert (member.folder / "checkpoint" / "checkpoint.json").is_file()
    train_member(run, member, cpu)
    stopped = outcome(member)
    member.folder.delete_dir()
    train_member(run, member, cpu)
    assert outcome(member) == stopped


def test_workers_that_leave_the_cluster_no_cpu_stream_a_category_to_a_detector(
    run: Run, data: Path, config: Config
) -> None:
    request = Request(run=run.root.uri, data=(str(data),), config=config, workers_per_category=2)
    words: list[str] = []
    _, failed = train(request, lambda event: words.append(event.text))
    assert not failed
    assert "1 training, 1 at once, 2 workers of 1 CPU each" in words, "the cluster has two CPUs"
    detector = Detector.load(run.member("plates", 0).detector)
    known = {"streamed": True, "workers": 2, "trained_images": 82, "validation_images": 8, "held_out_images": 10}
    assert {name: detector.provenance[name] for name in known} == known
