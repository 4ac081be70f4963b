import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.config import AugmentationConfig, Config, DataConfig, ModelConfig
from raysuite.errors import ConfigError
from raysuite.settings import (
    PRESETS,
    differences,
    from_mapping,
    from_yaml,
    preset,
    section_from_mapping,
    to_mapping,
    to_yaml,
    with_words,
)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_survives_yaml(name):
    assert preset(name).preset == name
    assert from_yaml(to_yaml(preset(name))) == preset(name)
    assert from_mapping({"preset": name}) == preset(name)
    assert differences(preset(name), from_mapping(to_mapping(preset(name)))) == {}


def test_unknown_preset_names_the_known_ones():
    with pytest.raises(ConfigError, match="tiny, small, base, full"):
        preset("huge")
    with pytest.raises(ConfigError, match="there is no preset '3'"):
        from_yaml("preset: 3")


def test_a_named_preset_gives_the_settings_that_are_not_named():
    config = from_yaml("preset: tiny\ntraining: {steps: 7}")
    assert config.training.steps == 7
    assert config.training.learning_rate == PRESETS["tiny"].training.learning_rate
    assert config.model == PRESETS["tiny"].model


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"trainings": {}}, r"no setting 'trainings'; did you mean training\?"),
        ({"training": {"step": 3}}, r"no setting 'training.step'; did you mean training.steps\?"),
        ({"model": {"widhts": [3]}}, r"did you mean model.widths\?"),
        ({3: 4}, "no setting '3'"),
    ],
)
def test_an_unknown_key_names_the_nearest(mapping, told):
    with pytest.raises(ConfigError, match=told):
        from_mapping(mapping)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.steps", "many"),
        ("training.steps", True),
        ("training.steps", 2.5),
        ("training.steps", "800"),
        ("training.steps", None),
        ("training.steps", [8]),
        ("training.steps", {"x": 1}),
        ("training.learning_rate", True),
        ("training.learning_rate", "fast"),
        ("training.learning_rate", []),
        ("augmentation.flips", 1),
        ("augmentation.flips", ["on"]),
        ("model.skip", True),
        ("model.widths", ["a"]),
        ("model.widths", [True]),
        ("model.width", [3]),
        ("model.separable", "yes"),
        ("model.separable", 1),
        ("model.dilations", []),
        ("detection.map_normalise", 1),
        ("detection.score_normalise", True),
        ("detection.flips", "yes"),
        ("detection.flips", 1),
        ("training", 5),
        ("training", None),
        ("training", [1]),
        ("preset", ["tiny"]),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_key(key, value):
    section, _, name = key.partition(".")
    with pytest.raises(ConfigError, match=section) as caught:
        from_mapping({section: {name: value} if name else value})
    assert key in str(caught.value)


def test_numbers_are_taken_in_the_spellings_people_use():
    config = with_words(Config(), ["training.learning_rate=1e-3"])
    assert config.training.learning_rate == 1e-3
    assert with_words(Config(), ["training.steps=50.0"]).training.steps == 50
    decay = with_words(Config(), ["training.weight_decay=0"]).training.weight_decay
    assert decay == 0.0
    assert isinstance(decay, float)


@pytest.mark.parametrize(("word", "read"), [("on", "on"), ("off", "off"), ("true", "on"), ("auto", "auto")])
def test_on_and_off_are_words_for_flips(word, read):
    assert with_words(Config(), [f"augmentation.flips={word}"]).augmentation.flips == read


def test_a_lone_number_is_a_list_of_one():
    assert with_words(Config(), ["model.widths=16", "model.dilations=[1, 3]"]).model == ModelConfig(
        widths=(16,), dilations=(1, 3)
    )


@pytest.mark.parametrize("word", ["model.widths=16, 32", "model.dilations=1 2", "model.widths=[16, a]"])
def test_a_list_written_as_text_is_refused_with_what_a_list_looks_like(word):
    key = word.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"{key} is .*must be a list in square brackets, such as \[16, 32\]"):
        with_words(Config(), [word])


