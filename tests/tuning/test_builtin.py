import random

import pytest

from raysuite.config import FILLS, SHAPES
from raysuite.errors import ConfigError
from raysuite.settings import PRESETS, for_objective, preset, with_words
from raysuite.tuning.builtin import SPACES, builtin
from raysuite.tuning.keys import types


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("start", PRESETS)
def test_the_start_lies_in_every_space_and_every_draw_is_a_config(name, start):
    for words in (
        [],
        ["data.crop_size=160"],
        ["model.widths=[8, 20]"],
        ["model.skip=none", "training.ema=0.5"],
        # Twice or more of these would be refused.
        ["model.width=640", "model.blocks=15"],
        ["model.width=1024", "model.depth=1", "model.blocks=16"],
        ["model.widths=[2400, 4096]"],
        ["model.blocks=0"],
        ["model.blocks=0", "data.image_size=72"],
        ["model.blocks=0", "data.image_size=64"],
    ):
        base = with_words(preset(start), words)
        space = builtin(name, base)
        values = space.default_of(base)
        assert space.config(base, values) == base
        assert {one.key for one in space.dimensions if one.is_active(values)} == values.keys()
        rng = random.Random(0)
        for _ in range(20):
            space.config(base, space.draw(rng))


def test_every_family_of_shapes_and_fills_is_in_the_space_with_all_its_numbers():
    keys = set(builtin("corruption", preset("small")).keys)
    assert {f"corruption.shapes.{name}.weight" for name in SHAPES} <= keys
    assert {f"corruption.fills.{name}.weight" for name in FILLS} <= keys
    parts = {key for key in types() if key.startswith(("corruption.shapes.", "corruption.fills."))}
    assert parts - keys == {"corruption.fills.texture.folder"}, "where photographs lie is no dial"
    assert {key for key in types() if key.startswith("corruption.")} - keys == {"corruption.fills.texture.folder"}


def test_a_family_that_is_left_out_can_stay_so_and_all_weights_are_never_zero():
    base = with_words(preset("small"), [f"corruption.shapes.{name}.weight=0" for name in SHAPES if name != "disc"])
    space = builtin("corruption", base)
    assert space.config(base, space.default_of(base)) == base
    domains = {one.key: one.domain for one in space.dimensions}
    assert domains["corruption.shapes.hair.weight"].low == 0
    assert domains["corruption.shapes.disc.weight"].low > 0


def test_a_setting_of_an_unknown_family_gets_a_domain_from_what_the_config_takes():
    base = preset("small")
    space = {one.key: one.domain for one in builtin("corruption", base).dimensions}
    assert (space["corruption.shapes.scratch.max_width"].low, space["corruption.shapes.scratch.max_width"].high) == (
        3,
        12,
    )
    step = space["corruption.fills.gradient.max_step"]
    assert step.high <= 1, "twice the default would be refused"
    assert step.high > 0.6
    assert space["corruption.fills.shuffle.tiles"].values == ((2, 4, 8), (4, 8, 16), (8, 16, 32))


def test_objectives_that_ask_for_a_bottleneck_are_never_given_skips():
    base = for_objective(preset("tiny"), "plain")
    assert "model.skip" not in builtin("capacity", base).keys
    with pytest.raises(ConfigError, match="pastes nothing over the images"):
        builtin("corruption", base)
    assert not any(key.startswith("corruption") for key in builtin("full", base).keys)


def test_the_full_space_has_the_others_the_schedule_and_the_map():
    base = preset("tiny")
    full = set(builtin("full", base).keys)
    assert full >= {*builtin("corruption", base).keys, *builtin("capacity", base).keys}
    assert {
        "training.learning_rate",
        "training.ema",
        "detection.pooling",
        "detection.map_kernel",
        "detection.error",
    } <= full
    space = builtin("full", base)
    assert "detection.map_kernel" not in space.active(space.default_of(base)), "auto chooses it"


def test_an_unknown_space_names_the_known():
    with pytest.raises(ConfigError, match="corruption, capacity, full"):
        builtin("corruptions", preset("tiny"))
