"""How much a stranger's archive may ask for."""

from __future__ import annotations

from dataclasses import dataclass

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what is read; what goes beyond becomes a row with an error.

    Attributes:
        item_bytes: Largest encoded image.
        members: Most members of one archive.
        header_bytes: Largest single header of an archive: a tar may claim a name of gigabytes.
        expansion: Most bytes that an archive unpacks to, in units of its own size.
        slack: Bytes that it may unpack to in any case.
    """

    item_bytes: int = 512 << 20
    members: int = 20_000_000
    header_bytes: int = 4 << 20
    expansion: int = 200
    slack: int = 1 << 30

    def unpacked(self, packed: int) -> int:
        """Most bytes that an archive of ``packed`` bytes may unpack to."""
        return self.slack + self.expansion * packed
