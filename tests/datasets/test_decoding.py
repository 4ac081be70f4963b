import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from raysuite.datasets import decoding
from raysuite.datasets.decoding import TruncatedError, decode_image, decode_mask, image_header, image_size
from raysuite.errors import DecodeError

from .images import encoded, picture

FORMATS = [
    ("PNG", {}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("WEBP", {"lossless": True}),
    ("JPEG", {"quality": 95}),
]


@pytest.mark.parametrize(("fmt", "options"), FORMATS)
def test_every_format_gives_back_its_pixels(fmt, options):
    pixels = picture(48, 64)
    decoded = decode_image(encoded(pixels, fmt, **options))
    assert decoded.shape == (48, 64, 3)
    assert decoded.dtype == np.uint8
    assert decoded.flags.writeable
    assert decoded.flags.c_contiguous
    assert np.abs(decoded.astype(int) - pixels).max() <= (12 if fmt == "JPEG" else 0)


def test_gray_is_repeated_in_all_channels():
    gray = picture()[..., 0]
    assert (decode_image(encoded(gray)) == gray[..., None]).all()


def test_one_bit_images_become_black_and_white():
    bits = picture()[..., 0] > 90
    assert (decode_image(encoded(Image.fromarray(bits))) == np.where(bits, 255, 0)[..., None]).all()


def test_palette_images_take_their_palettes_colours():
    image = Image.fromarray(np.array([[0, 1], [1, 0]], dtype=np.uint8), mode=None).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert decode_image(encoded(image)).tolist() == [[[10, 20, 30], [200, 100, 50]], [[200, 100, 50], [10, 20, 30]]]


def test_transparency_is_laid_on_white():
    rgba = np.zeros((1, 3, 4), dtype=np.uint8)
    rgba[0, :, 3] = [0, 128, 255]
    assert decode_image(encoded(rgba))[0, :, 0].tolist() == [255, 127, 0]


def test_a_palettes_transparency_is_laid_on_white():
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    for transparency in (0, bytes([0, 255])):
        decoded = decode_image(encoded(image, transparency=transparency))
        assert decoded.tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_gray_with_alpha_is_laid_on_white():
    image = Image.merge("LA", [Image.new("L", (2, 1), 40), Image.fromarray(np.array([[0, 255]], dtype=np.uint8))])
    assert decode_image(encoded(image))[0, :, 0].tolist() == [255, 40]


def test_cmyk_jpeg_becomes_rgb():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan, all magenta and yellow: red
    red, green, blue = decode_image(encoded(image, "JPEG"))[8, 8]
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("fmt", ["PNG", "TIFF"])
def test_sixteen_bit_gray_has_a_fixed_scale(fmt):
    values = np.array([[0, 257, 32896, 65535], [128, 129, 4095, 2570]], dtype=np.uint16)
    expected = [[0, 1, 128, 255], [0, 1, 16, 10]]
    assert decode_image(encoded(values, fmt))[..., 0].tolist() == expected


def test_big_endian_sixteen_bit_gray_reads_the_same():
    values = np.array([[0, 257, 65535]], dtype=np.uint16)
    image = Image.frombytes("I;16B", (3, 1), values.astype(">u2").tobytes())
    assert decode_image(encoded(image, "TIFF"))[..., 0].tolist() == [[0, 1, 255]]


def png_with_clear_value(values: list[int], clear: int) -> bytes:
    """One row of 16-bit gray, and a tRNS chunk: Pillow writes none for 16 bits."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", len(values), 1, 16, 0, 0, 0, 0)
    row = zlib.compress(b"\0" + struct.pack(f">{len(values)}H", *values))
    chunks = ((b"IHDR", head), (b"tRNS", struct.pack(">H", clear)), (b"IDAT", row), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*one) for one in chunks)


def test_sixteen_bit_gray_with_a_transparent_value_keeps_its_scale():
    data = png_with_clear_value([0, 0x4000, 0x8000, 0xFFFF], 0x4001)
    assert decode_image(data)[0, :, 0].tolist() == [0, 64, 128, 255]
    assert decode_mask(data).tolist() == [[False, True, True, True]]
    data = png_with_clear_value([0, 1, 0x4000, 0x4001], 0x4000)
    assert decode_image(data)[0, :].tolist() == [[0] * 3, [0] * 3, [255] * 3, [64] * 3]
    assert decode_mask(data).tolist() == [[False, True, False, True]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 64, 255]], dtype=np.uint8), [255, 191, 0]),
        (np.array([[0, 64 * 257, 65535]], dtype=np.uint16), [255, 191, 0]),
        (np.array([[0, 0.25, 1]], dtype=np.float32), [255, 191, 0]),
    ],
)
def test_tiffs_in_which_zero_is_white_are_shown_as_a_viewer_shows_them(values, expected):
    # Pillow inverts 8 bits itself when it writes this tag, and no others.
    stored = 255 - values if values.dtype == np.uint8 else values
    data = encoded(stored, "TIFF", tiffinfo={262: 0})
    assert decode_image(data)[0, :, 0].tolist() == expected
    assert decode_mask(data).tolist() == [[True, True, False]]


def test_signed_bytes_below_zero_are_refused():
    good = np.array([[0, 100, 127]], dtype=np.uint8)
    assert decode_image(encoded(good, "TIFF", tiffinfo={339: 2}))[0, :, 0].tolist() == [0, 100, 127]
    with pytest.raises(DecodeError, match="below 0"):
        decode_image(encoded(np.array([[0, 251]], dtype=np.uint8), "TIFF", tiffinfo={339: 2}))


def test_32_bit_integers_are_sixteen_bit_values_or_refused():
    assert decode_image(encoded(np.array([[0, 65535]], dtype=np.int32), "TIFF"))[0, :, 0].tolist() == [0, 255]
    for bad in (-1, 65536):
        with pytest.raises(DecodeError, match="16 bits first"):
            decode_image(encoded(np.array([[0, bad]], dtype=np.int32), "TIFF"))


def test_floats_are_shares_of_one_or_refused():
    assert decode_image(encoded(np.array([[0, 0.5, 1]], dtype=np.float32), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    for bad in (-0.1, 1.5, np.nan, np.inf):
        with pytest.raises(DecodeError, match=r"0\.\.1"):
            decode_image(encoded(np.array([[0, bad]], dtype=np.float32), "TIFF"))


@pytest.mark.parametrize("fmt", ["PNG", "TIFF", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_turned_images_come_out_upright(fmt, orientation):
    upright = picture(16, 32)
    # What the camera stored: the inverse of the turn that EXIF asks for (tag 0x0112).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if fmt == "WEBP" else {"quality": 100} if fmt == "JPEG" else {}
    data = encoded(np.ascontiguousarray(stored), fmt, exif=exif, **options)
    decoded = decode_image(data)
    assert decoded.shape == upright.shape
    assert np.abs(decoded.astype(int) - upright).max() <= (12 if fmt == "JPEG" else 0)
    assert image_size(data) == (16, 32)


def test_a_mask_turns_with_its_exif():
    mask = np.zeros((4, 6), dtype=np.uint8)
    mask[0, 5] = 255
    exif = Image.Exif()
    exif[0x0112] = 3
    assert np.argwhere(decode_mask(encoded(mask, exif=exif))).tolist() == [[3, 0]]


def test_damaged_exif_does_not_spoil_good_pixels():
    data = encoded(picture(16, 16), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7fgarbage")
    assert decode_image(data).shape == (16, 16, 3)


def test_header_tells_format_and_mode_without_decoding():
    data = encoded(np.zeros((30, 50), dtype=np.uint16))
    header = image_header(data[:60])  # signature and first chunk only
    assert (header.format, header.mode, header.height, header.width) == ("PNG", "I;16", 30, 50)


@pytest.mark.parametrize(("fmt", "options"), FORMATS)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_file_cut_short_is_refused(fmt, options, share):
    rng = np.random.default_rng(0)
    data = encoded(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8), fmt, **options)
    with pytest.raises(DecodeError):
        decode_image(data[: int(len(data) * share)])


@pytest.mark.parametrize("fmt", ["PNG", "JPEG"])
def test_a_cut_png_or_jpeg_is_called_truncated(fmt):
    data = encoded(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8), fmt)
    with pytest.raises(TruncatedError, match="ends too early"):
        decode_image(data[: len(data) // 2])


def test_an_empty_file_is_called_empty():
    with pytest.raises(TruncatedError, match="empty"):
        decode_image(b"")


def test_text_is_not_an_image():
    with pytest.raises(DecodeError, match="is not a PNG"):
        decode_image(b"<html>404 not found</html>")


@pytest.mark.parametrize("fmt", ["GIF", "EPS", "PPM", "ICO"])
def test_other_formats_never_reach_their_decoders(fmt):
    with pytest.raises(DecodeError, match="is not a PNG"):
        decode_image(encoded(picture(16, 16), fmt))


def test_too_many_pixels_are_refused_before_decoding():
    with pytest.raises(DecodeError, match="20 × 12 pixels, more than the 100"):
        decode_image(encoded(picture()), max_pixels=100)


def test_a_large_image_within_the_limit_is_opened_without_a_warning():
    assert image_size(encoded(Image.new("1", (10_000, 10_000)))) == (10_000, 10_000)


@pytest.mark.parametrize(("width", "height"), [(15_000, 10_000), (60_000, 60_000)])
def test_a_small_file_that_claims_to_be_huge_is_refused_without_a_warning(width, height):
    forged = bytearray(encoded(Image.new("1", (8, 8))))
    forged[16:24] = struct.pack(">II", width, height)
    forged[29:33] = struct.pack(">I", zlib.crc32(forged[12:29]))
    with pytest.raises(DecodeError, match="cut it into tiles"):
        decode_image(bytes(forged))


@pytest.mark.parametrize("decode", [decode_image, decode_mask])
def test_memory_that_runs_out_is_not_blamed_on_the_file(monkeypatch, decode):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(decoding, "_turned", full)
    with pytest.raises(MemoryError):
        decode(encoded(picture()))


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_raise_decode_error(data):
    for decode in (decode_image, decode_mask, image_header):
        with pytest.raises(DecodeError):
            decode(data)


SEEDS = [encoded(picture(16, 24), fmt, **options) for fmt, options in FORMATS]
EXIF = Image.Exif()
EXIF[0x0112] = 6
EXIF[0x010F] = "maker"
SEEDS += [encoded(picture(16, 24), fmt, exif=EXIF) for fmt in ("JPEG", "PNG", "TIFF", "WEBP")]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0, 1),
)
def test_damaged_files_decode_or_raise_decode_error_without_a_warning(data, changes, kept):
    damaged = bytearray(data)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    damaged = bytes(damaged[: int(len(damaged) * max(kept, 0.3))])
    try:
        pixels = decode_image(damaged, max_pixels=2**20)
    except DecodeError:
        return
    assert pixels.ndim == 3


@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_lossless_files_decode_to_the_very_pixels(height, width, data):
    raw = data.draw(st.binary(min_size=height * width * 3, max_size=height * width * 3))
    pixels = np.frombuffer(raw, dtype=np.uint8).reshape(height, width, 3)
    assert (decode_image(encoded(pixels)) == pixels).all()
    assert (decode_mask(encoded(pixels)) == (pixels > 0).any(axis=2)).all()


def test_every_nonzero_value_of_a_mask_is_a_defect():
    values = np.array([[0, 1, 2, 3, 127, 128, 255]], dtype=np.uint8)
    expected = [[False] + [True] * 6]
    assert decode_mask(encoded(values)).tolist() == expected
    assert decode_mask(encoded(values, "BMP")).tolist() == expected
    assert decode_mask(encoded(values.astype(np.uint16))).tolist() == expected
    assert decode_mask(encoded(Image.fromarray(values > 0))).tolist() == expected


def test_a_palette_mask_is_judged_by_its_colours():
    image = Image.fromarray(np.array([[0, 1]], dtype=np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    assert decode_mask(encoded(image)).tolist() == [[True, False]]


def test_a_mask_painted_on_transparency_is_where_the_paint_is():
    rgba = np.array([[[255, 255, 255, 0], [255, 255, 255, 255], [0, 0, 0, 255]]], dtype=np.uint8)
    assert decode_mask(encoded(rgba)).tolist() == [[False, True, False]]


def test_a_jpeg_masks_ringing_is_no_defect():
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[20:40, 23:45] = 255
    assert (decode_mask(encoded(mask, "JPEG", quality=60)) == (mask > 0)).all()


@pytest.mark.parametrize(
    ("fmt", "options"), [("JPEG", {"quality": 80}), ("WEBP", {"quality": 80}), ("TIFF", {"compression": "jpeg"})]
)
def test_what_a_lossy_mask_smears_is_no_defect(fmt, options):
    y, x = np.mgrid[:256, :256]
    disc = (y - 100) ** 2 + (x - 120) ** 2 < 900
    mask = np.where(disc, 255, 0).astype(np.uint8)
    for pixels in (mask, np.repeat(mask[..., None], 3, axis=2)):
        assert (decode_mask(encoded(pixels, fmt, **options)) != disc).sum() <= 4


@pytest.mark.parametrize("exif", [b"", b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x00\x00"])
def test_small_values_of_a_lossless_webp_mask_are_defects(exif):
    values = np.array([[0, 1, 2, 127, 128, 255]], dtype=np.uint8)
    data = encoded(np.repeat(values[..., None], 3, axis=2), "WEBP", lossless=True, exif=exif)
    assert decode_mask(data).tolist() == [[False] + [True] * 5]


def test_a_mask_painted_on_transparency_in_lossy_webp_is_where_the_paint_is():
    rgba = np.zeros((64, 64, 4), dtype=np.uint8)
    rgba[20:40, 20:40] = 255
    assert (decode_mask(encoded(rgba, "WEBP", quality=80)) == (rgba[..., 3] > 0)).all()


def test_threads_leave_the_warning_filters_as_they_were():
    before = list(warnings.filters)
    data = encoded(picture(64, 64), "JPEG", exif=b"Exif\x00\x00II*\x00\xff\xff\xff\x7f")
    threads = [threading.Thread(target=lambda: [decode_image(data) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_the_first_page_counts():
    pages = [Image.fromarray(picture(seed=k)) for k in (0, 40)]
    buffer = io.BytesIO()
    pages[0].save(buffer, format="TIFF", save_all=True, append_images=pages[1:])
    assert (decode_image(buffer.getvalue()) == picture(seed=0)).all()
