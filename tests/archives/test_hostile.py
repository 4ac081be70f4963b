"""Archives that mean harm, or were harmed: each member is a row, nothing is written anywhere, nothing grows."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from raysuite.archives.limits import Limits
from raysuite.archives.listing import Listing
from tests.archives.test_listing import read
from tests.scoring.archive import encoded, picture

IMAGE = encoded(picture(1))


def kinds(listing: Listing) -> dict[str, str]:
    """Id → the kind of its error, or ok."""
    return {name: told.partition(":")[0] if isinstance(told, str) else "ok" for name, told in read(listing)}


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    info.size = len(IMAGE) if kind == tarfile.REGTYPE else 0
    return info


def test_tar_members_that_lead_out_or_elsewhere_are_rows(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for name in ("good.png", "../../etc/cron.png", "/abs.png", "a/../../b.png", "C:\\x.png"):
            tar.addfile(member(name), io.BytesIO(IMAGE))
        tar.addfile(member("soft.png", tarfile.SYMTYPE, "/etc/passwd"))
        tar.addfile(member("hard.png", tarfile.LNKTYPE, "good.png"))
        tar.addfile(member("device.png", tarfile.CHRTYPE))
        tar.addfile(member("last.png"), io.BytesIO(IMAGE))
    found = kinds(Listing([str(tmp_path / "a.tar")]))
    assert list(found.values()) == ["ok", *["Unsafe"] * 4, "Link", "Link", "Unsafe", "ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_zip_members_that_lead_out_or_elsewhere_are_rows(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for name in ("good.png", "../up.png", "/abs.png", "..\\up.png"):
            packed.writestr(name, IMAGE)
        link = zipfile.ZipInfo("link.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        packed.writestr(link, "/etc/passwd")
    assert list(kinds(Listing([str(tmp_path / "a.zip")])).values()) == ["ok", "Unsafe", "Unsafe", "Unsafe", "Link"]


def test_bombs_are_given_up(tmp_path: Path) -> None:
    limits = Limits(item_bytes=10_000, slack=200_000, expansion=2, header_bytes=100_000)
    with zipfile.ZipFile(tmp_path / "many.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        for k in range(100):
            packed.writestr(f"{k:03d}.png", bytes(9_000))
    with gzip.open(tmp_path / "one.tar.gz", "wb") as sink, tarfile.open(fileobj=sink, mode="w") as tar:
        tar.addfile(member("good.png"), io.BytesIO(IMAGE))
        huge = tarfile.TarInfo("huge.png")
        huge.size = 50_000_000
        tar.addfile(huge, io.BytesIO(bytes(huge.size)))
        tar.addfile(member("never.png"), io.BytesIO(IMAGE))
    tracemalloc.start()
    many = kinds(Listing([str(tmp_path / "many.zip")], limits=limits))
    one = kinds(Listing([str(tmp_path / "one.tar.gz")], limits=limits))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert many["many.zip"] == "Bomb"
    assert len(many) < 40
    assert one == {"one.tar.gz/good.png": "ok", "one.tar.gz/huge.png": "TooLarge", "one.tar.gz": "Bomb"}
    assert peak < 5e6


def test_a_member_that_unpacks_to_more_than_it_says_is_cut_off(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", bytes(50_000_000))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = struct.pack("<I", 100)
    (tmp_path / "a.zip").write_bytes(data)
    tracemalloc.start()
    found = kinds(Listing([str(tmp_path / "a.zip")]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == {"a.zip/a.png": "Damaged"}
    assert peak < 3e6


def test_a_tar_header_that_claims_gigabytes_is_not_believed(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        tar.addfile(member("good.png"), io.BytesIO(IMAGE))
        liar = tarfile.TarInfo("././@LongLink")
        liar.type, liar.size = tarfile.GNUTYPE_LONGNAME, 8 << 30
        tar.fileobj.write(liar.tobuf(tarfile.GNU_FORMAT))  # type: ignore[union-attr]
    assert kinds(Listing([str(tmp_path / "a.tar")])) == {"a.tar/good.png": "ok", "a.tar": "Bomb"}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "zip"])
def test_an_archive_cut_off_keeps_what_is_whole_and_says_so(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            for k in range(20):
                packed.writestr(f"{k}.png", IMAGE)
    else:
        with tarfile.open(path, "w:gz" if suffix == "tar.gz" else "w") as tar:
            for k in range(20):
                info = member(f"{k}.png")
                image = encoded(picture(k))
                info.size = len(image)
                tar.addfile(info, io.BytesIO(image))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = kinds(Listing([str(path)]))
    assert found[f"a.{suffix}"] in {"Truncated", "Damaged"}
    if suffix != "zip":
        assert list(found.values()).count("ok") >= 8


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.xz", "tar.zst", "zip", "parquet"])
@pytest.mark.parametrize("content", [b"", b"no archive at all " * 200])
def test_what_is_no_archive_is_one_row(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"a.{suffix}").write_bytes(content)
    (tmp_path / "good.png").write_bytes(IMAGE)
    found = kinds(Listing([str(tmp_path)]))
    assert found.pop("good.png") == "ok"
    assert list(found) == [f"a.{suffix}"]
    assert found[f"a.{suffix}"] in {"Truncated", "Damaged"}


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        for k in range(6):
            tar.addfile(member(f"{k}.png"), io.BytesIO(IMAGE))
    data = bytearray((tmp_path / "a.tar").read_bytes())
    at = data.index(b"3.png")
    data[at + 148 : at + 156] = b"garbage!"
    (tmp_path / "a.tar").write_bytes(data)
    assert kinds(Listing([str(tmp_path / "a.tar")])) == {
        "a.tar/0.png": "ok", "a.tar/1.png": "ok", "a.tar/2.png": "ok", "a.tar": "Damaged",
    }  # fmt: skip


def test_a_damaged_member_of_a_zip_is_a_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a.png", IMAGE)
        packed.writestr("b.png", IMAGE)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[60:90] = bytes(30)
    (tmp_path / "a.zip").write_bytes(data)
    assert kinds(Listing([str(tmp_path / "a.zip")])) == {"a.zip/a.png": "Damaged", "a.zip/b.png": "ok"}
