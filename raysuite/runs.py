"""The run folder: what is where, what is done, and which configuration it belongs to.

A step is done when its last file is there: shards when ``shards/manifest.json`` is, a training when
``detector/detector.json`` is, an evaluation when ``metrics.json`` is. All are written atomically, so that a run stopped
at any point is taken up by the same command.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from raysuite import settings
from raysuite.config import OBJECTIVES, Config
from raysuite.errors import ConfigError, RunError
from raysuite.storage import Location

FORMAT_VERSION = 2


@dataclass(frozen=True, slots=True)
class Member:
    """One category, seed and objective of a run: the unit of training and of evaluation.

    Attributes:
        folder: Where its files lie.
        category: The category.
        seed: The seed.
        objective: The kind of objective that it is trained with.
    """

    folder: Location
    category: str
    seed: int
    objective: str

    @property
    def key(self) -> str:
        """What tells it from the other members of the run: ``grid/seed-0``, ``grid/seed-0-plain``."""
        return f"{self.category}/{self.folder.name}"

    @property
    def names(self) -> dict[str, Any]:
        """Its category, seed and objective."""
        return {"category": self.category, "seed": self.seed, "objective": self.objective}

    @property
    def title(self) -> str:
        """What people call it: ``grid seed 0``, ``grid seed 0 plain``."""
        return f"{self.category} {self.folder.name.replace('-', ' ')}"

    @property
    def detector(self) -> Location:
        """The folder of its detector."""
        return self.folder / "detector"

    @property
    def is_trained(self) -> bool:
        """Whether its detector is whole."""
        return (self.detector / "detector.json").is_file()

    @property
    def is_evaluated(self) -> bool:
        """Whether its metrics stand."""
        return (self.folder / "metrics.json").is_file()

    def metrics(self) -> dict[str, Any]:
        """What `is_evaluated` promises, as a mapping."""
        read: dict[str, Any] = json.loads((self.folder / "metrics.json").read_text())
        return read

    def status(self) -> dict[str, Any]:
        """Its last recorded state; ``{"state": "pending"}`` if none was."""
        file = self.folder / "status.json"
        read: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {"state": "pending"}
        return read

    def set_status(self, state: str, reason: str | None = None, **more: object) -> None:
        """Record a new state: ``pending``, ``training``, ``trained``, ``done`` or ``failed`` with its reason."""
        card = {"state": state, "reason": reason, "since": time.time(), **more}
        (self.folder / "status.json").write_text(json.dumps(card) + "\n")

    def progress(self) -> dict[str, Any]:
        """The last word of its training: step, loss, rate and more; empty if it has not said any."""
        file = self.folder / "progress.json"
        read: dict[str, Any] = json.loads(file.read_text()) if file.is_file() else {}
        return read

    def set_progress(self, word: Mapping[str, Any]) -> None:
        """Record the last word of its training, for who looks at the folder, now or after all is over."""
        (self.folder / "progress.json").write_text(json.dumps(word) + "\n")


@dataclass(frozen=True, slots=True)
class Run:
    """An open run folder.

    Attributes:
        root: The folder.
        source: Path or URI of the data set.
        layout: Name of its layout.
        config: The settings, with the run's own objective; `config_of` has those of a member.
    """

    root: Location
    source: str
    layout: str
    config: Config

    @classmethod
    def open(cls, where: str) -> Run:
        """Open an existing run folder.

        Raises:
            RunError: There is none, or its config cannot be read.
        """
        root = Location.of(where)
        file = root / "config.yaml"
        if not file.is_file():
            raise RunError(f"{where} is no run folder: it has no config.yaml; raysuite train or benchmark makes one")
        try:
            card = yaml.safe_load(file.read_text())
            if card["format"] < FORMAT_VERSION:
                raise RunError(
                    f"{file} has format version {card['format']}, which this raysuite no longer reads; "
                    "take another run folder"
                )
            if card["format"] > FORMAT_VERSION:
                raise RunError(
                    f"{file} has format version {card['format']}, this raysuite reads up to {FORMAT_VERSION}; "
                    "upgrade it, or take another run folder"
                )
            config = settings.from_mapping(card["settings"])
            return cls(root, str(card["source"]["uri"]), str(card["source"]["layout"]), config)
        except (yaml.YAMLError, ConfigError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(f"{file} is damaged ({type(error).__name__}: {error}); take another run folder") from error

    @classmethod
    def create(cls, where: str, source: str, layout: str, config: Config, *, write: bool = True) -> Run:
        """Make a run folder, or open the one that was made with the same data and settings.

        Without ``write`` nothing is made: the run is what it would be.

        Raises:
            ConfigError: The folder belongs to another configuration.
            RunError: The folder holds something else.
        """
        root = Location.of(where)
        if (root / "config.yaml").is_file():
            there = cls.open(where)
            changed: dict[str, tuple[Any, Any]] = dict(settings.differences(there.config, config))
            for key, old, new in (("layout", there.layout, layout), ("data", there.source, source)):
                if old != new:
                    changed = {key: (old, new), **changed}
            if changed:
                told = "; ".join(
                    f"{key} was {old!r} and is now {new!r}" for key, (old, new) in list(changed.items())[:3]
                )
                raise ConfigError(f"{where} was made with another configuration: {told}. Take another --run folder")
            return there
        if root.is_file() or (root.is_dir() and root.children()):
            raise RunError(f"{where} is not empty and no run folder; take another --run folder")
        if not write:
            return cls(root, source, layout, config)
        card = {
            "format": FORMAT_VERSION,
            "source": {"uri": source, "layout": layout},
            "settings": settings.to_mapping(config),
        }
        (root / "config.yaml").write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
        return cls(root, source, layout, config)

    @property
    def shards(self) -> Location:
        """Where the sharded images lie."""
        return self.root / "shards"

    def member(self, category: str, seed: int, objective: str | None = None) -> Member:
        """One category and seed, trained with the run's own objective if no other is named."""
        own = self.config.objective.kind
        kind = objective or own
        name = f"seed-{seed}" if kind == own else f"seed-{seed}-{kind}"
        return Member(self.root / category / name, category, seed, kind)

    def config_of(self, member: Member) -> Config:
        """The settings that a member is trained with.

        Raises:
            ConfigError: They do not allow its objective.
        """
        own = self.config.objective.kind
        return self.config if member.objective == own else settings.for_objective(self.config, member.objective)

    def members(self) -> list[Member]:
        """Every category, seed and objective that has a folder, in order; the run's own objective comes first."""
        own = self.config.objective.kind
        kinds = (own, *(kind for kind in OBJECTIVES if kind != own))
        found = []
        for category, is_dir in self.root.children():
            if not is_dir or category == "shards" or category.startswith("."):
                continue
            for name, is_dir_too in (self.root / category).children():
                match = re.fullmatch(r"seed-(\d+)(?:-([a-z]+))?", name)
                if match and is_dir_too and match[2] in {None, *kinds[1:]}:
                    found.append(self.member(category, int(match[1]), match[2]))
        return sorted(found, key=lambda member: (member.category, kinds.index(member.objective), member.seed))
