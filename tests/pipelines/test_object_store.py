"""The whole job from and to an object store: a real S3 server, in a process of its own, on this machine."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.fs as pafs
import pytest

from raysuite.datasets.decoding import decode_image
from raysuite.datasets.layouts import find_entries
from raysuite.datasets.shards import Manifest, read_samples
from raysuite.detection.detector import Detector
from raysuite.errors import StorageError
from raysuite.pipelines.benchmark import Request, benchmark
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.progress import Event
from raysuite.runs import Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("local_ray"),
    pytest.mark.skipif(importlib.util.find_spec("moto") is None, reason="moto, the S3 server, is not installed"),
]

CATEGORY = "weave №1 + a?b"
"""What a URI cannot hold as it is."""


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Host and port of an empty S3 server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        assert server.poll() is None, "the server ended at once"
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module")
def options(endpoint: str, small_benchmark: Path) -> str:
    """How URIs of this server end; its bucket holds a data set of one category."""
    store = pafs.S3FileSystem(endpoint_override=endpoint, scheme="http", allow_bucket_creation=True)
    store.create_dir("bucket")
    pafs.copy_files(
        str(small_benchmark / "weave"), f"bucket/data/{CATEGORY}", pafs.LocalFileSystem(), store, use_threads=False
    )
    return f"?endpoint_override={endpoint}&scheme=http"


def test_shards_in_a_bucket_hold_every_file_as_it_was(options: str, small_benchmark: Path) -> None:
    listing = find_entries(Location.of(f"s3://bucket/data{options}"), "auto", ())
    shards = Location.of(f"s3://bucket/shards{options}")
    manifest = shard([listing], shards)
    assert Manifest.read(shards) == manifest
    assert manifest.categories[CATEGORY]["failed"] == 0
    for split in ("train", "test"):
        samples = {sample["id"]: sample["image"] for sample in read_samples(shards, CATEGORY, split)}
        files = {
            f"{CATEGORY}/{path.relative_to(small_benchmark / 'weave')}": path.read_bytes()
            for path in (small_benchmark / "weave" / split).rglob("*.png")
        }
        assert samples == files


def test_benchmark_runs_from_bucket_to_bucket_and_goes_on_there(options: str) -> None:
    words = ["data.image_size=64", "training.steps=4", "training.log_every=2", "model.dilations=[1,2]"]
    config = with_words(preset("tiny"), words)
    request = Request(run=f"s3://bucket/runs/one{options}", data=(f"s3://bucket/data{options}",), config=config)
    _, rows = benchmark(request, lambda _: None)
    assert [(row["category"], row["status"], row["reason"]) for row in rows] == [(CATEGORY, "done", None)]
    root = Location.of(request.run)
    assert {"config.yaml", "provenance.json", "metrics.parquet", "metrics.md", "report.html", "shards", CATEGORY} == {
        name for name, _ in root.children()
    }

    member = Run.open(request.run).member(CATEGORY, 0)
    scores = (member.folder / "scores.parquet").read_table().to_pylist()
    data = Location.of(request.data[0])
    images = [decode_image((data / row["id"]).read_bytes()) for row in scores]
    scored = Detector.load(member.detector.uri).score(images)
    np.testing.assert_allclose(scored.scores, [row["score"] for row in scores], rtol=1e-4)

    before = json.loads((member.folder / "metrics.json").read_text())
    events: list[Event] = []
    benchmark(request, events.append)
    assert {event.stage for event in events} == {"report"}
    assert json.loads((member.folder / "metrics.json").read_text()) == before


def test_what_is_missing_in_a_bucket_is_named_with_its_uri(options: str) -> None:
    missing = Location.of(f"s3://bucket/nowhere{options}")
    for act in (missing.children, missing.read_bytes, missing.read_table):
        with pytest.raises(StorageError, match="bucket/nowhere"):
            act()
    assert not missing.is_file()
    assert not missing.is_dir()
