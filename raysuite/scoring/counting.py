"""What became of images, in a few counts: by the model, and by what was wrong."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

FOUND = pa.list_(
    pa.struct([("model", pa.string()), ("kind", pa.string()), ("images", pa.int64()), ("bytes", pa.int64())])
)
"""Arrow type of what `counted` returns."""


def counted(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Count rows of a part.

    Args:
        rows: Of `raysuite.scoring.parts.SCHEMA`.

    Returns:
        For each pair that occurs: ``model``, empty if none was found; ``kind`` of the error, the word before its colon,
        empty if there is a score; ``images``; and ``bytes``, of their files, as far as they are known.
    """
    images: dict[tuple[str, str], list[int]] = {}
    for row in rows:
        kind = "" if row["error"] is None else row["error"].partition(":")[0]
        sums = images.setdefault((row["model"] or "", kind), [0, 0])
        sums[0] += 1
        sums[1] += row["size"] or 0
    return [
        {"model": model, "kind": kind, "images": count, "bytes": size}
        for (model, kind), (count, size) in images.items()
    ]
