"""Which decoder? Speed, formats and failures of the candidates that are installed, in one run.

    pip install --no-deps --target /tmp/decoders opencv-python-headless simplejpeg torchcodec
    PYTHONPATH=/tmp/decoders python benchmarks/decoding.py

Times are ratios to Pillow's in the same run, medians of repeated rounds in which the candidates take turns; below 1 is
faster. Every candidate goes from bytes to an RGB array in (H, W, 3). Those that are not installed are skipped.
"""

# ruff: noqa: PLC0415 – a candidate is imported when it is tried, since it may be missing

from __future__ import annotations

import argparse
import io
import os
import signal
import statistics
import struct
import time
import warnings
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

Decode = Callable[[bytes], np.ndarray]


def pillow() -> Decode:
    def decode(data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))

    return decode


def pillow_draft() -> Decode:
    """Half the side, by the JPEG decoder's own reduction: what a caller who resizes anyway may ask for."""

    def decode(data: bytes) -> np.ndarray:
        with Image.open(io.BytesIO(data)) as image:
            image.draft("RGB", (image.width // 2, image.height // 2))
            return np.array(image.convert("RGB"))

    return decode


def raysuite() -> Decode:
    from raysuite.datasets.decoding import decode_image

    return decode_image


def opencv() -> Decode:
    import cv2

    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def decode(data: bytes) -> np.ndarray:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is None:
            raise ValueError("imdecode returned None")
        return pixels

    return decode


def torchvision() -> Decode:
    import torch
    from torchvision.io import ImageReadMode, decode_image

    def decode(data: bytes) -> np.ndarray:
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        return decode_image(buffer, ImageReadMode.RGB).permute(1, 2, 0).contiguous().numpy()

    return decode


def torchcodec() -> Decode:
    import torch
    from torchcodec.decoders import decode_image

    def decode(data: bytes) -> np.ndarray:
        pixels = decode_image(torch.frombuffer(bytearray(data), dtype=torch.uint8), mode="RGB")
        return pixels.permute(1, 2, 0).contiguous().numpy()

    return decode


def simplejpeg() -> Decode:
    import simplejpeg as codec

    return lambda data: codec.decode_jpeg(data, "RGB")


CANDIDATES: dict[str, Callable[[], Decode]] = {
    "Pillow": pillow,
    "raysuite (Pillow)": raysuite,
    "Pillow, draft 1/2": pillow_draft,
    "OpenCV": opencv,
    "torchvision.io": torchvision,
    "torchcodec": torchcodec,
    "simplejpeg": simplejpeg,
}


def photograph(side: int) -> Image.Image:
    """Noise with the spectrum of a photograph, and a camera's grain on top."""
    rng = np.random.default_rng(0)
    total = np.zeros((side, side, 3))
    for octave in range(2, 9):
        coarse = Image.fromarray(rng.integers(0, 256, (2**octave, 2**octave, 3), dtype=np.uint8))
        total += np.asarray(coarse.resize((side, side), Image.Resampling.BICUBIC), dtype=float) / 2 ** (octave - 1)
    total = 255 * (total - total.min()) / (total.max() - total.min()) + rng.normal(0, 2, total.shape)
    return Image.fromarray(np.clip(total, 0, 255).astype(np.uint8)).filter(ImageFilter.SMOOTH)


def encoded(image: Image.Image, fmt: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=fmt, **options)
    return buffer.getvalue()


def formats() -> dict[str, tuple[bytes, np.ndarray, int]]:
    """Name → (file, its right pixels, tolerance): red fades downwards, green across."""
    y, x = np.mgrid[0:32, 0:48]
    rgb = np.stack([5 * y, 4 * x, 90 + 0 * x], axis=2).astype(np.uint8)
    picture, gray = Image.fromarray(rgb), rgb[..., 1]
    gray_rgb = np.repeat(gray[..., None], 3, axis=2)
    wide = Image.fromarray(gray.astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6  # shown a quarter clockwise
    upright = np.ascontiguousarray(np.rot90(rgb, -1))
    palette = picture.quantize(64)
    half = np.dstack([rgb, np.where(x < 24, 255, 0).astype(np.uint8)])
    on_white = np.where((x < 24)[..., None], rgb, 255).astype(np.uint8)
    bits = gray > 90
    cases = {
        "JPEG": (encoded(picture, "JPEG", quality=95), rgb, 12),
        "JPEG gray": (encoded(Image.fromarray(gray), "JPEG", quality=95), gray_rgb, 12),
        "JPEG CMYK": (encoded(picture.convert("CMYK"), "JPEG", quality=95), rgb, 12),
        "JPEG turned by EXIF": (encoded(picture, "JPEG", quality=95, exif=turned), upright, 12),
        "PNG": (encoded(picture, "PNG"), rgb, 0),
        "PNG gray": (encoded(Image.fromarray(gray), "PNG"), gray_rgb, 0),
        "PNG 16-bit gray": (encoded(wide, "PNG"), gray_rgb, 1),
        "PNG palette": (encoded(palette, "PNG"), np.asarray(palette.convert("RGB")), 0),
        "PNG alpha, on white": (encoded(Image.fromarray(half), "PNG"), on_white, 1),
        "PNG 1-bit": (encoded(Image.fromarray(bits), "PNG"), np.repeat(255 * bits[..., None], 3, axis=2), 0),
        "BMP": (encoded(picture, "BMP"), rgb, 0),
        "TIFF": (encoded(picture, "TIFF"), rgb, 0),
        "TIFF 16-bit gray": (encoded(wide, "TIFF"), gray_rgb, 1),
        "TIFF float": (encoded(Image.fromarray(gray.astype(np.float32) / 255), "TIFF"), gray_rgb, 1),
        "WebP": (encoded(picture, "WEBP", lossless=True), rgb, 0),
    }
    return {name: (data, np.asarray(right), tolerance) for name, (data, right, tolerance) in cases.items()}


def failures() -> dict[str, bytes]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    files = {fmt: encoded(noise, fmt) for fmt in ("JPEG", "PNG", "TIFF", "BMP", "WEBP")}
    cut = {f"{fmt} cut at {share:.0%}": d[: int(len(d) * share)] for fmt, d in files.items() for share in (0.5, 0.95)}
    changed = {}
    for fmt in ("JPEG", "PNG"):
        damaged = bytearray(files[fmt])
        damaged[len(damaged) // 2 : len(damaged) // 2 + 8] = bytes(8)
        changed[f"{fmt}, 8 bytes zeroed"] = bytes(damaged)
    huge = bytearray(files["PNG"])
    huge[16:24] = struct.pack(">II", 30_000, 30_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(huge[12:29]))
    return {
        **cut,
        **changed,
        "PNG, claims 900 Mpx": bytes(huge),
        "empty": b"",
        "text": b"<html>404 not found</html>",
    }


def verdict(decode: Decode, data: bytes, right: np.ndarray, tolerance: int) -> str:
    try:
        pixels = decode(data)
    except Exception as error:
        return type(error).__name__
    if pixels.shape != right.shape:
        return f"shape {'×'.join(map(str, pixels.shape))}"
    return "yes" if np.abs(pixels.astype(int) - right).max() <= tolerance else "other pixels"


def survives(decode: Decode, data: bytes) -> str:
    """What a damaged file does. In a process of its own: a decoder may take its host down with it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # C libraries complain on stderr
        try:
            decode(data)
            answer = "accepted silently"
        except Exception as error:
            answer = f"refused ({type(error).__name__})"
        os.write(writer, answer.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return f"killed its process ({signal.Signals(os.WTERMSIG(status)).name})" if os.WIFSIGNALED(status) else answer


def table(title: str, rows: dict[str, dict[str, str]], columns: list[str]) -> None:
    first = max(len(name) for name in rows)
    widths = {c: max(len(c), *(len(row.get(c, "–")) for row in rows.values())) for c in columns}
    print(f"\n{title}\n{'':{first}}  " + "  ".join(f"{c:>{widths[c]}}" for c in columns))
    for name, row in rows.items():
        print(f"{name:{first}}  " + "  ".join(f"{row.get(c, '–'):>{widths[c]}}" for c in columns))


def speed(decoders: dict[str, Decode], rounds: int) -> None:
    files = {
        f"{fmt} {side}": encoded(photograph(side), fmt, **({"quality": 92} if fmt == "JPEG" else {}))
        for fmt in ("JPEG", "PNG")
        for side in (256, 1024)
    }
    rows: dict[str, dict[str, str]] = {name: {} for name in decoders}
    for file, data in files.items():
        repeats = 10 if file.endswith("256") else 1
        usable = {n: d for n, d in decoders.items() if not (n in {"simplejpeg", "Pillow, draft 1/2"} and "PNG" in file)}
        times: dict[str, list[float]] = {name: [] for name in usable}
        for k in range(rounds + 2):
            for name, decode in usable.items():
                start = time.perf_counter()
                for _ in range(repeats):
                    decode(data)
                if k >= 2:
                    times[name].append((time.perf_counter() - start) / repeats)
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name, median in medians.items():
            rows[name][file] = f"{median / medians['Pillow']:.2f}"
        print(f"{file} px: {len(data) / 1000:.0f} kB, Pillow {1000 * medians['Pillow']:.2f} ms")
    table("Time, as a ratio to Pillow's", rows, list(files))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="timed rounds")
    rounds = parser.parse_args().rounds
    decoders: dict[str, Decode] = {}
    for name, make in CANDIDATES.items():
        try:
            decoders[name] = make()
            decoders[name](encoded(Image.new("RGB", (64, 64)), "JPEG"))
        except (ImportError, RuntimeError, OSError) as error:
            decoders.pop(name, None)
            print(f"{name}: skipped, {str(error).strip().splitlines()[0]}")
    speed(decoders, rounds)
    judged = [name for name in decoders if name not in {"Pillow", "Pillow, draft 1/2"}]
    cases = formats()
    table(
        "Decodes to the right pixels",
        {case: {name: verdict(decoders[name], *cases[case]) for name in judged} for case in cases},
        judged,
    )
    damaged = failures()
    table(
        "Damaged files",
        {case: {name: survives(decoders[name], damaged[case]) for name in judged} for case in damaged},
        judged,
    )


if __name__ == "__main__":
    # torchvision.io warns on every call that it will be removed; once is enough, and is said in the docs.
    warnings.simplefilter("ignore")
    main()
