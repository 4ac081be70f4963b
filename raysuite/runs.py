"""The run folder: what is where, what is done, and which configuration it belongs to.

A step is done when its last file is there: shards when ``shards/manifest.json`` is, a training when
``detector/detector.json`` is, an evaluation when ``metrics.json`` is. All are written atomically, so that a run stopped
at any point is taken up by the same command.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import yaml

from raysuite import settings
from raysuite.config import OBJECTIVES, Config
from raysuite.datasets.entries import Source
from raysuite.errors import ConfigError, RunError, TextError
from raysuite.locks import FILE as OWNER_FILE
from raysuite.storage import Location

FORMAT_VERSION = 4
OLDEST_READ = 2
"""It names its one data set under ``source``; nothing else is different."""


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
        return mapping_in(self.detector / "detector.json") is not None

    @property
    def is_evaluated(self) -> bool:
        """Whether its metrics stand."""
        return mapping_in(self.folder / "metrics.json") is not None

    def metrics(self) -> dict[str, Any]:
        """What `is_evaluated` promises, as a mapping.

        Raises:
            RunError: It is not evaluated.
        """
        read = mapping_in(self.folder / "metrics.json")
        if read is None:
            raise RunError(f"{self.title} has no metrics in {self.folder}: run raysuite evaluate")
        return read

    def status(self) -> dict[str, Any]:
        """Its last recorded state; ``{"state": "pending"}`` if none was."""
        read = mapping_in(self.folder / "status.json") or {}
        return read if "state" in read else {"state": "pending"}

    def set_status(self, state: str, reason: str | None = None, **more: object) -> None:
        """Record a new state: ``pending``, ``training``, ``trained``, ``done`` or ``failed`` with its reason."""
        card = {"state": state, "reason": reason, "since": time.time(), **more}
        (self.folder / "status.json").write_text(json.dumps(card) + "\n")

    def progress(self) -> dict[str, Any]:
        """The last word of its training: step, loss, rate and more; empty if it has not said any."""
        return mapping_in(self.folder / "progress.json") or {}

    def set_progress(self, word: Mapping[str, Any]) -> None:
        """Record the last word of its training, for who looks at the folder, now or after all is over."""
        (self.folder / "progress.json").write_text(json.dumps(word) + "\n")


@dataclass(frozen=True, slots=True)
class Run:
    """An open run folder.

    Attributes:
        root: The folder.
        sources: The data sets, in the order they were first named in.
        config: The settings, with the run's own objective; `config_of` has those of a member.
    """

    root: Location
    sources: tuple[Source, ...]
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
            if card["format"] < OLDEST_READ:
                raise RunError(
                    f"{file} has format version {card['format']}, which this raysuite no longer reads; "
                    "take another run folder"
                )
            if card["format"] > FORMAT_VERSION:
                raise RunError(
                    f"{file} has format version {card['format']}, this raysuite reads up to {FORMAT_VERSION}; "
                    "upgrade it, or take another run folder"
                )
            config = settings.from_card(card)
            named = card["sources"] if card["format"] > OLDEST_READ else [card["source"]]
            return cls(root, tuple(Source(str(one["uri"]), str(one["layout"])) for one in named), config)
        except (yaml.YAMLError, ConfigError, TextError) as error:
            told = " ".join(str(error).split())
            raise RunError(f"{file} is damaged: {told}; take another run folder") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RunError(
                f"{file} is damaged: it has not the sources and settings that raysuite writes; take another run folder"
            ) from error

    @staticmethod
    def place(where: str) -> Location:
        """The folder that a run is to be made or gone on with in.

        Raises:
            RunError: The folder holds something else.
        """
        root = Location.of(where)
        # Another driver may be making a run here at this moment: its name and its drafts are nothing foreign, and once
        # there is more, its config.yaml stands, which is therefore looked for last.
        foreign = root.is_file() or (
            root.is_dir()
            and any(not name.lstrip(".").startswith((OWNER_FILE, "config.yaml")) for name, _ in root.children())
        )
        if foreign and not (root / "config.yaml").is_file():
            raise RunError(f"{where} is not empty and no run folder; take another --run folder")
        return root

    @classmethod
    def create(
        cls, where: str, sources: Sequence[Source], config: Config, *, oracle: bool = False, write: bool = True
    ) -> Run:
        """Make a run folder, or open the one that was made with the same data sets and settings.

        Args:
            where: The folder.
            sources: The data sets, in any order.
            config: The settings.
            oracle: Whether they were chosen with the labels of test images: then ``config.yaml`` says so in a way that
                `raysuite.settings.is_oracle` reads, for whoever takes it for ``--config``. Once said, it stands.
            write: Without it nothing is made: the run is what it would be.

        Raises:
            ConfigError: The folder belongs to another configuration.
            RunError: The folder holds something else.
        """
        root = cls.place(where)
        if (root / "config.yaml").is_file():
            there = cls.open(where)
            told = [
                *_differences(there.sources, sources),
                *(
                    f"{key} was {old!r} and is now {new!r}"
                    for key, (old, new) in settings.differences(there.config, config).items()
                ),
            ]
            if told:
                raise ConfigError(
                    f"{where} was made with another configuration: {'; '.join(told[:3])}. Take another --run folder"
                )
            if oracle and write:
                _mark(root / "config.yaml")
            return there
        if write:
            card = {
                "format": FORMAT_VERSION,
                **({"oracle": True} if oracle else {}),
                "sources": [asdict(source) for source in sources],
                "settings": settings.to_mapping(config),
            }
            (root / "config.yaml").write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True))
        return cls(root, tuple(sources), config)

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


def mapping_in(file: Location) -> dict[str, Any] | None:
    """What a JSON file holds; None if there is none, or only a part of one.

    A power cut may leave an empty or half file under its name: it is as good as not written, and is written anew.
    """
    if not file.is_file():
        return None
    try:
        read = json.loads(file.read_text())
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def _mark(file: Location) -> None:
    """Of settings that turn out to be an oracle's: the same ones were given before as somebody's own."""
    text = file.read_text()
    if not settings.is_oracle(text):
        card = {**yaml.safe_load(text), "oracle": True}
        file.write_text(yaml.safe_dump(card, sort_keys=False, allow_unicode=True))


def _differences(there: Sequence[Source], now: Sequence[Source]) -> list[str]:
    """What the data sets of a run and those of a command differ in, a clause each."""
    old, new = ({source.uri: source.layout for source in some} for some in (there, now))
    gone, come = [uri for uri in old if uri not in new], [uri for uri in new if uri not in old]
    if len(old) == len(new) == len(come) == 1:
        return [f"data was {gone[0]!r} and is now {come[0]!r}"]
    return [
        *(f"it has the data set {uri!r}, which is not named now" for uri in gone),
        *(f"it does not have the data set {uri!r}" for uri in come),
        *(
            f"layout of {uri!r} was {old[uri]!r} and is now {new[uri]!r}"
            for uri in old
            if uri in new and old[uri] != new[uri]
        ),
    ]
