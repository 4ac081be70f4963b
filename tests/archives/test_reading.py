"""What lies at a place when it is read is what was listed there."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raysuite.archives.limits import Limits
from raysuite.archives.listing import Listing, is_local
from raysuite.archives.reading import opened
from raysuite.archives.units import BadItemError, Item, Unit


def write(place: Path, names: str) -> None:
    """An archive or table with a member of 64 bytes for each name."""
    data = {f"{name}.png": name.encode() * 64 for name in names}
    if place.suffix == ".parquet":
        pq.write_table(pa.table({"id": list(data), "image": list(data.values())}), place)
        return
    files = []
    for name, content in data.items():
        files.append(place.parent / name)
        files[-1].write_bytes(content)
    if place.suffix == ".zip":
        with zipfile.ZipFile(place, "w") as packed:
            for file in files:
                packed.write(file, file.name)
    else:
        with tarfile.open(place, "w") as tar:
            for file in files:
                tar.add(file, file.name)


@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.parquet"])
@pytest.mark.parametrize("after", ["ba", "cab"])
def test_an_archive_rewritten_since_it_was_listed_gives_no_member_for_another(
    tmp_path: Path, name: str, after: str
) -> None:
    place = tmp_path / name
    write(place, "ab")
    (unit,) = Listing([str(place)]).units()
    write(place, after)
    told = []
    with opened(unit, Limits()) as fetches:
        for fetch in fetches:
            with pytest.raises(BadItemError) as caught:
                fetch.read()
            told.append(str(caught.value))
    assert len(told) == 2
    assert all(error.startswith("Unreadable: ") and "is not as it was listed" in error for error in told)


def test_a_list_that_begins_with_what_can_be_opened_nowhere_is_no_error() -> None:
    assert not is_local(Unit("files", "list.csv", "", "", "0", (Item("a", "https://example.com/a.png"),)))
    assert is_local(Unit("files", "folder", "", "", "0", (Item("a", "/folder/a.png"),)))
