"""What an archive is cut into: items, one an image, and units of work, a bounded number of items each.

A unit has two names. Its ``key`` says which place of the input it is, so that the same place has the same key whenever
it is listed. Its ``digest`` says what lay there, with sizes and times of change. Same key and other digest: something
has changed there since.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from raysuite.credentials import shown
from raysuite.errors import RaysuiteError


class BadItemError(RaysuiteError):
    """One item cannot be used; the text is its row's ``error``: a kind, a colon, a sentence."""


@dataclass(frozen=True, slots=True)
class Item:
    """One image of an archive, not read yet.

    Attributes:
        id: What people call it: its path within the input, or what a table says.
        uri: Where it lies; a member of an archive follows a ``!/``.
        category: What a table says it is of.
        size: Bytes, encoded, where known.
        modified: When it or its container was changed, as the filesystem tells it, where known.
        at: Where in its container, in the container's own terms (`raysuite.archives.tars`, ``zips``).
        error: Why it cannot be read, if the listing shows that already.
    """

    id: str
    uri: str
    category: str | None = None
    size: int | None = None
    modified: str | None = None
    at: tuple[int, ...] = ()
    error: str | None = None

    def failed(self, error: str) -> Item:
        """The same item with an error."""
        return replace(self, error=error)


@dataclass(frozen=True)
class Unit:
    """A bounded number of items that lie together: what one task scores and one output part holds.

    Attributes:
        kind: ``files``; ``tar`` or ``zip`` members; or ``rows`` of a Parquet file.
        source: The input it was found in, as given.
        container: Path or URI of the archive or Parquet file; empty for files.
        version: Size and time of change of the container.
        place: What tells it from the other units of its source; the same at each listing.
        items: Its items; none for rows, whose names are in the file.
        rows: Row group, first row and row behind the last, of rows.
        columns: Names of the columns of rows: image, id and category, the latter two empty if there are none.
    """

    kind: str
    source: str
    container: str
    version: str
    place: str
    items: tuple[Item, ...] = ()
    rows: tuple[int, int, int] = (0, 0, 0)
    columns: tuple[str, str, str] = ("", "", "")

    @property
    def count(self) -> int:
        """How many items it has."""
        return len(self.items) if self.kind != "rows" else self.rows[2] - self.rows[1]

    @property
    def size(self) -> int:
        """Bytes of its items, as far as they are known from the listing."""
        return sum(item.size or 0 for item in self.items)

    @cached_property
    def key(self) -> str:
        """Which place of the input it is: 32 hexadecimal digits."""
        return _hash([self.kind, self.source, self.container, self.place])

    @cached_property
    def digest(self) -> str:
        """What lay there when it was listed: 32 hexadecimal digits."""
        return _hash(self.as_list())

    def cut(self, first: int, end: int) -> Unit:
        """The unit of its items from ``first`` on, up to the one before ``end``: to be read, not to be a part."""
        if self.kind == "rows":
            group, start, _ = self.rows
            return replace(self, rows=(group, start + first, start + end))
        return replace(self, items=self.items[first:end])

    def as_list(self) -> list[Any]:
        """All of it, for JSON."""
        items = [[i.id, i.uri, i.category, i.size, i.modified, i.at, i.error] for i in self.items]
        return [self.kind, self.source, self.container, self.version, self.place, items, self.rows, self.columns]

    def to_json(self) -> str:
        """The unit as text, for a worker or a part."""
        return json.dumps(self.as_list(), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Unit:
        """Read what `to_json` wrote."""
        kind, source, container, version, place, items, rows, columns = json.loads(text)
        known = tuple(Item(i, u, c, s, m, tuple(at), e) for i, u, c, s, m, at, e in items)
        return cls(kind, source, container, version, place, known, tuple(rows), tuple(columns))


def _hash(value: list[Any]) -> str:
    # With other credentials it is the same place, and the same work.
    return hashlib.sha256(shown(json.dumps(value, ensure_ascii=False)).encode()).hexdigest()[:32]
