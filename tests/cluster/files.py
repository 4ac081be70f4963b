"""The files of cluster/, by what they are for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

CLUSTER = Path(__file__).parents[2] / "cluster"
REGISTRY = "registry.example.com/"


def all_files() -> list[Path]:
    """Every file, sorted."""
    return sorted(path for path in CLUSTER.rglob("*") if path.is_file())


def documents(name: str) -> list[dict[str, Any]]:
    """The documents of a YAML file below cluster/."""
    return list(yaml.safe_load_all((CLUSTER / name).read_text(encoding="utf-8")))


def document(name: str) -> dict[str, Any]:
    """The one document of a YAML file below cluster/."""
    (one,) = documents(name)
    return one


def values(tree: Any) -> Iterator[str]:
    """Every text in a YAML document, keys left out."""
    if isinstance(tree, dict):
        for inner in tree.values():
            yield from values(inner)
    elif isinstance(tree, list):
        for inner in tree:
            yield from values(inner)
    elif isinstance(tree, str):
        yield tree


def images(tree: Any) -> set[str]:
    """Every image of raysuite's that a YAML document names."""
    return {text for text in values(tree) if "raysuite:" in text}
