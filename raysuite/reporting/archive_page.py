"""A scored archive as one HTML file, from its ``summary.json`` alone: small and quick whatever the archive's size."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raysuite.datasets.decoding import decode_image
from raysuite.errors import DecodeError, RunError, StorageError
from raysuite.reporting import units
from raysuite.reporting.archive_figures import distribution_figure, pace_figure
from raysuite.reporting.html import FigureView, figure_view, render_page
from raysuite.reporting.images import data_uri, encode_webp
from raysuite.reporting.overlays import FOLDER
from raysuite.scoring.scan import SCAN, SUMMARY
from raysuite.storage import Location

PAGE = "summary.html"
PICTURE_BYTES = 3_000_000
"""Of all pictures in the page together; the worst images come first."""
PICTURE_SIDE = 480
MOST_WORST = 200

_STYLES = ("report.css", "search.css")
_SCRIPTS = ("report.js", "tables.js", "theme.js")


@dataclass(frozen=True, slots=True)
class ModelView:
    """What one detector found: its name, its part of the summary, and its distribution of scores."""

    name: str
    found: Mapping[str, Any]
    figure: FigureView | None


@dataclass(frozen=True, slots=True)
class WorstView:
    """One of the worst images, its score over its detector's threshold, and its picture as a data URI if drawn."""

    rank: int
    found: Mapping[str, Any]
    ratio: float | None
    picture: str | None


def is_archive(out: Location) -> bool:
    """Whether a folder is the output of ``raysuite score``."""
    return (out / SCAN).is_file()


def write_archive_page(out: Location) -> Location:
    """Write ``summary.html`` into a scored archive, and return where it lies.

    Raises:
        RunError: It was not scored to its end, or its summary is damaged.
        StorageError: The folder may not be written.
    """
    target = out / PAGE
    target.write_text(render_archive_page(out))
    return target


def render_archive_page(out: Location) -> str:
    """The summary of a scored archive as one HTML document.

    Raises:
        RunError: It was not scored to its end, or its summary is damaged.
    """
    if not (out / SUMMARY).is_file():
        raise RunError(f"{out} was not scored to its end: it has no {SUMMARY}; the same raysuite score goes on with it")
    try:
        summary, scan = (json.loads((out / name).read_text()) for name in (SUMMARY, SCAN))
        values = _values(out, summary, scan)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{out / SUMMARY} is damaged ({type(error).__name__}: {error}); score the archive again"
        ) from error
    return render_page("archive.html.j2", _STYLES, _SCRIPTS, values)


def _values(out: Location, summary: Mapping[str, Any], scan: Mapping[str, Any]) -> dict[str, Any]:
    models = [
        ModelView(
            name,
            found,
            figure_view(
                f"{index}-scores",
                "",
                f"Histogram of the scores that {name} gave, over its threshold, both axes logarithmic",
                distribution_figure(found),
            ),
        )
        for index, (name, found) in enumerate(summary["models"].items())
    ]
    pace = summary.get("pace") or {}
    width, bins = pace.get("bin_seconds", 1), pace.get("bins") or []
    errors = summary["errors"]
    return {
        "name": out.name,
        "summary": summary,
        "scan": {name: value for name, value in scan.items() if name not in {"format", "columns"} and value},
        "finished": str(summary["finished"]).replace("T", " ").replace("+00:00", " UTC"),
        # Most of them first; a detector that scored nothing has no panel.
        "models": sorted((one for one in models if one.found["scored"]), key=lambda one: -one.found["scored"]),
        "idle": [one.name for one in models if not one.found["scored"]],
        "errors": errors,
        "other_errors": summary["failed"] - sum(one["count"] for one in errors.values()),
        "worst": _worst(out, summary),
        "pace": figure_view(
            "pace", "Images a second over time", "Images a second by the time of scoring", pace_figure(pace)
        ),
        # Of the times alone in which something was scored: between two commands nothing was.
        "rate": sum(images for _, images, _ in bins) / (width * len(bins)) if bins else None,
        "active_seconds": width * len(bins) if bins else None,
        "rate_of": units.rate,
        "duration": units.duration,
        "size": units.size,
    }


def _worst(out: Location, summary: Mapping[str, Any]) -> list[WorstView]:
    drawn = _drawn(out)
    thresholds = {name: model["threshold"] for name, model in summary["models"].items()}
    left, views = PICTURE_BYTES, list[WorstView]()
    for rank, found in enumerate(summary["worst"][:MOST_WORST], 1):
        threshold = thresholds.get(found["model"])
        picture = _small(drawn[rank]) if rank in drawn and left > 0 else None
        if picture is not None:
            left -= len(picture)
            # Once one is too large all after it are left out, or the page would have gaps that nobody understands.
            picture = picture if left >= 0 else None
        views.append(WorstView(rank, found, found["score"] / threshold if threshold else None, data_uri(picture)))
    return views


def _drawn(out: Location) -> dict[int, Location]:
    """Overlays by the rank of their image, which their names begin with."""
    folder = out / FOLDER
    if not folder.is_dir():
        return {}
    found = {}
    for name, is_dir in folder.children():
        if not is_dir and (match := re.match(r"(\d{4,})-.*\.jpg$", name)):
            found[int(match[1])] = folder / name
    return found


def _small(file: Location) -> bytes | None:
    try:
        return encode_webp(decode_image(file.read_bytes()), PICTURE_SIDE)
    except (DecodeError, StorageError):
        return None
