"""What a data set holds: one entry an image, found by its layout and not read yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from raysuite.credentials import concealed
from raysuite.errors import DatasetError
from raysuite.storage import Location


@dataclass(frozen=True, slots=True)
class Entry:
    """One image of a data set.

    Attributes:
        id: The image's POSIX path relative to the data set's root.
        category: Name of its category.
        split: "train" or "test".
        label: 0 good, 1 defect, None unknown.
        defect: "good" or the kind of defect, None unknown.
        image: Path of the image, relative to the root.
        mask: Path of its mask, relative to the root; None where there is none.
    """

    id: str
    category: str
    split: str
    label: int | None
    defect: str | None
    image: str
    mask: str | None


@dataclass(frozen=True, slots=True)
class Source:
    """Where images come from: a data set, and how it is laid out. It names the data set, and nothing reads by it.

    Attributes:
        uri: Path or URI of its folder, with its credentials concealed: it is written to files that are shown and passed
            on. Two that differ in credentials alone are therefore the same one.
        layout: Name of its layout.
    """

    uri: str
    layout: str

    def __post_init__(self) -> None:
        # Also for what is read from a folder of before they were concealed, so that its run is still the same one.
        object.__setattr__(self, "uri", concealed(self.uri))


@dataclass(frozen=True, slots=True)
class Listing:
    """All images of a data set, in one order however the file system lists them.

    Attributes:
        layout: The layout that was found or named.
        root: The data set's folder; ids are relative to it.
        entries: Sorted by category, training images first, then by id.
    """

    layout: str
    root: Location
    entries: tuple[Entry, ...]

    @classmethod
    def sorted(cls, layout: str, root: Location, entries: Iterable[Entry]) -> Listing:
        """A listing in its one order."""
        ordered = sorted(entries, key=lambda entry: (entry.category, entry.split != "train", entry.id))
        return cls(layout, root, tuple(ordered))

    @property
    def source(self) -> Source:
        """Where the images come from."""
        return Source(str(self.root), self.layout)

    @property
    def categories(self) -> tuple[str, ...]:
        """Names of the categories, sorted."""
        return tuple(dict.fromkeys(entry.category for entry in self.entries))

    def of(self, category: str) -> tuple[Entry, ...]:
        """The entries of one category."""
        return tuple(entry for entry in self.entries if entry.category == category)


def checked_category(name: str, where: str) -> str:
    """The name, if a run may make a folder of it.

    Args:
        name: A folder's name, or what a split file says.
        where: What to blame in the sentence.

    Raises:
        DatasetError: The name could lead out of the run's folder, or cannot be a folder's name.
    """
    if name in {"", ".", ".."} or any(c in "/\\" or not c.isprintable() for c in name):
        raise DatasetError(f"{where}: {name!r} cannot be a category's name: give the folder another name")
    return name
