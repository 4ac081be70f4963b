"""Reading shards: Parquet files of samples, one folder a category, with a manifest that says they are complete."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote

import pyarrow.parquet as pq

from raysuite.datasets.entries import Source
from raysuite.errors import RunError
from raysuite.storage import Location

MANIFEST = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a folder of shards holds; written last, so that its presence means completeness.

    Attributes:
        fingerprint: SHA-256 over the ids and contents of all samples, in order of their ids.
        categories: Category → counts: ``train``, ``test``, ``failed``.
        sources: Category → the data set that its images are from.
    """

    fingerprint: str
    categories: dict[str, dict[str, int]]
    sources: dict[str, Source]

    @property
    def data_sets(self) -> list[dict[str, Any]]:
        """A mapping a data set: ``uri``, ``layout`` and the names of its ``categories``."""
        found: dict[Source, list[str]] = {}
        for category, source in self.sources.items():
            found.setdefault(source, []).append(category)
        return [{**asdict(source), "categories": categories} for source, categories in found.items()]

    @classmethod
    def read(cls, shards: Location) -> Manifest | None:
        """The manifest of a folder of shards, or None if they are not complete."""
        file = shards / MANIFEST
        if not file.is_file():
            return None
        try:
            card = json.loads(file.read_text())
            # Runs of format 2 have one data set, and name it in keys of its own.
            data_sets = card["data_sets"] if "data_sets" in card else [{**card, "uri": card["source"]}]
            sources = {name: Source(one["uri"], one["layout"]) for one in data_sets for name in one["categories"]}
            return cls(card["fingerprint"], card["categories"], {name: sources[name] for name in card["categories"]})
        except (ValueError, TypeError, KeyError) as error:
            raise RunError(f"{file} is damaged; delete the folder {shards} and run the command again") from error

    def write(self, shards: Location) -> None:
        """Write it atomically."""
        card = {"data_sets": self.data_sets, "fingerprint": self.fingerprint, "categories": self.categories}
        (shards / MANIFEST).write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def category_folder(shards: Location, category: str) -> Location:
    """Where a category's shards lie: ``category=<name>``, the name percent-encoded as Hive partitions are."""
    return shards / f"category={quote(category, safe='')}"


def read_samples(
    shards: Location, category: str, split: str, ids: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Samples of a category and split as mappings of the sample schema, a small batch at a time.

    Args:
        shards: A folder of shards.
        category: Its name.
        split: ``train`` or ``test``.
        ids: Only these, if given.
    """
    folder = category_folder(shards, category)
    wanted = None if ids is None else set(ids)
    for name, is_dir in folder.children():
        if is_dir or not name.endswith(".parquet"):
            continue
        with pq.ParquetFile((folder / name).path, filesystem=folder.fs) as file:
            for batch in file.iter_batches(batch_size=16):
                for row in batch.to_pylist():
                    if row["split"] == split and (wanted is None or row["id"] in wanted):
                        yield {"category": category, **row}
