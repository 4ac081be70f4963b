"""Several data sets in one run folder: trained together, told apart, and the same ones whenever the run goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from raysuite.datasets.shards import Manifest
from raysuite.errors import ConfigError, DatasetError
from raysuite.pipelines.benchmark import Request, benchmark
from raysuite.pipelines.progress import Event
from raysuite.runs import Run
from raysuite.settings import preset, with_words

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

WORDS = ["data.image_size=64", "training.steps=4", "model.dilations=[1,2]"]


@pytest.fixture(scope="module")
def request_of_two(small_benchmark: Path, tmp_path_factory: pytest.TempPathFactory) -> Request:
    """A category in the MVTec layout, and one that is a plain folder of photographs."""
    home = tmp_path_factory.mktemp("several")
    woven, turned = home / "woven", home / "turned"
    shutil.copytree(small_benchmark / "weave", woven / "weave")
    shutil.copytree(small_benchmark / "flange" / "train" / "good", turned / "flange" / "good")
    for kind in (small_benchmark / "flange" / "ground_truth").iterdir():
        shutil.copytree(kind, turned / "flange" / "ground_truth" / kind.name)
        shutil.copytree(small_benchmark / "flange" / "test" / kind.name, turned / "flange" / kind.name)
    config = with_words(preset("tiny"), WORDS)
    return Request(run=str(home / "run"), data=(str(woven), str(turned)), config=config, arguments=("benchmark", "two"))


@pytest.fixture(scope="module")
def finished(request_of_two: Request) -> Request:
    benchmark(request_of_two, lambda _: None)
    return request_of_two


def test_all_categories_of_all_data_sets_are_trained_scored_and_reported(finished: Request) -> None:
    run = Run.open(finished.run)
    assert [(source.uri, source.layout) for source in run.sources] == list(
        zip(finished.data, ("mvtec", "folder"), strict=True)
    )
    assert [member.category for member in run.members() if member.is_evaluated] == ["flange", "weave"]
    assert all(member.metrics()["pixel_auroc"] is not None for member in run.members())
    manifest = Manifest.read(run.shards)
    assert manifest is not None
    assert {name: source.uri for name, source in manifest.sources.items()} == {
        "weave": finished.data[0],
        "flange": finished.data[1],
    }
    card = json.loads(Path(finished.run, "provenance.json").read_text())
    assert card["data"]["data_sets"] == manifest.data_sets
    page = Path(finished.run, "report.html").read_text()
    assert all(word in page for word in (*finished.data, ">weave<", ">flange<"))


def test_the_same_data_sets_in_another_order_leave_what_is_done(finished: Request) -> None:
    def times() -> dict[Path, int]:
        folders = [Path(finished.run, name) for name in ("weave", "flange", "shards")]
        return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*")}

    before, events = times(), list[Event]()
    benchmark(replace(finished, data=finished.data[::-1]), events.append)
    assert times() == before
    assert {event.stage for event in events if event.subject or event.stage == "shard"} == set()


def test_other_data_sets_than_those_of_the_run_are_refused_by_name(finished: Request, small_benchmark: Path) -> None:
    with pytest.raises(ConfigError, match=f"it has the data set '{finished.data[1]}', which is not named now"):
        benchmark(replace(finished, data=finished.data[:1]), lambda _: None)
    more = replace(finished, data=(*finished.data, str(small_benchmark)))
    with pytest.raises(DatasetError, match="both have a category 'flange'"):
        benchmark(more, lambda _: None)
    other = (finished.data[0], str(small_benchmark))
    told = f"it has the data set '{finished.data[1]}'.*it does not have the data set '{small_benchmark}'"
    with pytest.raises(ConfigError, match=told):
        benchmark(replace(finished, data=other, categories=("flange",)), lambda _: None)
