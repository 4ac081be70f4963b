"""Files that are damaged, hostile or merely odd, each made on the fly, and what a scan must say of it."""

from __future__ import annotations

import io
import os
import socket
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.scoring.archive import encoded, picture

OK = "ok"
IMAGE = encoded(picture(3))


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, body: bytes = b"", depth: int = 8, more: bytes = b"") -> bytes:
    """A PNG with any header; ``body`` is unpacked."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0 if depth < 8 else 2, 0, 0, 0)
    rest = chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + rest


def saved(image: Image.Image, kind: str, **more: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **more)
    return sink.getvalue()


def several(kind: str, count: int) -> bytes:
    pages = [Image.fromarray(picture(k)) for k in range(count)]
    return saved(pages[0], kind, save_all=True, append_images=pages[1:])


def endless_gif() -> bytes:
    """Ten thousand times the same frame, and no end."""
    gif = encoded(picture(4)[:4, :4], "GIF")
    start = gif.index(b"\x2c")
    return gif[:start] + gif[start:-1] * 10_000


def tiff_in_a_circle() -> bytes:
    """A TIFF whose first page is followed by itself."""
    data = bytearray(saved(Image.fromarray(picture(5)), "TIFF"))
    (first,) = struct.unpack("<I", data[4:8])
    (entries,) = struct.unpack("<H", data[first : first + 2])
    end = first + 2 + 12 * entries
    data[end : end + 4] = struct.pack("<I", first)
    return bytes(data)


def jpeg(**more: object) -> bytes:
    return saved(Image.fromarray(picture(6)[:24]), "JPEG", **more)


def files() -> dict[str, tuple[bytes, str]]:
    """Name → content, and the kind of error."""
    rgb, grey = Image.fromarray(picture(7)), Image.fromarray(picture(7)[..., 0])
    turned = Image.Exif()
    turned[0x0112] = 6
    see_through = rgb.convert("P")
    see_through.info["transparency"] = bytes([0] * 8)
    floats = Image.fromarray(np.full((8, 8), np.nan, dtype=np.float32))
    svg = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'
    text_bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(5_000_000), 9))
    rows_2x2 = b"\0" * 14
    return {
        "empty.png": (b"", "Truncated"),
        "one-byte.png": (b"\x89", "Undecodable"),
        "cut.png": (IMAGE[:-300], "Truncated"),
        "cut.jpg": (jpeg()[:-200], "Truncated"),
        "cut.webp": (saved(rgb, "WEBP")[:-100], "Undecodable"),
        "cut.bmp": (saved(rgb, "BMP")[:-900], "Truncated"),
        "cut.tif": (saved(rgb, "TIFF")[:-900], "Truncated"),
        "zeros.png": (bytes(5000), "Undecodable"),
        "zeros-inside.png": (IMAGE[:60] + bytes(900) + IMAGE[960:], "Undecodable"),
        "text.jpg": (b"no image at all", "Undecodable"),
        "page.png": (b"<!DOCTYPE html><html><body>404</body></html>", "Undecodable"),
        "drawing.png": (svg, "Undecodable"),
        "paper.jpg": (b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF", "Undecodable"),
        "script.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n%%EOF", "Undecodable"),
        "no-size.png": (png(0, 0), "Undecodable"),
        "no-pixels.png": (png(32, 32), "Truncated"),
        "huge-header.png": (png(100_000, 100_000), "Undecodable"),
        "bomb.png": (png(20_000, 20_000, bytes(20_000 * 2_501), depth=1), "Undecodable"),
        "text-bomb.png": (png(2, 2, rows_2x2, more=text_bomb), "Undecodable"),
        "huge-header.jpg": (jpeg().replace(struct.pack(">HH", 24, 32), b"\xff\xdc\xff\xdc", 1), "Undecodable"),
        "huge-header.bmp": (b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 90000, 90000, 1, 24, *(6 * [0])),
                            "Undecodable"),
        "endless.gif": (endless_gif(), "Undecodable"),
        "not-numbers.tif": (saved(floats, "TIFF"), "Undecodable"),
        "broken-directory.tif": (b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 60, "Undecodable"),
        "circle.tif": (tiff_in_a_circle(), OK),
        "pages.tif": (several("TIFF", 40), OK),
        "moving.webp": (several("WEBP", 5), OK),
        "moving.png": (several("PNG", 5), OK),
        "a-jpeg.png": (jpeg(), OK),
        "cmyk.jpg": (saved(rgb.convert("CMYK"), "JPEG"), OK),
        "turned.jpg": (jpeg(exif=turned), OK),
        "bad-exif.jpg": (jpeg(exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xee" * 40), OK),
        "bad-profile.png": (saved(rgb, "PNG", icc_profile=os.urandom(500)), OK),
        "16-bit.png": (saved(Image.fromarray(picture(7)[..., 0].astype(np.uint16) * 257), "PNG"), OK),
        "palette.png": (saved(see_through, "PNG"), OK),
        "grey-alpha.png": (saved(grey.convert("LA"), "PNG"), OK),
        "one-bit.png": (saved(grey.convert("1"), "PNG"), OK),
        "one-pixel.png": (png(1, 1, b"\0\1\2\3"), OK),
        "trailing.png": (IMAGE + b"<?php evil ?>" * 100, OK),
        "new\nline.png": (IMAGE, OK),
        "{id} %s ü .png": (IMAGE, OK),
    }  # fmt: skip


def archives() -> dict[str, tuple[bytes, dict[str, str]]]:
    """Name → content, and the kinds of its rows; the archive itself is the row ``""``."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as sink:
        for name, kind in (
            ("good.png", tarfile.REGTYPE), ("../up.png", tarfile.REGTYPE), ("/abs.png", tarfile.REGTYPE),
            ("link.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("fifo.png", tarfile.FIFOTYPE),
            ("disk.png", tarfile.BLKTYPE),
        ):  # fmt: skip
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(IMAGE) if kind == tarfile.REGTYPE else 0
            info.linkname = "/etc/passwd"
            sink.addfile(info, io.BytesIO(IMAGE))
    nested = zipped({"inner.png": IMAGE})
    locked = bytearray(zipped({"locked.png": IMAGE}))
    for at in (locked.index(b"PK\x03\x04") + 6, locked.rindex(b"PK\x01\x02") + 8):
        locked[at] |= 1
    bomb = bytearray(zipped({f"{k}.png": bytes(1000) for k in range(3)}))
    at = bomb.index(b"PK\x01\x02")
    while at >= 0:
        bomb[at + 24 : at + 28] = struct.pack("<I", 1 << 30)
        at = bomb.find(b"PK\x01\x02", at + 1)
    return {
        "members.tar": (
            tar.getvalue(),
            {"good.png": OK, "../up.png": "Unsafe", "/abs.png": "Unsafe", "link.png": "Link", "hard.png": "Link",
             "fifo.png": "Unsafe", "disk.png": "Unsafe"},
        ),
        "nested.zip": (zipped({"nested.zip": nested, "good.png": IMAGE}), {"good.png": OK}),
        "locked.zip": (bytes(locked), {"locked.png": "Encrypted"}),
        "bomb.zip": (bytes(bomb), {"0.png": "TooLarge", "": "Bomb"}),
        "no.zip": (b"PK\x03\x04 and nothing else", {"": "Damaged"}),
        "cut.tar": (tar.getvalue()[:1200], {"good.png": "Truncated", "": "Truncated"}),
        "no.parquet": (b"PAR1" + bytes(40) + b"PAR1", {"": "Damaged"}),
    }  # fmt: skip


def zipped(members: dict[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            packed.writestr(name, data)
    return sink.getvalue()


def fill(root: Path) -> dict[str, str]:
    """Put all of them into a folder; what must stand in the rows: id → kind of error."""
    root.mkdir(parents=True)
    wanted = {}
    for name, (data, kind) in files().items():
        (root / name).write_bytes(data)
        wanted[name] = kind
    for name, (data, rows) in archives().items():
        (root / name).write_bytes(data)
        wanted |= {f"{name}/{member}" if member else name: kind for member, kind in rows.items()}
    (root / "folder.png").mkdir()
    (root / "folder.png" / "in.png").write_bytes(IMAGE)
    (root / "nowhere.png").symlink_to(root / "gone.png")
    (root / "round.png").symlink_to(root / "about.png")
    (root / "about.png").symlink_to(root / "round.png")
    (root / "zero.png").symlink_to("/dev/zero")
    os.mkfifo(root / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(root, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/socket.png")
        os.close(here)
    Path(os.fsdecode(os.fsencode(root) + b"/\xff.png")).write_bytes(IMAGE)
    odd = ("nowhere.png", "round.png", "about.png", "zero.png", "pipe.png", "socket.png", r"\xff.png")
    return wanted | {"folder.png/in.png": OK} | dict.fromkeys(odd, "Unreadable")
