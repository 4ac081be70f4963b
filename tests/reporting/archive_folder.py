"""A small archive, really scored, without Ray: by the very functions that the workers and the driver call."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from raysuite.archives.listing import Listing
from raysuite.archives.routing import Routes
from raysuite.archives.tables import Columns
from raysuite.reporting.overlays import draw_overlays
from raysuite.scoring import scan as scans
from raysuite.scoring.models import find_models
from raysuite.scoring.parts import all_parts
from raysuite.scoring.scorer import Task, score_unit
from raysuite.scoring.tally import Tally
from raysuite.storage import Location
from tests.scoring.archive import encoded, picture, save_detector, write_pictures

HOSTILE = "<img src=x onerror=\"document.title='owned'\">'\n缺陷"


def write_archive(home: Path, *, overlays: int = 4) -> Location:
    """Score 24 pictures with two detectors, one of which has a name that would do harm; two more cannot be read.

    Returns:
        The output folder.
    """
    write_pictures(home / "in", 24)
    loud = picture(6)
    loud[::2] = 255
    (home / "in" / "line-1" / f"{HOSTILE}.png").write_bytes(encoded(loud))
    (home / "in" / "line-0" / "empty.png").write_bytes(b"")
    (home / "in" / "line-0" / f"{HOSTILE}.png").write_bytes(b"no image")
    names = ("weave", "<script>alert(3)")
    for name in names:
        save_detector(home / "run", name)
    models = {model.name: model for model in find_models((str(home / "run"),), 0.1)}
    out = Location.of(home / "out")
    scan = {"format": scans.FORMAT, "inputs": [str(home / "in")], "unit_size": 16}
    (out / scans.SCAN).write_text(json.dumps(scan))
    routes = (("**line-0/**", names[0]), ("**", names[1]))
    task = Task(out.uri, models, Routes(tuple(models), routes), "", 8)
    listing = Listing((str(home / "in"),), Columns("", "", ""), 16)
    for unit in listing.units():
        score_unit(unit, task, "cpu")
    tally = Tally(models, 20)
    for _, part in all_parts(out):
        tally.add(part)
    draw_overlays(out, tally.worst()[:overlays], models, None)
    summary = {
        "format": scans.FORMAT, "finished": "2026-01-02T03:04:05+00:00", "images": 27, **tally.as_mapping(),
        "bytes": 12_000_000, "skipped": {"txt": 1, "": 2}, "parts": 2, "superseded": 0, "maps": None,
    }  # fmt: skip
    (out / scans.SUMMARY).write_text(json.dumps(summary))
    return out


def noise(side: int, seed: int) -> bytes:
    """A JPEG that is as large as one of its size gets."""
    rng = np.random.default_rng(seed)
    return encoded(rng.integers(0, 256, (side, 2 * side, 3), dtype=np.uint8), "JPEG")
