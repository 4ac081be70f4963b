"""Pictures for the gallery: coloured anomaly maps, contours of masks, small encoded files, data URIs."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from raysuite.errors import MetricsError

_VIRIDIS = (
    "440154 481a6c 472f7d 414487 39568c 31688e 2a788e 23888e 1f988b 22a884 35b779 54c568 7ad151 a5db36 d2e21b fde725"
)
_OUTLINE_RGB = (213, 94, 0)
_DARK_RGBA = (0, 0, 0, 150)
_MOST_PIXELS_A_SIDE = 2048


def _lookup() -> npt.NDArray[np.uint8]:
    anchors = np.array([[int(c[i : i + 2], 16) for i in (0, 2, 4)] for c in _VIRIDIS.split()], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, 256)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=1)).astype(np.uint8)


_LOOKUP = _lookup()


def colour_map(map_HW: npt.NDArray[np.floating], low: float, high: float) -> npt.NDArray[np.uint8]:
    """Colour an anomaly map on a scale that grows evenly in lightness (viridis).

    Args:
        map_HW: Any floats; values that are not finite get the colour of the nearer end, NaN that of ``low``.
        low: The value of the darkest colour; what lies below is drawn the same.
        high: The value of the lightest colour. If it is not above ``low``, the scale is a step at ``low``.

    Returns:
        uint8 RGB of shape (H, W, 3).

    Raises:
        MetricsError: The map is not two-dimensional.
    """
    if map_HW.ndim != 2:
        raise MetricsError(f"an anomaly map to colour has shape {map_HW.shape}: give height × width")
    span = max(high - low, float(np.finfo(np.float64).tiny))
    values = np.nan_to_num(map_HW.astype(np.float64), nan=low, posinf=high, neginf=low)
    with np.errstate(over="ignore"):  # a step-like scale overflows to infinity, and the clip takes that
        place = np.clip((values - low) / span, 0.0, 1.0)
    return _LOOKUP[np.rint(place * 255).astype(np.intp)]


def encode_webp(image_HWC: npt.NDArray[np.uint8], max_side: int) -> bytes:
    """Encode a small picture, shrunk (never grown) so that its longer side is at most ``max_side`` pixels.

    Args:
        image_HWC: uint8 of shape (H, W, 3), or (H, W) for grey.
        max_side: Pixels, at least 1.

    Raises:
        MetricsError: The array is not such an image.
    """
    if image_HWC.dtype != np.uint8 or not (image_HWC.ndim == 2 or (image_HWC.ndim == 3 and image_HWC.shape[2] == 3)):
        raise MetricsError(
            f"a picture has shape {image_HWC.shape} and dtype {image_HWC.dtype}: give uint8, height × width [× 3]"
        )
    picture = Image.fromarray(image_HWC).convert("RGB")
    picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    sink = io.BytesIO()
    picture.save(sink, "WEBP", quality=82, method=4)
    return sink.getvalue()


def outline_layer(mask: bytes | None) -> bytes | None:
    """The contour of an encoded mask as a transparent picture to lay over others; None if it is no picture, or empty.

    A bright line within a dark one, so that it stands out on any ground.
    """
    if mask is None:
        return None
    try:
        with Image.open(io.BytesIO(mask), formats=("WEBP", "PNG", "JPEG")) as picture:
            if max(picture.size) > _MOST_PIXELS_A_SIDE:
                return None
            mask_HW = np.asarray(picture.convert("L")) > 127
    except (OSError, ValueError):
        return None
    if not mask_HW.any():
        return None
    width = max(1, round(max(mask_HW.shape) / 200))
    inner_HW = ndimage.binary_dilation(mask_HW, iterations=width)
    layer_HW4 = np.zeros((*mask_HW.shape, 4), dtype=np.uint8)
    layer_HW4[ndimage.binary_dilation(inner_HW, iterations=width) & ~mask_HW] = _DARK_RGBA
    layer_HW4[inner_HW & ~mask_HW] = (*_OUTLINE_RGB, 255)
    sink = io.BytesIO()
    Image.fromarray(layer_HW4).save(sink, "WEBP", lossless=True, method=4)
    return sink.getvalue()


def data_uri(data: bytes | None) -> str | None:
    """A data URI, or None unless the bytes begin as PNG, JPEG or WebP do: other kinds (SVG) can carry scripts."""
    if data is None:
        return None
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        kind = "png"
    elif data.startswith(b"\xff\xd8\xff"):
        kind = "jpeg"
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        kind = "webp"
    else:
        return None
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