def test_words_apply_in_order_and_leave_the_rest():
    config = with_words(PRESETS["tiny"], ["training.steps=3", "data.image_size=128", "training.steps=4"])
    assert differences(PRESETS["tiny"], config) == {"data.image_size": (256, 128), "training.steps": (400, 4)}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["training.steps"], "takes key=value"),
        (["=3"], "takes key=value"),
        (["preset=tiny"], "--preset"),
        (["training.steps=[1"], "training.steps=\\[1 is not valid"),
        (["training.steps=2020-13-45"], "training.steps=2020-13-45 is not valid"),
        (["training=3"], "training is a section"),
        (["training.steps=3", "training.steps.more=3"], "set twice"),
        (["training..steps=3"], "no setting"),
        (["training.steps="], "training.steps is None"),
    ],
)
def test_a_word_that_cannot_be_read_is_refused(words, told):
    with pytest.raises(ConfigError, match=told):
        with_words(Config(), words)


def test_numbers_beyond_floats_are_refused_as_any_other():
    with pytest.raises(ConfigError, match=r"training\.learning_rate"):
        from_mapping({"training": {"learning_rate": 10**400}})
    with pytest.raises(ConfigError, match=r"data\.image_size"):
        from_mapping({"data": {"image_size": 10**400}})


@pytest.mark.parametrize("text", ["- 1", "3", "", "just words"])
def test_yaml_that_is_no_mapping_is_refused_by_name(text):
    with pytest.raises(ConfigError, match=r"my\.yaml must be a mapping"):
        from_yaml(text, "my.yaml")


@pytest.mark.parametrize("text", ["training: {steps: 8", "a:\n\t- b", "training: {steps: 2020-13-45}"])
def test_broken_yaml_is_refused_by_name(text):
    with pytest.raises(ConfigError, match=r"my\.yaml is not valid YAML"):
        from_yaml(text, "my.yaml")


def test_broken_yaml_names_the_line():
    with pytest.raises(ConfigError, match="at line 2"):
        from_yaml("preset: tiny\ntraining: }\n")


def test_yaml_tags_are_refused_and_run_nothing(tmp_path):
    proof = tmp_path / "run"
    for attack in (
        f"preset: !!python/object/apply:os.system ['touch {proof}']",
        f"training: !!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ['{proof}']]",
        "!!python/name:os.system",
    ):
        with pytest.raises(ConfigError):
            from_yaml(attack)
        with pytest.raises(ConfigError):
            with_words(Config(), [f"training.steps={attack}"])
    assert not proof.exists()


def test_differences_name_dotted_keys_with_old_and_new_value():
    other = Config(
        data=DataConfig(image_size=512), augmentation=AugmentationConfig(flips="off"), model=ModelConfig(widths=(8,))
    )
    assert differences(Config(), other) == {
        "data.image_size": (256, 512),
        "augmentation.flips": ("auto", "off"),
        "model.widths": ([], [8]),
    }
    assert differences(other, other) == {}


def test_a_section_alone_is_read_as_strictly():
    assert section_from_mapping(ModelConfig, {"widths": [4, 8]}, "model").widths == (4, 8)
    with pytest.raises(ConfigError, match=r"model.wides.*model.widths"):
        section_from_mapping(ModelConfig, {"wides": [4]}, "model")


@pytest.mark.parametrize("value", ["text", [1, 2], 3, None])
def test_a_section_that_is_no_mapping_is_refused(value):
    with pytest.raises(ConfigError, match="model must be a mapping"):
        section_from_mapping(ModelConfig, value, "model")


@settings(deadline=None, max_examples=50, derandomize=True)
@given(
    st.dictionaries(
        st.sampled_from(["preset", "data", "training", "model", "other", ""]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=2)
                | st.dictionaries(st.sampled_from(["steps", "widths", "skip", "image_size", "x"]), inner, max_size=2)
            ),
            max_leaves=4,
        ),
        max_size=3,
    )
)
def test_any_mapping_gives_a_config_or_one_error(mapping):
    with contextlib.suppress(ConfigError):
        assert isinstance(from_mapping(mapping), Config)
