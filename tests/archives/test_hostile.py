"""Archives that mean harm, or were harmed: each member is a row, nothing is written anywhere, nothing grows."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
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


def tar_of_six() -> bytearray:
    """A tar with 0.png to 5.png."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        for k in range(6):
            tar.addfile(member(f"{k}.png"), io.BytesIO(IMAGE))
    return bytearray(sink.getvalue())


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
    data = tar_of_six()
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


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar header with a size that no honest writer would give, in base 256."""
    raw = bytearray(member(name).tobuf(tarfile.USTAR_FORMAT))
    raw[124:136] = (b"\xff" if size < 0 else b"\x80") + (size % (1 << 88)).to_bytes(11, "big")
    raw[156:157] = kind
    raw[148:156] = b" " * 8
    raw[148:156] = b"%06o\0 " % sum(raw[:512])
    return bytes(raw)


@pytest.mark.parametrize("size", [-512, 1 << 70, (1 << 63) + 5])
def test_a_tar_member_of_an_impossible_size_ends_its_archive_and_no_other(tmp_path: Path, size: int) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(member("good.png"), io.BytesIO(IMAGE))
    whole = (tmp_path / "a.tar").read_bytes()[: 512 + -(-len(IMAGE) // 512) * 512]
    (tmp_path / "a.tar").write_bytes(whole + header("bad.png", size) + whole + bytes(1024))
    (tmp_path / "b.png").write_bytes(IMAGE)
    found = kinds(Listing([str(tmp_path)]))
    assert (found["a.tar/good.png"], found["b.png"]) == ("ok", "ok")
    assert found["a.tar"] in {"Damaged", "Truncated"}


@pytest.mark.parametrize("suffix", ["tar", "tar.gz"])
def test_names_chained_without_end_are_one_row(tmp_path: Path, suffix: str) -> None:
    link = tarfile.TarInfo("././@LongLink")
    link.type, link.size = tarfile.GNUTYPE_LONGNAME, 6
    chain = (link.tobuf(tarfile.GNU_FORMAT) + b"x.png\0".ljust(512, b"\0")) * 1200 + bytes(1024)
    (tmp_path / f"a.{suffix}").write_bytes(gzip.compress(chain) if suffix == "tar.gz" else chain)
    assert kinds(Listing([str(tmp_path / f"a.{suffix}")])) == {f"a.{suffix}": "Damaged"}


@pytest.mark.parametrize("count", [3, 200])
def test_a_zip_with_more_members_than_it_counts_loses_none_and_says_so(tmp_path: Path, count: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for k in range(5):
            packed.writestr(f"{k}.png", IMAGE)
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[-14:-10] = struct.pack("<HH", count, count)
    (tmp_path / "a.zip").write_bytes(data)
    found = kinds(Listing([str(tmp_path / "a.zip")]))
    assert found.pop("a.zip") == "Damaged"
    assert found == {f"a.zip/{k}.png": "ok" for k in range(5)}


def test_a_zip_whose_count_began_anew_after_65535_members_is_whole(tmp_path: Path) -> None:
    members = 65_541
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        for k in range(members):
            packed.writestr(f"{k}.png", b"")
    data = (tmp_path / "a.zip").read_bytes()
    end64 = data.rindex(b"PK\x06\x06")
    length, start = struct.unpack("<QQ", data[end64 + 40 : end64 + 56])
    count = members % 65_536
    (tmp_path / "a.zip").write_bytes(
        data[:end64] + struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, count, count, length, start, 0)
    )
    units = list(Listing([str(tmp_path / "a.zip")]).units())
    assert sum(unit.count for unit in units) == members
    assert all(item.error is None for unit in units for item in unit.items)


def test_a_64_bit_end_record_that_is_nowhere_is_a_row(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
        packed.writestr("a.png", IMAGE)
    data = (tmp_path / "a.zip").read_bytes()
    end = data.rindex(b"PK\x05\x06")
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, 2**64 - 1, 1)
    (tmp_path / "a.zip").write_bytes(data[:end] + locator + data[end : end + 8] + b"\xff" * 12 + data[end + 20 :])
    assert kinds(Listing([str(tmp_path / "a.zip")])) == {"a.zip": "Damaged"}


def test_a_tar_that_seems_to_end_in_its_middle_says_so(tmp_path: Path) -> None:
    data = tar_of_six()
    at = data.index(b"3.png")
    data[at : at + 512] = bytes(512)
    (tmp_path / "a.tar").write_bytes(data)
    expected = {"a.tar/0.png": "ok", "a.tar/1.png": "ok", "a.tar/2.png": "ok", "a.tar": "Damaged"}
    assert kinds(Listing([str(tmp_path / "a.tar")])) == expected
    with tarfile.open(tmp_path / "b.tar", "w") as tar:
        tar.addfile(member("b.png"), io.BytesIO(IMAGE))
    one = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "b.tar").write_bytes(one + data)
    assert kinds(Listing([str(tmp_path / "b.tar")])) == {"b.tar/b.png": "ok", "b.tar": "Damaged"}


def test_a_packed_tar_whose_checksum_is_wrong_says_so(tmp_path: Path) -> None:
    with (
        gzip.GzipFile(tmp_path / "a.tar.gz", "wb", compresslevel=0) as sink,
        tarfile.open(fileobj=sink, mode="w") as tar,
    ):
        for k in range(4):
            tar.addfile(member(f"{k}.png"), io.BytesIO(IMAGE))
    data = bytearray((tmp_path / "a.tar.gz").read_bytes())
    data[data.index(IMAGE[100:120]) + 5] ^= 1
    (tmp_path / "a.tar.gz").write_bytes(data)
    found = kinds(Listing([str(tmp_path / "a.tar.gz")]))
    assert found.pop("a.tar.gz") == "Damaged"
    assert list(found) == [f"a.tar.gz/{k}.png" for k in range(4)], "what it holds is shown all the same"


def test_suffixes_in_capitals_are_the_same(tmp_path: Path) -> None:
    for name, mode in (("A.TAR", "w"), ("B.TAR.GZ", "w:gz"), ("C.TGZ", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as tar:
            tar.addfile(member("a.png"), io.BytesIO(IMAGE))
    with zipfile.ZipFile(tmp_path / "D.ZIP", "w") as packed:
        packed.writestr("a.png", IMAGE)
    found = kinds(Listing([str(tmp_path)]))
    assert found == {f"{name}/a.png": "ok" for name in ("A.TAR", "B.TAR.GZ", "C.TGZ", "D.ZIP")}
    (tmp_path / "LIST.TSV").write_text("id\tpath\nfirst\tx.png\n")
    (tmp_path / "x.png").write_bytes(IMAGE)
    assert kinds(Listing([str(tmp_path / "LIST.TSV")])) == {"first": "ok"}


def test_text_of_a_table_that_is_no_utf8_costs_no_row(tmp_path: Path) -> None:
    names = pa.array([b"a", b"b\xff", b"c"], pa.binary()).view(pa.string())
    images = pa.array([IMAGE] * 3, pa.binary())
    pq.write_table(pa.table({"id": names, "image": images}), tmp_path / "bytes.parquet")
    assert kinds(Listing([str(tmp_path / "bytes.parquet")])) == {"a": "ok", "b\\xff": "ok", "c": "ok"}
    (tmp_path / "x.png").write_bytes(IMAGE)
    paths = pa.array([b"x.png", b"b\xff.png", b"x.png"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"id": ["1", "2", "3"], "path": paths}), tmp_path / "paths.parquet")
    assert kinds(Listing([str(tmp_path / "paths.parquet")])) == {"1": "ok", "2": "Unreadable", "3": "ok"}


def test_images_that_stand_beside_their_paths_are_read(tmp_path: Path) -> None:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    column = pa.array([{"bytes": IMAGE, "path": "a.png"}, None, {"bytes": None, "path": "c.png"}], kind)
    pq.write_table(pa.table({"id": ["a", "b", "c"], "image": column}), tmp_path / "a.parquet")
    assert kinds(Listing([str(tmp_path / "a.parquet")])) == {"a": "ok", "b": "Unreadable", "c": "Unreadable"}


def test_a_damaged_list_keeps_what_is_whole_and_says_so(tmp_path: Path) -> None:
    paths = [f"{k:04d}.png" for k in range(20_000)]
    pq.write_table(pa.table({"path": paths}), tmp_path / "a.parquet", row_group_size=5_000, compression="zstd",
                   use_dictionary=False)  # fmt: skip
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = b"\xaa" * 400
    (tmp_path / "a.parquet").write_bytes(data)
    found = kinds(Listing([str(tmp_path / "a.parquet")]))
    assert found["a.parquet"] == "Damaged"
    assert len(found) > 5_000


def test_a_list_of_what_can_be_no_file_has_a_row_for_each(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(IMAGE)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a.csv").write_text("path\nx.png\nloop/x.png\na\0b.png\n")
    assert list(kinds(Listing([str(tmp_path / "a.csv")])).values()) == ["ok", "Unreadable", "Unreadable"]
