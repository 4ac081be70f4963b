"""Counts of what became of images."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from raysuite.scoring.counting import FOUND, counted


def row(model: str | None, error: str | None, size: int | None) -> dict[str, Any]:
    return {"model": model, "error": error, "size": size}


def test_images_are_counted_by_model_and_kind_of_error_and_every_one_once() -> None:
    rows = [
        row("weave", None, 100),
        row("weave", None, 50),
        row("weave", "Undecodable: a.png: it is none", 7),
        row(None, "Unreadable: b.png: it is gone", None),
        row("flange", None, 1),
    ]
    found = counted(rows)
    assert found == [
        {"model": "weave", "kind": "", "images": 2, "bytes": 150},
        {"model": "weave", "kind": "Undecodable", "images": 1, "bytes": 7},
        {"model": "", "kind": "Unreadable", "images": 1, "bytes": 0},
        {"model": "flange", "kind": "", "images": 1, "bytes": 1},
    ]
    assert pa.array([found], FOUND).to_pylist() == [found], "they travel in a table"
    assert counted([]) == []
