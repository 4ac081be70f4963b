"""The folder of a search: a run folder, whose settings are the start, with the trials and the outcome beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from raysuite.errors import ConfigError, RunError
from raysuite.runs import Run
from raysuite.storage import Location
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

    def claim(self, card: Mapping[str, Any], first: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Note what decides about the search, or see that it is what was noted when it was begun.

        Args:
            card: Plain values.
            first: Values that are tried first.

        Returns:
            Those that are tried first, as they were noted: an earlier search that they are from may have gone on.

        Raises:
            ConfigError: The folder belongs to another search.
            RunError: The note is damaged, or of another version.
        """
        file, now = self.run.root / "search.json", json.loads(json.dumps({"format": FORMAT_VERSION, **card}))
        if not file.is_file():
            now["first"] = json.loads(json.dumps(list(first)))
            file.write_text(json.dumps(now, indent=2, ensure_ascii=False) + "\n")
            return list(now["first"])
        try:
            there: dict[str, Any] = json.loads(file.read_text())
            noted: list[dict[str, Any]] = there.pop("first")
        except (ValueError, KeyError, AttributeError) as error:
            raise RunError(f"{file} is damaged; take another --run folder") from error
        if there.get("format") != FORMAT_VERSION:
            raise RunError(f"{file} is of another version of raysuite; take another --run folder")
        told = [
            f"{name} is not the same" if isinstance(now[name], dict | list)
            else f"{name} was {there.get(name)!r} and is now {now[name]!r}"
            for name in now if there.get(name) != now[name]
        ]  # fmt: skip
        if told:
            raise ConfigError(f"{self.run.root} has another search: {'; '.join(told)}. Take another --run folder")
        return noted

    def note_plan(self, card: Mapping[str, Any]) -> None:
        """Note what the last command asked for, for whoever looks at the folder: it decides about nothing."""
        (self.run.root / "plan.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")

    def spent(self) -> float:
        """Seconds that were spent on searching so far, over all commands."""
        file = self.run.root / "spent.json"
        return float(json.loads(file.read_text())["seconds"]) if file.is_file() else 0.0

    def set_spent(self, seconds: float) -> None:
        """Note what was spent."""
        (self.run.root / "spent.json").write_text(json.dumps({"seconds": seconds}) + "\n")
