import dataclasses
import math

import pytest

from raysuite.config import (
    FILLS,
    SHAPES,
    Config,
    CorruptionConfig,
    DataConfig,
    DetectionConfig,
    ModelConfig,
    ObjectiveConfig,
)
from raysuite.config import AugmentationConfig as Augmentation
from raysuite.config import TrainingConfig as Training
from raysuite.errors import ConfigError

SECTIONS = {
    "data": DataConfig,
    "corruption": CorruptionConfig,
    "augmentation": Augmentation,
    "model": ModelConfig,
    "objective": ObjectiveConfig,
    "training": Training,
    "detection": DetectionConfig,
}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.image_size", 31),
        ("data.image_size", 4097),
        ("data.crop_size", 16),
        ("data.crop_size", 300),
        ("data.crop_size", -1),
        ("data.held_out_share", 0.0),
        ("data.held_out_share", 0.41),
        ("data.validation_share", 0.0),
        ("data.validation_share", 0.41),
        ("data.resident_gb", 0.0),
        ("corruption.clean_share", 1.1),
        ("corruption.opaque_share", -0.1),
        ("corruption.min_opacity", 2.0),
        ("corruption.noise", "kept"),
        ("corruption.noise_level", -0.01),
        ("corruption.max_count", 0),
        ("corruption.max_count", 17),
        ("corruption.min_area", 0.0),
        ("corruption.min_area", 0.2),
        ("corruption.max_area", 0.6),
        ("model.width", 0),
        ("model.width", 1025),
        ("model.depth", 0),
        ("model.depth", 9),
        ("model.widths", (8, 0)),
        ("model.widths", (4097,)),
        ("model.widths", (4,) * 9),
        ("model.stem", 3),
        ("model.blocks", -1),
        ("model.blocks", 17),
        ("model.branch_width", -1),
        ("model.branch_width", 4097),
        ("model.dilations", ()),
        ("model.dilations", (1, 0)),
        ("model.dilations", (1,) * 17),
        ("model.kernel", 4),
        ("model.bottleneck", -1),
        ("model.bottleneck", 4097),
        ("model.skip", "add"),
        ("model.norm", "layer"),
        ("model.padding", "circular"),
        ("training.steps", 0),
        ("training.batch_size", 0),
        ("training.learning_rate", 0.0),
        ("training.learning_rate", 1.5),
        ("training.warmup_share", 1.0),
        ("training.weight_decay", -1e-9),
        ("training.gradient_clip", 0.0),
        ("training.ema", 1.0),
        ("training.precision", "float16"),
        ("training.compile", "maybe"),
        ("training.checkpoint_every", 0),
        ("objective.kind", "variational"),
        ("objective.repair_weight", 1.01),
        ("objective.gradient_weight", -0.1),
        ("objective.idempotence_weight", -0.1),
        ("objective.sparsity", -1e-9),
        ("objective.contraction", -1e-9),
        ("objective.noise_level", 1.1),
        ("augmentation.flips", "maybe"),
        ("augmentation.rotation", "on"),
        ("augmentation.shift", "small"),
        ("augmentation.max_angle", -1),
        ("augmentation.max_angle", 181),
        ("augmentation.max_shift", 0.6),
        ("training.log_every", 0),
        ("detection.choice", "best"),
        ("detection.map_kernel", 4),
        ("detection.score_kernel", 103),
        ("detection.map_passes", -1),
        ("detection.score_passes", 11),
        ("detection.map_normalise", True),
        ("detection.score_normalise", "mean"),
        ("detection.pooling", "sum"),
        ("detection.score_share", 0.0),
        ("detection.score_share", 1.1),
        ("detection.floor", -0.1),
        ("detection.false_alarm_rate", 0.0),
        ("detection.false_alarm_rate", 1.0),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key(key, value):
    section, _, name = key.partition(".")
    with pytest.raises(ConfigError, match=f"{section}.*{name}.*must be"):
        SECTIONS[section](**{name: value})


FLOATS = [
    (section, field.name)
    for section, kind in SECTIONS.items()
    for field in dataclasses.fields(kind)
    if isinstance(field.default, float)
]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("section", "name"), FLOATS)
def test_no_number_setting_takes_nan_or_infinity(section, name, value):
    with pytest.raises(ConfigError, match=name):
        SECTIONS[section](**{name: value})


FAMILIES = [("shapes", name) for name in SHAPES] + [("fills", name) for name in FILLS]


def family(section, name):
    return type(getattr(getattr(CorruptionConfig(), section), name))


@pytest.mark.parametrize("value", [-1.0, -1e-9, math.nan, math.inf])
@pytest.mark.parametrize(("section", "name"), FAMILIES)
def test_a_weight_that_is_none_is_refused_with_its_key(section, name, value):
    with pytest.raises(ConfigError, match=rf"corruption\.{section}\.{name}\.weight is .*0 or more"):
        family(section, name)(weight=value)


@pytest.mark.parametrize("value", [-1, 100_000, math.nan])
@pytest.mark.parametrize(
    ("section", "name", "setting"),
    [
        (section, name, field.name)
        for section, name in FAMILIES
        for field in dataclasses.fields(family(section, name))
        if field.name not in {"weight", "folder", "tiles"}
    ],
)
def test_a_familys_setting_out_of_range_is_refused_with_its_key(section, name, setting, value):
    with pytest.raises(ConfigError, match=rf"corruption\.{section}\.{name}\.{setting} is .*must be"):
        family(section, name)(**{setting: value})


