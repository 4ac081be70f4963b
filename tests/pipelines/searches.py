"""What tests of searches have in common: small settings, a space, a folder with shards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from raysuite.datasets.layouts import find_all
from raysuite.pipelines.ingest import shard
from raysuite.pipelines.tuning.folder import SearchFolder
from raysuite.pipelines.tuning.search import Manner
from raysuite.pipelines.tuning.trial import Brief
from raysuite.planning import Need
from raysuite.runs import Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location
from raysuite.tuning.space import Choice, Dimension, Float, Int, Space

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
CONFIG = with_words(preset("tiny"), WORDS)


def folder_in(root: Path, data: Path) -> SearchFolder:
    """A search's folder with its shards, before any trial."""
    listings = find_all([Location.of(str(data))], "auto", ())
    run = Run.create(str(root), [listing.source for listing in listings], CONFIG)
    shard(listings, run.shards)
    return SearchFolder(run)


def brief_of(folder: SearchFolder, *categories: str, **changes: Any) -> Brief:
    config = folder.run.config
    brief = Brief(folder.run.root.uri, config, SPACE.validated(config), categories, (2, 6, 18), 0, False, 1)
    return replace(brief, **changes)


def manner_of(**changes: Any) -> Manner:
    return replace(Manner("random", False, None, 1, None, 2, Need(1, 1, 0.0)), **changes)
