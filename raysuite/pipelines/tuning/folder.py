"""The folder of a search: a run folder, whose settings are the start, with the trials and the outcome beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from raysuite.credentials import concealed
from raysuite.errors import ConfigError, RunError
from raysuite.locks import FILE as OWNER_FILE
from raysuite.runs import Run
from raysuite.storage import Location
from raysuite.tuning.standing import is_search
from raysuite.tuning.trials import rows_of

FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class SearchFolder:
    """What lies where in it.

    Attributes:
        run: The run that it is too; its shards are what all trials train on.
    """

    run: Run

    @property
    def rows(self) -> Location:
        """A file a trial and category (`raysuite.tuning.trials`)."""
        return rows_of(self.run.root)

    def work(self, number: int, category: str) -> Location:
        """Checkpoint and history of a trial's training."""
        return self.run.root / "trials" / "training" / f"{number:06d}-{quote(category, safe='')}"

    @property
    def test(self) -> Location:
        """What trials' nets reach on the test images, a file each; written when the search is over."""
        return self.run.root / "trials" / "test"

    @property
    def notes(self) -> Location:
        """Ray Tune's own, which are not needed again."""
        return self.run.root / ".ray"

    @property
    def finals(self) -> Location:
        """The run folders of the retrained winners and of the default."""
        return self.run.root / "final"

    @property
    def objective(self) -> str | None:
        """What its trials are scored by, ``good`` or ``oracle``, as it was noted when the search was begun.

        Raises:
            RunError: The note is damaged, or of another version.
        """
        return (self._noted() or {}).get("objective")

    def first(self) -> list[dict[str, Any]] | None:
        """Values that are tried first, as they were noted when the search was begun; ``None`` if it was not yet.

        Raises:
            RunError: The note is damaged, or of another version.
        """
        noted = self._noted()
        return None if noted is None else list(noted["first"])

    def check(self, card: Mapping[str, Any]) -> None:
        """See that a search that was begun here is this one.

        Args:
            card: What decides about the search: plain values.

        Raises:
            ConfigError: The folder belongs to another search.
            RunError: The note is damaged, or of another version.
        """
        there, now = self._noted(), json.loads(json.dumps(card))
        if there is None:
            return
        told = [
            f"{name} is not the same" if isinstance(now[name], dict | list)
            else f"{name} was {there.get(name)!r} and is now {now[name]!r}"
            for name in now if there.get(name) != now[name]
        ]  # fmt: skip
        if told:
            raise ConfigError(f"{self.run.root} has another search: {'; '.join(told)}. Take another --run folder")

    def claim(self, card: Mapping[str, Any], first: Sequence[Mapping[str, Any]]) -> None:
        """Note what decides about the search, unless it was noted when it was begun: then see that it is the same.

        Args:
            card: Plain values.
            first: Values that are tried first.

        Raises:
            ConfigError: The folder belongs to another search.
            RunError: The note is damaged, or of another version.
        """
        self.check(card)
        if self._noted() is None:
            now = {"format": FORMAT_VERSION, **card, "first": list(first)}
            (self.run.root / "search.json").write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n")

    def _noted(self) -> dict[str, Any] | None:
        file = self.run.root / "search.json"
        if not file.is_file():
            return None
        try:
            there: dict[str, Any] = json.loads(file.read_text())
            there["first"]
            if "warm_start" in there:
                # Older notes hold the credentials of its URIs; the search is the same one.
                there["warm_start"] = [concealed(where) for where in there["warm_start"]]
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file} is damaged; take another --run folder") from error
        if there.get("format") != FORMAT_VERSION:
            raise RunError(f"{file} is of another version of raysuite; take another --run folder")
        return there

    def note_plan(self, card: Mapping[str, Any]) -> None:
        """Note what the last command asked for, for whoever looks at the folder: it decides about nothing."""
        (self.run.root / "plan.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")

    def spent(self, categories: Sequence[str] | None = None) -> float:
        """Seconds that all commands have spent: on all searches, or on that of some categories.

        Raises:
            RunError: The note is damaged.
        """
        of = self._spent()
        return sum(of.values()) if categories is None else of.get(_name("/".join(categories)), 0.0)

    def set_spent(self, categories: Sequence[str], seconds: float) -> None:
        """Note what the search on some categories has spent."""
        of = {**self._spent(), _name("/".join(categories)): seconds}
        card = {"seconds": sum(of.values()), "searches": of}
        (self.run.root / "spent.json").write_text(json.dumps(card, ensure_ascii=False) + "\n")

    def _spent(self) -> dict[str, float]:
        file = self.run.root / "spent.json"
        if not file.is_file():
            return {}
        of: dict[str, float] = {}
        try:
            card = json.loads(file.read_text())
            for name, seconds in card.get("searches", {"": card["seconds"]}).items():
                of[_name(name)] = of.get(_name(name), 0.0) + float(seconds)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # A budget that began anew without a word could be spent several times.
            raise RunError(f"{file} is damaged; remove it, and --time-budget counts from its beginning") from error
        return of


def _name(categories: str) -> str:
    """Of a search in ``spent.json``: older versions wrote its categories in the order of the data sets."""
    return "/".join(sorted(categories.split("/")))


def check_no_other_run(root: Location) -> None:
    """See that nothing lies in a folder yet, or a search.

    A search that was stopped before it was noted leaves ``config.yaml`` alone; ``train`` and ``benchmark`` go on to
    write shards beside it.

    Raises:
        ConfigError: The folder is that of a run which is no search.
    """
    own = (".", OWNER_FILE, "config.yaml", "search.json")  # and their drafts
    if not is_search(root) and root.is_dir() and any(not name.startswith(own) for name, _ in root.children()):
        raise ConfigError(
            f"{root} is the folder of a run (raysuite train or benchmark), and of no search; take another --run folder"
        )
