import io

import numpy as np
import pytest
from PIL import Image

from raysuite.errors import MetricsError
from raysuite.reporting.images import colour_map, data_uri, encode_webp, outline_layer


def test_colours_get_lighter_with_the_value():
    ramp_HW = np.linspace(0, 1, 256, dtype=np.float32)[None]
    colours = colour_map(ramp_HW, 0.0, 1.0).astype(float)[0]
    lightness = colours @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(lightness) > -0.6)  # whole numbers may step back by their rounding
    assert colours[0].tolist() == [0x44, 0x01, 0x54]
    assert colours[-1].tolist() == [0xFD, 0xE7, 0x25]


def test_values_beyond_the_scale_and_not_finite_stay_on_it():
    map_HW = np.array([[-5.0, np.nan, -np.inf, 5.0, np.inf]], dtype=np.float32)
    colours = colour_map(map_HW, 0.0, 1.0)[0]
    assert (colours[:3] == colours[0]).all()
    assert (colours[3:] == colours[4]).all()
    assert (colours[0] != colours[4]).any()


def test_an_empty_scale_is_a_step():
    colours = colour_map(np.array([[0.0, 1.0, 2.0]], dtype=np.float32), 1.0, 1.0)[0]
    assert (colours[0] == colours[1]).all()
    assert (colours[1] != colours[2]).any()


def test_large_pictures_shrink_and_small_ones_stay():
    wide_HWC = np.zeros((100, 400, 3), np.uint8)
    assert Image.open(io.BytesIO(encode_webp(wide_HWC, 200))).size == (200, 50)
    assert Image.open(io.BytesIO(encode_webp(wide_HWC[:, :40], 200))).size == (40, 100)
    assert Image.open(io.BytesIO(encode_webp(wide_HWC[..., 0], 200))).size == (200, 50)


def test_the_contour_runs_outside_the_mask_and_everything_else_is_transparent():
    mask_HW = np.zeros((40, 40), np.uint8)
    mask_HW[10:20, 10:20] = 255
    layer_HW4 = np.asarray(Image.open(io.BytesIO(outline_layer(encode_webp(mask_HW, 40)))))
    drawn_HW = layer_HW4[..., 3] > 0
    assert drawn_HW.shape == (40, 40)
    assert not drawn_HW[11:19, 11:19].any()
    assert drawn_HW[9, 10:20].all()
    assert not drawn_HW[:6].any()
    assert not drawn_HW[25:].any()


@pytest.mark.parametrize("mask", [None, b"", b"<svg/>", encode_webp(np.zeros((8, 8), np.uint8), 8)])
def test_there_is_no_contour_of_what_is_no_mask_or_an_empty_one(mask):
    assert outline_layer(mask) is None


def test_wrong_shapes_and_types_are_refused():
    with pytest.raises(MetricsError, match=r"\(2, 3, 3\)"):
        colour_map(np.zeros((2, 3, 3)), 0, 1)
    with pytest.raises(MetricsError, match="float64"):
        encode_webp(np.zeros((4, 4, 3)), 8)


@pytest.mark.parametrize(("kind", "name"), [("PNG", "png"), ("JPEG", "jpeg"), ("WEBP", "webp")])
def test_pictures_become_data_uris_of_their_own_kind(kind, name):
    sink = io.BytesIO()
    Image.new("RGB", (4, 4)).save(sink, kind)
    assert data_uri(sink.getvalue()).startswith(f"data:image/{name};base64,")


@pytest.mark.parametrize("data", [b"", b"<svg onload='alert(1)'>", b"GIF89a", b"RIFF\0\0\0\0WAVE", None])
def test_other_bytes_never_become_a_picture(data):
    assert data_uri(data) is None
