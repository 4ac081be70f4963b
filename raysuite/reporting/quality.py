"""What is wrong with the images of a run, from the columns of its shards: no image is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.compute as pc
import pyarrow.dataset as pads
from pyarrow import ArrowException

from raysuite.datasets.inspection import CategoryReport, inspect_rows
from raysuite.datasets.shards import Manifest, category_folder
from raysuite.errors import RunError
from raysuite.storage import Location

_COLUMNS = ("id", "split", "label", "defect", "height", "width", "mode", "sha256", "error")


def inspect_shards(shards: Location) -> tuple[CategoryReport, ...]:
    """A report a category of complete shards, in order; nothing if they are gone or cannot be read."""
    try:
        manifest = Manifest.read(shards)
        if manifest is None:
            return ()
        return tuple(inspect_rows(name, _rows(category_folder(shards, name))) for name in sorted(manifest.categories))
    except (RunError, OSError, ArrowException):
        return ()


def _rows(folder: Location) -> Iterator[dict[str, Any]]:
    data = pads.dataset(folder.path, filesystem=folder.fs, format="parquet", exclude_invalid_files=False)
    columns = {name: pads.field(name) for name in _COLUMNS if name in data.schema.names}
    # Whether there is a mask is all that is asked of it.
    columns["mask"] = pc.if_else(pads.field("mask").is_valid(), pc.scalar(True), pc.scalar(None))
    for batch in data.to_batches(columns=columns):
        yield from batch.to_pylist()


def leaks(reports: Sequence[CategoryReport]) -> list[str]:
    """A sentence for each category with images that are in training and in test."""
    return [f"{report.category}: {_leak(report)}" for report in reports if report.leaks]


def _leak(report: CategoryReport) -> str:
    n = len(report.leaks)
    return (
        f"{n} {'image is' if n == 1 else 'images are'} in training and in test, byte for byte: "
        f"what is measured on {'it' if n == 1 else 'them'} is worth nothing"
    )


def anomalies(report: CategoryReport) -> list[tuple[str, tuple[str, ...]]]:
    """What a person should look at, in sentences, each with the files that it is about."""
    found: list[tuple[str, tuple[str, ...]]] = []
    if report.leaks:
        found.append((_leak(report), tuple(" = ".join(group) for group in report.leaks)))
    if report.failures:
        n = len(report.failures)
        found.append(
            (f"{n} {'file' if n == 1 else 'files'} cannot be used", tuple(f"{i}: {why}" for i, why in report.failures))
        )
    if report.duplicates:
        n = len(report.duplicates)
        found.append(
            (
                f"{n} {'image is' if n == 1 else 'images are'} there more than once within a split",
                tuple(" = ".join(group) for group in report.duplicates),
            )
        )
    if report.missing_masks:
        n = len(report.missing_masks)
        found.append(
            (f"{n} {'defect has' if n == 1 else 'defects have'} no mask and no part in the pixel metrics",
             report.missing_masks)
        )  # fmt: skip
    if len(report.sizes) > 1:
        words = ", ".join(f"{width} × {height} ({n})" for height, width, n in report.sizes[:4])
        found.append((f"images are of {len(report.sizes)} sizes: {words}{' …' if len(report.sizes) > 4 else ''}", ()))
    if len(report.modes) > 1:
        words = ", ".join(f"{mode} ({n})" for mode, n in report.modes.items())
        found.append((f"images are of {len(report.modes)} pixel types: {words}", ()))
    return found
