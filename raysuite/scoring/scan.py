"""What an output folder belongs to, and when it is complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysuite.credentials import shown
from raysuite.errors import ConfigError, RunError
from raysuite.locks import FILE as OWNER_FILE
from raysuite.scoring.parts import FOLDER, SUPERSEDED
from raysuite.storage import Location

FORMAT = 1
SCAN, MANIFEST, SUMMARY = "scan.json", "manifest.json", "summary.json"


@dataclass(frozen=True, slots=True)
class Scan:
    """The settings that decide what stands in the rows: one output folder has one set of them.

    Attributes:
        inputs: As given, in order; what is written of them has no credentials.
        models: Name → ``digest``, ``false_alarm_rate`` and ``calibration_images``.
        patterns: Pattern and model of each route.
        columns: Image, id and category column of tables.
        maps: Kind of maps; empty for none.
        unit_size: Most items of a unit.
        overlap: Of tiles; None for none.
    """

    inputs: tuple[str, ...]
    models: Mapping[str, Mapping[str, Any]]
    patterns: tuple[tuple[str, str], ...]
    columns: tuple[str, str, str]
    maps: str
    unit_size: int
    overlap: float | None

    def as_mapping(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "format": FORMAT,
            "inputs": [shown(text) for text in self.inputs],
            "models": {name: dict(model) for name, model in self.models.items()},
            "routes": [list(pattern) for pattern in self.patterns],
            "columns": list(self.columns),
            "maps": self.maps,
            "unit_size": self.unit_size,
            "tile_overlap": self.overlap,
        }


def check_place(out: Location) -> None:
    """Refuse an output folder that holds something else.

    Raises:
        RunError: It does.
    """
    foreign = out.is_file() or (
        out.is_dir() and any(not name.lstrip(".").startswith((OWNER_FILE, SCAN)) for name, _ in out.children())
    )
    if foreign and not (out / SCAN).is_file():
        raise RunError(f"{out} is not empty and no scored archive; take another --output folder")


def is_begun(out: Location) -> bool:
    """Whether something was scored there.

    A command that ended before that, as when it was given a wrong column, leaves no claim on the folder.
    """
    return (out / SCAN).is_file() and any((out / name).is_dir() for name in (FOLDER, SUPERSEDED))


def claim(out: Location, scan: Scan) -> None:
    """Write ``scan.json``, or see that it says the same if something was scored by it.

    Raises:
        ConfigError: The folder belongs to a scan with other settings.
        RunError: It is damaged.
    """
    wanted = json.loads(json.dumps(scan.as_mapping()))
    if not is_begun(out):
        (out / SCAN).write_text(json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
        return
    # A folder of before they were concealed has the credentials of its inputs.
    there = read_card(out / SCAN)
    there["inputs"] = [shown(str(text)) for text in there.get("inputs") or ()]
    differing = [key for key in wanted if there.get(key) != wanted[key]]
    if "format" in differing:
        raise ConfigError(f"{out} was written by another version of raysuite; take another --output folder")
    if differing:
        key = differing[0]
        raise ConfigError(
            f"{out} was scored with other settings: {_difference(key, there, wanted)}; take another --output"
        )


def _difference(key: str, there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    if key != "models":
        return f"{key} was {there.get(key)!r} and is now {wanted[key]!r}"
    old, new = there.get(key) or {}, wanted[key]
    for name in sorted({*old, *new}):
        if name not in old or name not in new:
            return f"the model {name!r} is {'new' if name in new else 'not given now'}"
        for what in new[name]:
            if old[name].get(what) != new[name][what]:
                return f"{what} of the model {name!r} was {old[name].get(what)!r} and is now {new[name][what]!r}"
    return "the models"


def read_card(file: Location) -> dict[str, Any]:
    """A JSON file of the output folder.

    Raises:
        RunError: It is damaged.
    """
    try:
        card: dict[str, Any] = json.loads(file.read_text())
        card["format"]
        return card
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file} is damaged ({type(error).__name__}: {error}); take another --output folder") from error


def forget(out: Location, names: Sequence[str] = (MANIFEST,)) -> None:
    """Remove files that say that all is done: it is not any more."""
    for name in names:
        if (out / name).is_file():
            (out / name).fs.delete_file((out / name).path)