@pytest.mark.parametrize("tiles", [(), (1,), (4, 129)])
def test_tiles_that_are_none_are_refused(tiles):
    with pytest.raises(ConfigError, match=r"corruption\.fills\.shuffle\.tiles"):
        family("fills", "shuffle")(tiles=tiles)


@pytest.mark.parametrize(("section", "names"), [("shapes", SHAPES), ("fills", FILLS)])
def test_all_families_off_is_refused_with_what_may_be_on(section, names):
    off = {name: family(section, name)(weight=0.0) for name in names}
    kind = type(getattr(CorruptionConfig(), section))
    with pytest.raises(ConfigError, match=rf"corruption\.{section}.*{names[0]}.*{names[-1]}"):
        CorruptionConfig(**{section: kind(**off)})
    for name in names:
        assert CorruptionConfig(**{section: kind(**{**off, name: family(section, name)(weight=0.1)})})


@pytest.mark.parametrize(
    ("data", "model", "told"),
    [
        ({"image_size": 64}, {}, r"data\.image_size is 64, but it must be 72 or more"),  # 8 cells, dilation 8
        ({"image_size": 256, "crop_size": 64}, {}, r"data\.crop_size is 64, but it must be 72 or more"),
        ({"image_size": 64}, {"dilations": (1, 4), "kernel": 5}, "72 or more"),  # reaches 8
        ({"image_size": 64}, {"widths": (4,) * 5, "blocks": 0}, "128 or more"),  # a single cell
        ({"image_size": 64}, {"padding": "zeros"}, "72 or more"),
        ({"image_size": 64}, {"padding": "replicate", "dilations": (1, 9)}, "80 or more"),
    ],
)
def test_an_image_too_small_for_the_dilations_is_refused_with_the_smallest(data, model, told):
    with pytest.raises(ConfigError, match=rf"{told}.*model\.dilations, model\.kernel, model\.padding"):
        Config(data=DataConfig(**data), model=ModelConfig(**model))


@pytest.mark.parametrize(
    ("side", "model", "widest"),
    [
        (64, {}, 7),
        (64, {"dilations": (1, 4), "kernel": 5}, 3),
        (64, {"dilations": (1, 9), "kernel": 5, "padding": "zeros"}, 7),
        (256, {"dilations": (1, 64)}, 31),
    ],
)
def test_a_dilation_too_wide_is_refused_with_the_widest_that_fits(side, model, widest):
    data = DataConfig(image_size=side)
    with pytest.raises(ConfigError, match=rf"; at {side} the widest that fits is {widest}$"):
        Config(data=data, model=ModelConfig(**model))
    fitting = {**model, "dilations": (widest,)}
    assert Config(data=data, model=ModelConfig(**fitting)).model.dilations == (widest,)


def test_where_no_dilation_fits_none_is_named():
    with pytest.raises(ConfigError, match=r"model\.padding\)$"):
        Config(data=DataConfig(image_size=64), model=ModelConfig(widths=(4,) * 5, dilations=(1, 2)))
    with pytest.raises(ConfigError, match=r"model\.padding\)$"):
        Config(data=DataConfig(image_size=64), model=ModelConfig(widths=(4,) * 5, blocks=0))


def test_an_image_that_just_holds_the_dilations_is_taken():
    assert Config(data=DataConfig(image_size=72)).model.reach == 8
    assert Config(data=DataConfig(image_size=32), model=ModelConfig(blocks=0)).model.reach == 1


def test_only_a_reflected_border_limits_the_reach_of_a_large_kernel():
    assert ModelConfig(dilations=(1, 4), kernel=7).reach == 12
    for padding in ("replicate", "zeros"):
        assert ModelConfig(dilations=(1, 4), kernel=7, padding=padding).reach == 4


@pytest.mark.parametrize(
    ("data", "model", "told"),
    [
        ({"image_size": 250}, {}, "data.image_size is 250, but it must be a multiple of 8.*such as 248"),
        ({"crop_size": 100}, {}, "data.crop_size is 100, but it must be a multiple of 8.*such as 96"),
        ({"image_size": 264}, {"depth": 3}, "data.image_size is 264, but it must be a multiple of 16.*such as 256"),
        ({"image_size": 200}, {"depth": 8}, "data.image_size is 200, but it must be a multiple of 512.*such as 512"),
    ],
)
def test_a_size_that_the_levels_do_not_divide_is_refused_with_a_near_one(data, model, told):
    with pytest.raises(ConfigError, match=told):
        Config(data=DataConfig(**data), model=ModelConfig(**model))


def test_stride_counts_the_stem_and_every_pooling():
    assert ModelConfig(widths=(4, 4, 4), stem=2).stride == 16
    assert ModelConfig(widths=(4,), stem=1).stride == 2
    assert ModelConfig(depth=4, stem=1).stride == 16


def test_width_and_depth_set_what_is_not_set_by_itself():
    dial = ModelConfig(width=12, depth=3)
    assert dial.level_widths == (12, 24, 48)
    assert (dial.branches, dial.bottleneck_width) == ((4, 12), 48)
    own = ModelConfig(width=12, depth=3, widths=(5, 7), branch_width=2, bottleneck=3)
    assert own.level_widths == (5, 7)
    assert (own.branches, own.bottleneck_width) == ((4, 2), 3)
    assert ModelConfig(widths=(5, 7)).branches == (4, 5)


def test_a_dial_that_ends_in_an_impossible_width_is_refused():
    with pytest.raises(ConfigError, match=r"model\.width, model\.depth is \(1024, 4\).*at most 4096"):
        ModelConfig(width=1024, depth=4)


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().preset = "other"
