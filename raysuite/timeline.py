"""Who worked on a member of a run, where, from when to when, and what it took: a line a try, kept in the run folder."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from raysuite.errors import StorageError
from raysuite.runs import Member

FILE = "timeline.json"

_log = logging.getLogger(__name__)


def spans(member: Member) -> list[dict[str, Any]]:
    """The lines of a member, in the order in which they were begun; none where nothing, or nothing sound, was written.

    Each has ``stage`` (``train`` or ``evaluate``), ``node``, ``started``, and ``ended``, which is null if the work was
    killed; and what `raysuite.metering.Meter.read` and its writer knew besides.
    """
    try:
        file = member.folder / FILE
        read = json.loads(file.read_text()) if file.is_file() else []
    except (StorageError, ValueError):
        return []
    if not isinstance(read, list):
        return []
    sound = [o for o in read if isinstance(o, dict) and isinstance(o.get("started"), int | float) and o.get("stage")]
    return sorted(sound, key=lambda one: float(one["started"]))


def write_span(member: Member, span: Mapping[str, Any]) -> None:
    """Add a line, or replace the one of the same stage, node and start.

    Work does not end because it cannot be noted down: a folder that may not be written to is logged.
    """
    same = ("stage", "node", "started")
    kept = [one for one in spans(member) if any(one.get(name) != span[name] for name in same)]
    try:
        (member.folder / FILE).write_text(json.dumps([*kept, dict(span)]) + "\n")
    except StorageError as error:
        _log.warning("the timeline is not recorded: %s", error)


def spans_by_node(blocks: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines for an evaluation: when each node scored images, and for how many seconds of one worker.

    Args:
        blocks: ``node``, ``started`` and ``ended`` of each batch of images.
    """
    by_node: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for block in blocks:
        by_node[block["node"]].append(block)
    for node, some in sorted(by_node.items()):
        yield {
            "stage": "evaluate",
            "node": node,
            "started": min(block["started"] for block in some),
            "ended": max(block["ended"] for block in some),
            "busy_seconds": sum(block["ended"] - block["started"] for block in some),
        }
