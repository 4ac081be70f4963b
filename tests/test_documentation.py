"""What the documentation says of the settings, against the settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysuite.config import Config
from raysuite.settings import PRESETS, differences, to_mapping, with_words

SETTINGS = (Path(__file__).parent.parent / "docs" / "settings.md").read_text(encoding="utf-8")
OPEN_LISTS = ("model.dilations", "corruption.fills.shuffle.tiles")
"""Settings whose lists the table writes without brackets."""


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    parts = [flat(inner, f"{prefix}.{key}" if prefix else key) for key, inner in value.items()]
    return {key: inner for part in parts for key, inner in part.items()}


def tables() -> list[tuple[list[str], list[list[str]]]]:
    """The header and the rows of every table of docs/settings.md, cells without their backquotes."""
    found: list[tuple[list[str], list[list[str]]]] = []
    for block in re.findall(r"(?:^\|.*\n)+", SETTINGS, flags=re.MULTILINE):
        rows = [[cell.strip().replace("`", "") for cell in line.strip("|").split(" |")] for line in block.splitlines()]
        found.append((rows[0], rows[2:]))
    return found


def read(key: str, text: str) -> Any:
    if text == "empty":
        return ""
    return yaml.safe_load(f"[{text}]" if key in OPEN_LISTS else text)


def documented() -> dict[str, Any]:
    """Every setting that a table names, with its default there."""
    found: dict[str, Any] = {}
    for header, rows in tables():
        if header[:2] == ["setting", "default"]:
            found |= {row[0]: read(row[0], row[1]) for row in rows}
        elif header[1:4] == ["weight", "setting", "default"]:
            family = ""
            for row in rows:
                if row[0]:
                    family = row[0]
                    found[f"{family}.weight"] = read("", row[1])
                if row[2]:
                    found[f"{family}.{row[2]}"] = read(f"{family}.{row[2]}", row[3])
    return found


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    known = set(flat(to_mapping(Config()))) - {"preset"}
    assert set(documented()) == known


def test_every_documented_default_is_that_of_small() -> None:
    defaults = flat(to_mapping(PRESETS["small"]))
    for key, told in documented().items():
        wanted = {True: "on", False: "off"}.get(told, told) if isinstance(defaults[key], str) else told
        assert float(wanted) == defaults[key] if isinstance(defaults[key], float) else wanted == defaults[key], key


@pytest.mark.parametrize("name", PRESETS)
def test_presets_differ_in_what_their_table_says(name: str) -> None:
    header, rows = next((header, rows) for header, rows in tables() if name in header)
    column = header.index(name)
    settings = [row for row in rows if "." in row[0]]
    config = with_words(Config(preset=name), [f"{row[0]}={row[column]}" for row in settings])
    assert differences(config, PRESETS[name]) == {}
