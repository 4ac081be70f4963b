"""Which detector scores an item: by what a table says, by a pattern, or by a folder's name."""

from __future__ import annotations

from dataclasses import dataclass

from raysuite.archives.folders import matcher
from raysuite.archives.units import BadItemError, Item


@dataclass(frozen=True, slots=True)
class Routes:
    """From items to names of detectors.

    Attributes:
        models: Names of the detectors, which are those of their categories.
        patterns: ``(pattern, name)``: the first pattern that fits the item's id, or what follows a slash in it,
            decides.
    """

    models: tuple[str, ...]
    patterns: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse patterns that cannot be read: DatasetError."""
        for pattern, _ in self.patterns:
            matcher(pattern)

    def of(self, item: Item) -> str:
        """The name of the item's detector.

        In this order: the first pattern that fits; the category that a table says; the only detector, if there are no
        patterns; the innermost folder that is called like a detector, or ``category=`` and its name.

        Raises:
            BadItemError: There is none for it.
        """
        for pattern, name in self.patterns:
            if _fits(pattern, item):
                return name
        if item.category is not None and (item.category in self.models or len(self.models) > 1):
            if item.category in self.models:
                return item.category
            raise BadItemError(f"NoModel: {item.id} is of {item.category!r}, for which no model was given")
        if len(self.models) == 1 and not self.patterns:
            return self.models[0]
        for part in reversed(item.uri.replace("!/", "/").split("/")[:-1]):
            if (name := part.removeprefix("category=")) in self.models:
                return name
        raise BadItemError(f"NoModel: no pattern, category or folder of {item.id} names one of the models")


def _fits(pattern: str, item: Item) -> bool:
    return matcher(pattern).fullmatch(item.id) is not None or matcher(f"**/{pattern}").fullmatch(item.id) is not None
