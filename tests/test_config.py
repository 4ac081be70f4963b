import dataclasses
import math

import pytest

from raysuite.config import FILLS, SHAPES, Config, CorruptionConfig, DataConfig, DetectionConfig, ModelConfig
from raysuite.config import TrainingConfig as Training
from raysuite.errors import ConfigError

SECTIONS = {
    "data": DataConfig,
    "corruption": CorruptionConfig,
    "model": ModelConfig,
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
        ("data.held_out_share", 0.6),
        ("corruption.clean_share", 1.1),
        ("corruption.opaque_share", -0.1),
        ("corruption.min_opacity", 2.0),
        ("corruption.noise", -0.01),
        ("corruption.max_count", 0),
        ("corruption.max_count", 17),
        ("corruption.min_area", 0.0),
        ("corruption.min_area", 0.2),
        ("corruption.max_area", 0.6),
        ("corruption.shapes", (1.0,)),
        ("corruption.shapes", (0.0,) * len(SHAPES)),
        ("corruption.fills", (-1.0, *(1.0,) * (len(FILLS) - 1))),
        ("model.widths", ()),
        ("model.widths", (8, 0)),
        ("model.stem", 3),
        ("model.blocks", -1),
        ("model.blocks", 17),
        ("model.branch_width", 0),
        ("model.dilations", ()),
        ("model.dilations", (1, 0)),
        ("model.kernel", 4),
        ("model.bottleneck", -1),
        ("model.skip", "concat"),
        ("training.steps", 0),
        ("training.batch_size", 0),
        ("training.learning_rate", 0.0),
        ("training.learning_rate", 1.5),
        ("training.warmup_share", 1.0),
        ("training.weight_decay", -1e-9),
        ("training.repair_weight", 1.01),
        ("training.gradient_clip", 0.0),
        ("training.ema", 1.0),
        ("training.precision", "float16"),
        ("training.flips", "maybe"),
        ("training.log_every", 0),
        ("detection.map_kernel", 4),
        ("detection.score_kernel", 103),
        ("detection.map_passes", -1),
        ("detection.score_passes", 11),
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
    if (name, value) == ("gradient_clip", math.inf):
        return  # Clipping at infinity is no clipping, and means just that.
    with pytest.raises(ConfigError, match=name):
        SECTIONS[section](**{name: value})


@pytest.mark.parametrize("name", ["shapes", "fills"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, -1])
def test_no_weight_is_nan_or_infinite(name, value, place):
    weights = [1.0] * len(getattr(CorruptionConfig(), name))
    weights[place] = value
    with pytest.raises(ConfigError, match=f"corruption.{name}"):
        CorruptionConfig(**{name: tuple(weights)})


def test_weights_have_an_entry_for_every_kind():
    assert len(CorruptionConfig().shapes) == len(SHAPES)
    assert len(CorruptionConfig().fills) == len(FILLS)


@pytest.mark.parametrize(
    ("data", "model"),
    [
        (DataConfig(image_size=64), ModelConfig()),  # 8 cells, dilation 8
        (DataConfig(image_size=256, crop_size=64), ModelConfig()),
        (DataConfig(image_size=64), ModelConfig(dilations=(1, 4), kernel=5)),  # reaches 8
        (DataConfig(image_size=32), ModelConfig(widths=(4,) * 5, blocks=0)),  # half a cell
    ],
)
def test_an_image_too_small_for_the_dilations_is_refused_with_the_keys(data, model):
    with pytest.raises(ConfigError, match=r"data\.image_size.*model\.dilations"):
        Config(data=data, model=model)


def test_an_image_that_just_holds_the_dilations_is_taken():
    assert Config(data=DataConfig(image_size=72)).model.reach == 8
    assert Config(data=DataConfig(image_size=32), model=ModelConfig(blocks=0)).model.reach == 1


def test_stride_counts_the_stem_and_every_pooling():
    assert ModelConfig(widths=(4, 4, 4), stem=2).stride == 16
    assert ModelConfig(widths=(4,), stem=1).stride == 2


def test_a_config_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().preset = "other"
