"""After the search: its winners and the default retrained with fresh seeds, and every trial's net on the test images.

Here, and nowhere before, unless the search is an oracle's, test labels are read: for the report alone.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import ray
import torch

from raysuite.config import Config
from raysuite.datasets.shards import Manifest, category_folder
from raysuite.errors import RaysuiteError
from raysuite.locks import owned
from raysuite.pipelines import benchmark
from raysuite.pipelines.images import good_images
from raysuite.pipelines.progress import Event, Listener
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.judging import FIGURES, as_detector, figures_on_test
from raysuite.pipelines.tuning.trial import Brief
from raysuite.planning import Need
from raysuite.runs import Run, mapping_in
from raysuite.storage import Location
from raysuite.training.augmentation import choose_augmentation
from raysuite.training.checkpoints import averaged_net
from raysuite.tuning.objective import common_stride
from raysuite.tuning.trials import TrialRecord, read_trial

TEST = pa.schema(
    [
        ("number", pa.int64()),
        ("category", pa.string()),
        ("steps", pa.int64()),
        ("error", pa.string()),
        *((name, pa.float64()) for name in FIGURES),
        ("objective", pa.string()),
    ]
)
"""Columns of ``test.parquet``: figures as fractions, of each trial's last net, and what the search is scored by."""


def retrain(
    folder: SearchFolder,
    name: str,
    config: Config,
    categories: Sequence[str],
    request: benchmark.Request,
    on_event: Listener,
) -> list[dict[str, Any]]:
    """Train and evaluate some settings as ``raysuite benchmark`` would, in a run folder of their own.

    Args:
        folder: Of the search, whose shards are used.
        name: Of the run folder below `SearchFolder.finals`.
        config: The settings.
        categories: What to train.
        request: A `raysuite.pipelines.benchmark.Request`, of which data, seeds, resources and ``oracle`` are taken.
        on_event: Told of the progress.

    Returns:
        The rows of the run's metrics, of these categories and seeds.
    """
    where = folder.finals / quote(name, safe="")
    asked = replace(request, run=where.uri, config=config, categories=tuple(categories), objectives=())
    listings = benchmark.find_listings(asked)
    with owned(Run.place(where.uri)):
        run = Run.create(where.uri, [listing.source for listing in listings], config, oracle=asked.oracle)
        _share_shards(folder.run.shards, run.shards, categories)

    def tell(event: Event) -> None:
        if not event.subject:
            on_event(replace(event, text=f"{name}: {event.text}"))
            return
        standing = event.standing and replace(event.standing, category=f"{name}: {event.standing.category}")
        on_event(replace(event, subject=f"{name}: {event.subject}", standing=standing))

    _, rows = benchmark.benchmark(asked, tell)
    return [row for row in rows if row["category"] in categories and row["seed"] in request.seeds]


def _share_shards(there: Location, here: Location, categories: Sequence[str]) -> None:
    """Copy what is sharded already; the manifest comes last, as it says that all is there."""
    manifest = Manifest.read(there)
    if manifest is None or Manifest.read(here) is not None:
        return
    for category in categories:
        one, other = category_folder(there, category), category_folder(here, category)
        other.delete_dir()
        for name in one.walk():
            (other / name).write_bytes((one / name).read_bytes())
    Manifest(
        manifest.fingerprint,
        {category: manifest.categories[category] for category in categories},
        {category: manifest.sources[category] for category in categories},
    ).write(here)


def test_trials(
    folder: SearchFolder, brief: Brief, records: Sequence[TrialRecord], need: Need, on_event: Listener
) -> list[dict[str, Any]]:
    """What each trial's last net reaches on the test images, by tasks on the cluster; what is known is not done again.

    Args:
        folder: Of the search.
        brief: What all trials have in common; of ``categories`` nothing is used.
        records: The trials; those without a score are left out.
        need: What a task takes.
        on_event: Told of the progress.

    Returns:
        Rows of `TEST`, also left in ``test.parquet``.
    """
    scored = [record for record in records if record.reached is not None]
    rows = {(one.number, one.category): _tested(folder, one) for one in scored}
    todo = [one for one in scored if rows[one.number, one.category] is None]
    task = ray.remote(_test).options(num_cpus=need.cpus, num_gpus=need.gpus, max_retries=1)
    shared = ray.put(brief)
    waiting = {task.remote(shared, one.number, one.category): (one.number, one.category) for one in todo}
    while waiting:
        (ended,), _ = ray.wait(list(waiting), num_returns=1)
        number, category = key = waiting.pop(ended)
        try:
            rows[key] = ray.get(ended)
        except ray.exceptions.RayError as error:
            row = {"number": number, "category": category, "steps": None, "objective": brief.objective}
            rows[key] = {**row, "error": f"{type(error).__name__}", **dict.fromkeys(FIGURES)}
        done = len(todo) - len(waiting)
        on_event(Event("judge", "", done, len(todo), "trials' nets on the test images"))
    found = [row for row in rows.values() if row is not None]
    (folder.run.root / "test.parquet").write_table(pa.Table.from_pylist(found, schema=TEST))
    return found


def _file(folder: SearchFolder, number: int, category: str) -> Location:
    return folder.test / f"{number:06d}-{quote(category, safe='')}.json"


def _tested(folder: SearchFolder, record: TrialRecord) -> dict[str, Any] | None:
    """What is known of a trial, unless it has gone on since."""
    row = mapping_in(_file(folder, record.number, record.category))
    return row if row is not None and row.get("steps") == record.steps else None


def _test(brief: Brief, number: int, category: str) -> dict[str, Any]:
    """In a worker: a row of `TEST` of one trial."""
    torch.set_num_threads(brief.threads)
    folder = SearchFolder(Run.open(brief.run))
    device = torch.device("cuda" if torch.cuda.is_available() and ray.get_gpu_ids() else "cpu")
    row: dict[str, Any] = {"number": number, "category": category, "steps": None, "error": None}
    row |= {**dict.fromkeys(FIGURES), "objective": brief.objective}
    try:
        record = read_trial(folder.rows, number, category)
        if record is None:
            return {**row, "error": "its row is gone"}
        config = record.as_config()
        images = good_images(folder.run, category, config, brief.seed, common_stride(brief.space, brief.base))
        step, net = averaged_net(folder.work(number, category) / "checkpoint", config.model)
        row["steps"] = record.steps
        if step != record.steps:
            # Stopped between two rungs: its score is of an earlier net.
            return {**row, "error": f"its checkpoint is of step {step}"}
        crop = config.data.crop_size or config.data.image_size
        flips = choose_augmentation(config.augmentation, images.source.sample_NCHW, crop).flips
        detector = as_detector(net, category, config, images, device, brief.seed, flips)
        row |= figures_on_test(folder.run, detector)
    except RaysuiteError as error:
        return {**row, "error": str(error)}
    _file(folder, number, category).write_text(json.dumps(row) + "\n")
    return row
