import json
from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from raysuite.config import AugmentationConfig
from raysuite.datasets.procedural.benchmark import draw_good
from raysuite.training.augmentation import choose_augmentation
from raysuite.training.turning import SYMMETRIES, sample_turned
from tests.training.pictures import fine_lay, noise, parts, rings, stripes

ALL = tuple(SYMMETRIES)
AUTO = AugmentationConfig()


def choose(images_NCHW, crop=None, **settings):
    return choose_augmentation(replace(AUTO, **settings), images_NCHW, crop or min(images_NCHW.shape[2:]))


def test_a_texture_without_a_lay_may_be_flipped_and_turned_in_every_way():
    chosen = choose(noise(), crop=40)
    assert chosen.kind == "texture"
    assert chosen.flips == ALL
    assert (chosen.rotation, chosen.angle) == ("free", 180)


def test_a_part_that_always_lies_the_same_way_is_left_so():
    chosen = choose(parts())
    assert chosen.kind == "object"
    assert chosen.flips == ()
    assert (chosen.rotation, chosen.angle, chosen.shift) == ("off", 0, 0)


def test_each_symmetry_is_judged_by_itself():
    left_right = torch.minimum(parts(), parts().flip(3))
    assert choose(left_right).flips == ("mirror",)


def test_stripes_are_flipped_but_not_turned():
    chosen = choose(stripes(), crop=40)
    assert chosen.flips == ("mirror", "flip")
    assert chosen.rotation != "free"


def test_a_lay_that_small_pictures_do_not_show_is_seen():
    chosen = choose(fine_lay(), crop=80)
    assert chosen.flips == ("mirror", "flip")
    assert chosen.rotation != "free"


def test_ridges_that_are_steep_on_one_side_may_be_mirrored_along_but_not_across():
    assert choose(stripes(skew=0.4)).flips == ("mirror",)


def test_leather_with_a_lay_and_a_light_is_not_turned_and_not_flipped():
    images = [draw_good("grain", seed=1, split="train", index=index, size=96) for index in range(12)]
    chosen = choose(torch.stack([torch.from_numpy(image).permute(2, 0, 1) for image in images]))
    assert chosen.kind == "texture"
    assert chosen.flips == ()


def test_a_round_part_on_a_plain_ground_may_be_turned_by_any_angle():
    chosen = choose(rings())
    assert (chosen.kind, chosen.rotation, chosen.padding) == ("object", "free", "border")


def test_a_round_part_under_a_lamp_at_one_side_is_not_turned_freely():
    lit = rings()
    lit[:, :, 30:34, 8:12] = 255
    assert choose(lit).measured["any angle"] > choose(rings()).measured["any angle"]
    assert choose(lit).rotation != "free"


def test_parts_that_lie_at_all_angles_may_be_turned():
    angles = torch.linspace(0, 2 * torch.pi, 25)[:24]
    centres = torch.full((24, 2), 32.0)
    turned = sample_turned(parts().float() / 255, centres, angles, (64, 64), "border")
    chosen = choose((turned * 255).round().to(torch.uint8))
    assert chosen.rotation == "free"
    assert "turn" in chosen.flips
    assert "mirror" in chosen.measured


def test_parts_are_shifted_as_far_as_they_lie_apart_themselves():
    assert choose(parts(jitter=0.0)).shift == 0
    some, much = (choose(parts(jitter=jitter)).shift for jitter in (0.015, 0.06))
    assert 0 < some < much == AUTO.max_shift


def test_a_texture_is_turned_only_where_nothing_has_to_be_made_up():
    assert choose(noise(), crop=64).rotation == "off"
    assert "data.crop_size of 45 or less" in choose(noise(), crop=64).reasons["rotation"]
    assert choose(noise(), crop=45).rotation == "free"
    assert choose(noise(), crop=60).rotation == "small"


def test_a_texture_is_not_shifted():
    assert choose(noise()).shift == 0


@pytest.mark.parametrize("make", [noise, parts, rings])
def test_what_is_set_is_obeyed(make):
    on = choose(make(), flips="on", rotation="free", shift="on", max_shift=0.07)
    assert (on.flips, on.rotation, on.angle, on.shift) == (ALL, "free", 180, 0.07)
    small = choose(make(), rotation="small", max_angle=8)
    assert (small.rotation, small.angle) == ("small", 8)
    off = choose(make(), flips="off", rotation="off", shift="off")
    assert (off.flips, off.rotation, off.angle, off.shift) == ((), "off", 0, 0)
    assert off.reasons["flips"] == "augmentation.flips is off"


def test_limits_of_zero_switch_off():
    chosen = choose(parts(jitter=0.05), max_angle=0, max_shift=0)
    assert (chosen.rotation, chosen.shift) == ("off", 0)
    assert choose(noise(), rotation="small", max_angle=0).rotation == "off"


@pytest.mark.parametrize("size", [(64, 96), (128, 48)])
def test_only_square_images_are_turned_by_a_quarter(size):
    assert choose(noise(size=size)).flips == ("mirror", "flip")
    assert choose(noise(size=size), flips="on").flips == ("mirror", "flip")
    assert choose(parts(size=size)).flips == ()


@pytest.mark.parametrize("count", [1, 2])
def test_too_few_images_allow_nothing_but_what_is_asked_for(count):
    chosen = choose(noise(count))
    assert (chosen.kind, chosen.flips, chosen.rotation, chosen.shift) == ("unknown", (), "off", 0)
    assert chosen.reasons["flips"] == "fewer than 3 images"
    asked = choose(noise(count), flips="on", rotation="small", shift="on")
    assert (asked.flips, asked.rotation, asked.shift) == (ALL, "small", AUTO.max_shift)


def test_the_same_images_give_the_same_decision_whatever_torch_s_seed():
    torch.manual_seed(1)
    first = choose(rings())
    torch.manual_seed(2)
    assert choose(rings()) == first


def test_the_decision_goes_into_json_and_into_one_sentence():
    chosen = choose(parts(jitter=0.06), rotation="small")
    assert json.loads(json.dumps(chosen.as_mapping())) == chosen.as_mapping()
    assert chosen.as_mapping()["flips"] == []
    assert {"moved", "border", "mirror", "flip", "turn", "3 %"} == set(chosen.as_mapping()["measured"])
    assert set(chosen.reasons) == {"kind", "flips", "rotation", "shift"}
    assert chosen.sentence() == "an object; no flips; turned by up to 3°; shifted by up to 3 %"
    with pytest.raises(FrozenInstanceError):
        chosen.angle = 90
