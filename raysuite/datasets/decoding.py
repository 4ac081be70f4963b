"""Encoded bytes → pixels. One decoder for training, evaluation and scoring, so that all see the same numbers.

Pillow does the decoding. Of the decoders that ``benchmarks/decoding.py`` measures, OpenCV is up to twice as fast, but
it says of no damaged file what is wrong with it, drops transparency and refuses floats; the others read fewer formats,
and one can crash the process on a damaged file. ``docs/datasets.md`` has the figures.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from raysuite.errors import DecodeError

T = TypeVar("T")
S = TypeVar("S", bound=np.generic)

MAX_PIXELS = 2**27
"""Images of more pixels than this (134 million, 400 MB decoded) are refused: a small file can claim to be huge."""

# Named, so that a stranger's file never reaches the decoders of other formats, Ghostscript among them.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_SIXTEEN_BITS = frozenset({"I;16", "I;16L", "I;16B", "I;16N"})
_WIDE = _SIXTEEN_BITS | {"I", "F"}


class TruncatedError(DecodeError):
    """The file is empty or ends too early: copying it again may help, unlike with other failures."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What a file says of itself before its pixels are decoded.

    Attributes:
        format: "PNG", "JPEG", "MPO", "BMP", "TIFF" or "WEBP".
        mode: Pillow's name of the pixel type, such as "L", "RGB" or "I;16".
        height: Pixels down, after the turn that EXIF asks for.
        width: Pixels across, after that turn.
    """

    format: str
    mode: str
    height: int
    width: int


def image_header(data: bytes) -> ImageHeader:
    """Format, mode and size, without decoding the pixels.

    Raises:
        DecodeError: The bytes are not an image of a known format.
    """

    def look(image: Image.Image) -> ImageHeader:
        width, height = image.size
        # Pillow gives a TIFF's size already turned. Its PNG reader decodes all pixels to look for EXIF behind them.
        if image.format == "TIFF" or (image.format == "PNG" and not any(tag in data for tag in _PNG_TURN_TAGS)):
            turned = False
        else:
            turned = _orientation(image) >= 5
        if turned:
            width, height = height, width
        return ImageHeader(str(image.format), image.mode, height, width)

    return _opened(data, look, MAX_PIXELS)


def image_size(data: bytes) -> tuple[int, int]:
    """``(height, width)`` in pixels, after the turn that EXIF asks for, without decoding the pixels.

    Raises:
        DecodeError: The bytes are not an image of a known format.
    """
    header = image_header(data)
    return header.height, header.width


def decode_image(data: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.uint8]:
    """Decode a PNG, JPEG, BMP, TIFF or WebP to RGB.

    * 16-bit gray is divided by 257, so that 65535 becomes 255: a fixed scale. Stretching every image to its own
      minimum and maximum would hide a part that is too dark, change all pixels for one bright speck, and give two
      tiles of one image different units. 16-bit colour is reduced by the decoder to its high byte, which differs by
      at most one level.
    * 32-bit integers are read as 16-bit values, and floats as 0..1; values beyond are refused, not clipped.
    * A gray TIFF in which 0 is white is turned into one in which it is black; signed values below 0 are refused.
    * Transparency is laid on white. Palettes, CMYK and 1-bit images become what a viewer shows.
    * EXIF's orientation is applied. Of several frames or pages the first counts.

    Args:
        data: The file's bytes.
        max_pixels: The largest area to decode.

    Returns:
        (H, W, 3) uint8, writable.

    Raises:
        DecodeError: The bytes are no such image, end too early, or hold more than ``max_pixels``.
        MemoryError: The pixels do not fit.
    """

    def decode(image: Image.Image) -> npt.NDArray[np.uint8]:
        image.load()
        return np.ascontiguousarray(_turned(_rgb(image), _orientation(image)))

    return _opened(data, decode, max_pixels)


def decode_mask(data: bytes, *, max_pixels: int = MAX_PIXELS) -> npt.NDArray[np.bool_]:
    """Decode a mask to True where there is a defect.

    Whatever is not black is a defect: some data sets write 255, VisA writes the number of the kind of defect (1, 2,
    …), and a threshold in the middle would lose all of those. A lossy file (JPEG, also within a TIFF, or lossy WebP)
    smears values near an edge, so there the middle (above 127) decides. Palettes are looked up, and transparency is
    laid on black.

    Returns:
        (H, W) bool.

    Raises:
        DecodeError, MemoryError: As for `decode_image`.
    """

    def decode(image: Image.Image) -> npt.NDArray[np.bool_]:
        image.load()
        black = 127 if _is_lossy(image, data) else 0
        if image.mode in _WIDE:
            mask_HW = np.asarray(_wide(image) != 0)
            if (clear_HW := _clear(image)) is not None:
                mask_HW &= ~clear_HW
        elif image.has_transparency_data:
            rgba_HW4 = np.asarray(image.convert("RGBA"))
            mask_HW = (rgba_HW4[..., :3] > black).any(axis=2) & (rgba_HW4[..., 3] > 0)
        else:
            values = np.asarray(image.convert("RGB") if image.mode in {"P", "CMYK", "YCbCr", "LAB"} else image)
            defect = values > black
            mask_HW = np.asarray(defect.reshape(*defect.shape[:2], -1).any(axis=2))
        return np.ascontiguousarray(_turned(mask_HW, _orientation(image)))

    return _opened(data, decode, max_pixels)


def _opened(data: bytes, use: Callable[[Image.Image], T], max_pixels: int) -> T:
    """Open the bytes, give the image to ``use``, and turn every failure of the file's into a DecodeError.

    That memory runs out is no failure of the file's: another machine, or this one later, may decode it.
    """
    if not data:
        raise TruncatedError("is empty (0 bytes)")
    try:
        with _QUIET, Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise DecodeError(
                    f"has {width} × {height} pixels, more than the {max_pixels} allowed: cut it into tiles"
                )
            return use(image)
    except (DecodeError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise DecodeError(f"claims more pixels than the {max_pixels} allowed: cut it into tiles") from error
    except UnidentifiedImageError as error:
        raise DecodeError("is not a PNG, JPEG, BMP, TIFF or WebP image, or its first bytes are damaged") from error
    except Exception as error:  # a damaged file makes Pillow raise nearly anything: OSError, SyntaxError, struct.error
        reason = str(error) or type(error).__name__
        if "truncated" in reason.lower() or isinstance(error, EOFError):
            raise TruncatedError(f"ends too early: {reason}") from error
        raise DecodeError(f"cannot be decoded: {reason}") from error


def _rgb(image: Image.Image) -> npt.NDArray[np.uint8]:
    if image.mode in _WIDE:
        # Before transparency: Pillow's conversion cuts 16 bits off at 255 instead of dividing them.
        gray_HW3 = _gray(_eight_bits(image))
        if (clear_HW := _clear(image)) is not None:
            gray_HW3[clear_HW] = 255
        return gray_HW3
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return np.array(Image.alpha_composite(white, rgba).convert("RGB"))
    signed = image.mode == "L" and _tag(image, TiffImagePlugin.SAMPLEFORMAT) in {2, (2,)}
    if signed and np.asarray(image).max() > 127:  # Pillow takes the sign for the highest bit
        raise DecodeError("holds signed integers below 0: convert it to unsigned ones first")
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _eight_bits(image: Image.Image) -> npt.NDArray[np.generic]:
    values_HW = _wide(image)
    if image.mode == "F":
        if not (values_HW.min() >= 0.0 and values_HW.max() <= 1.0):  # also when one is not a number
            raise DecodeError("holds floats beyond 0..1, or ones that are not numbers: scale it to 0..1 first")
        return np.rint(values_HW * 255.0)
    if values_HW.min() < 0 or values_HW.max() > 65535:
        raise DecodeError("holds 32-bit integers beyond 0..65535: convert it to 16 bits first")
    return (values_HW.astype(np.uint32) + 128) // 257


def _wide(image: Image.Image) -> npt.NDArray[Any]:
    """Gray of more than 8 bits, 0 for black. Pillow turns TIFFs in which 0 is white, but only up to 8 bits."""
    values_HW = np.asarray(image)
    if _tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) != 0:
        return values_HW
    return np.asarray((1.0 if image.mode == "F" else np.uint16(65535)) - values_HW)


def _clear(image: Image.Image) -> npt.NDArray[np.bool_] | None:
    """Where a PNG of 16-bit gray has the one value that its tRNS chunk calls transparent; None if it names none."""
    value = image.info.get("transparency")
    return np.asarray(np.asarray(image) == value) if isinstance(value, int) else None


def _is_lossy(image: Image.Image, data: bytes) -> bool:
    """Whether values may differ from those that were written."""
    if image.format == "TIFF":
        return image.info.get("compression") in {"jpeg", "tiff_jpeg"}
    return image.format in {"JPEG", "MPO"} or (image.format == "WEBP" and not _is_lossless_webp(data))


def _is_lossless_webp(data: bytes) -> bool:
    """Whether the first frame lies in a VP8L chunk. Container: RFC 9649, section 2."""
    place = 12
    while place + 8 <= len(data):
        kind, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if kind in {b"VP8 ", b"VP8L"}:
            return kind == b"VP8L"
        # A frame of an animation holds chunks of its own behind 16 bytes; all others are passed over, padded to 2.
        place += 8 + (16 if kind == b"ANMF" else size + size % 2)
    return False


def _tag(image: Image.Image, number: int) -> Any:
    """A tag of a TIFF; None if it has none, and of other formats."""
    return image.tag_v2.get(number) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _gray(values_HW: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    return np.repeat(values_HW.astype(np.uint8)[..., None], 3, axis=2)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1..8; 1 where there is none. A damaged EXIF block does not spoil good pixels."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # as above: whatever the damage makes Pillow raise
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _turned(pixels: npt.NDArray[S], orientation: int) -> npt.NDArray[S]:
    """Undo a camera's orientation. Values as in EXIF 2.32, tag 0x0112: where row 0 and column 0 of the file belong."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return pixels


_PNG_TURN_TAGS = (b"eXIf", b"Raw profile type", b"com.adobe.xmp")


class _Quiet:
    """Silences Pillow's warnings, such as those about damaged EXIF, for several threads at once.

    ``warnings.catch_warnings`` alone restores the wrong filters when threads leave it in another order.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved: warnings.catch_warnings[None] = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module=r"PIL\.|raysuite\.datasets\.decoding")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(kind, value, trace)


_QUIET = _Quiet()
