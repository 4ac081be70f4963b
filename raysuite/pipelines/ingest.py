"""Files of a data set → shards, through Ray Data: read and checked in tasks, streamed to Parquet."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import ray.data

from raysuite.datasets.entries import Entry, Listing, Source
from raysuite.datasets.reading import read_sample
from raysuite.datasets.schema import SAMPLE_SCHEMA
from raysuite.datasets.shards import Manifest, category_folder
from raysuite.errors import DatasetError, StorageError
from raysuite.locks import owned
from raysuite.pipelines.progress import Event, Listener
from raysuite.storage import Location

FILES_PER_BLOCK = 64


def shard(listings: Sequence[Listing], shards: Location, on_event: Listener = lambda _: None) -> Manifest:
    """Write data sets as Parquet shards, one folder a category; files that cannot be read become rows with an error.

    Complete shards of the same categories are left as they are. Incomplete ones, from a run that was stopped, are
    written anew.

    Args:
        listings: What to write; each category is of one of them.
        shards: Where to; local or on any pyarrow filesystem that all workers reach.
        on_event: Told of the progress.

    Raises:
        DatasetError: The folder holds complete shards of other or since changed data, or rows were lost on the way.
        RunError: Another command writes there.
        StorageError: The shards cannot be written, or the storage of the images failed.
    """
    there, missing = _looked_up(listings, shards)
    if there is not None and not missing:
        return there
    with owned(shards, "OUTPUT"):
        # Another command may have written them since.
        there, missing = _looked_up(listings, shards)
        return there if there is not None and not missing else _written(listings, there, missing, shards, on_event)


def _looked_up(listings: Sequence[Listing], shards: Location) -> tuple[Manifest | None, dict[str, Listing]]:
    """What is there, and the listing of each category that is not."""
    there = Manifest.read(shards)
    wanted = {category: listing for listing in listings for category in listing.categories}
    if there is None:
        return None, wanted
    for category in wanted.keys() & there.categories.keys():
        _check_source(wanted[category].source, category, there.sources[category], shards)
        _check_unchanged(wanted[category], category, there.categories[category], shards)
    return there, {category: listing for category, listing in wanted.items() if category not in there.categories}


def _written(
    listings: Sequence[Listing],
    there: Manifest | None,
    missing: dict[str, Listing],
    shards: Location,
    on_event: Listener,
) -> Manifest:
    sources = dict(there.sources) if there is not None else {}
    for category in missing:
        # What a stopped run left behind would be there twice.
        category_folder(shards, category).delete_dir()
    roots = {category: str(listing.root) for category, listing in missing.items()}
    entries = [entry for listing in listings for entry in listing.entries if entry.category in missing]
    on_event(Event("shard", "", 0, len(entries), f"{len(entries)} files of {len(missing)} categories"))
    _write(roots, entries, shards)
    sources |= {category: listing.source for category, listing in missing.items()}
    manifest = _manifest(sources, shards)
    counted = sum(sum(manifest.categories[c][k] for k in ("train", "test")) for c in missing)
    if counted != len(entries):
        raise DatasetError(
            f"{len(entries)} files went in, but {shards} has {counted} rows of them; delete it and rerun"
        )
    manifest.write(shards)
    failed = sum(counts["failed"] for counts in manifest.categories.values())
    text = f"{counted} files sharded" + (f", {failed} of them unreadable" if failed else "")
    on_event(Event("shard", "", len(entries), len(entries), text, "done"))
    return manifest


def _check_source(now: Source, category: str, then: Source, shards: Location) -> None:
    if now != then:
        raise DatasetError(
            f"{shards} has category {category} of {then.uri} (layout {then.layout}), not of {now.uri} "
            f"(layout {now.layout}); take another folder"
        )


def _check_unchanged(listing: Listing, category: str, counts: dict[str, int], shards: Location) -> None:
    """Files that came or went since the shards were written would be scored, or missing, without anyone knowing."""
    now = Counter(entry.split for entry in listing.of(category))
    if any(now[split] != counts[split] for split in ("train", "test")):
        raise DatasetError(
            f"category {category} has {now['train']} training and {now['test']} test images, but its shards in "
            f"{shards} have {counts['train']} and {counts['test']}: the data has changed, so take a new folder"
        )
    try:
        rows = _columns(shards, category, ["id", "split", "label"])
    except (OSError, pa.ArrowException):
        return  # whoever reads the images will say so, and the other categories go on
    then = {row["id"]: (row["split"], row["label"]) for row in rows}
    files = {entry.id: (entry.split, entry.label) for entry in listing.of(category)}
    if len(then) != len(rows):
        raise DatasetError(f"the shards of category {category} in {shards} have rows twice: delete them and rerun")
    # As many files as before may be others, such as defects that were sorted anew.
    for name in sorted(then.keys() | files.keys()):
        if then.get(name) != files.get(name):
            what = "came" if name not in then else "went" if name not in files else "got another split or label"
            raise DatasetError(
                f"{name} of category {category} {what} since its shards in {shards} were written: the data has "
                "changed, so take a new folder"
            )


def _write(roots: dict[str, str], entries: list[Entry], shards: Location) -> None:
    blocks = [pa.Table.from_pylist([_plain(entry) for entry in some], schema=_LISTING) for some in _blocks(entries)]
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False

    def read(batch: pa.Table) -> pa.Table:
        entries = [Entry(**row) for row in batch.to_pylist()]
        places = {name: Location.of(roots[name]) for name in {entry.category for entry in entries}}
        rows = [read_sample(places[entry.category], entry) for entry in entries]
        return pa.Table.from_pylist(rows, schema=SAMPLE_SCHEMA)

    # 16 files a call bound the memory of a task to 16 encoded and one decoded image.
    made = ray.data.from_arrow(blocks).map_batches(read, batch_size=16, batch_format="pyarrow")
    try:
        made.write_parquet(shards.path, filesystem=shards.fs, partition_cols=["category"], compression="zstd")
    except (OSError, ray.exceptions.RayError) as error:
        if (cause := _of_storage(error)) is None:
            raise
        raise StorageError(f"cannot read all images or write {shards}: {cause.strerror or cause}") from error


def _of_storage(error: BaseException | None) -> OSError | None:
    """The error of the filesystem that another one, of a task or of Ray Data, is about; None if there is none."""
    while error is not None:
        if isinstance(error, OSError) and not isinstance(error, ray.exceptions.RayError):
            return error
        error = getattr(error, "cause", None) or error.__cause__
    return None


def _blocks(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    """What becomes a row group each: training or test images of one category, a random sample of them.

    Files that follow each other are often of one day, or one film. In the order of a hash of their ids they are not, so
    that a stream of row groups is a shuffled one; and it is the same order whenever they are written again.
    """
    shuffled = sorted(entries, key=lambda entry: hashlib.sha256(entry.id.encode()).digest())
    shuffled.sort(key=lambda entry: (entry.category, entry.split != "train"))
    for _, alike in groupby(shuffled, key=lambda entry: (entry.category, entry.split)):
        rest = list(alike)
        yield from (rest[start : start + FILES_PER_BLOCK] for start in range(0, len(rest), FILES_PER_BLOCK))


def _plain(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in _LISTING.names}


_LISTING = pa.schema(
    [
        ("id", pa.string()),
        ("category", pa.string()),
        ("split", pa.string()),
        ("label", pa.int8()),
        ("defect", pa.string()),
        ("image", pa.string()),
        ("mask", pa.string()),
    ]
)


def _columns(shards: Location, category: str, columns: list[str]) -> list[dict[str, Any]]:
    """Some columns of all rows of a category; the images are not read."""
    folder = category_folder(shards, category)
    files = pads.dataset(folder.path, filesystem=folder.fs, format="parquet", exclude_invalid_files=False)
    rows: list[dict[str, Any]] = files.to_table(columns=columns).to_pylist()
    return rows


def _manifest(sources: dict[str, Source], shards: Location) -> Manifest:
    """Count what was written, and take its fingerprint: ids and hashes alone are read, no image."""
    counts: dict[str, dict[str, int]] = {}
    contents: list[tuple[str, str]] = []
    for category in sorted(sources):
        rows = _columns(shards, category, ["id", "split", "sha256", "error"])
        splits = Counter(row["split"] for row in rows)
        failed = sum(row["error"] is not None for row in rows)
        counts[category] = {"train": splits["train"], "test": splits["test"], "failed": failed}
        contents += [(row["id"], row["sha256"] or "") for row in rows]
    digest = hashlib.sha256()
    for identity, content in sorted(contents):
        digest.update(f"{identity}\0{content}\n".encode())
    return Manifest(digest.hexdigest(), counts, {category: sources[category] for category in counts})
