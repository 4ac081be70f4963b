import pytest
import yaml

from raysuite.errors import ConfigError
from raysuite.settings import preset
from raysuite.tuning.builtin import SPACES, builtin
from raysuite.tuning.space import Choice, Condition, Dimension, Float, Int, Space
from raysuite.tuning.spacefile import space_from_mapping, space_from_yaml

BASE = preset("tiny")


def test_ranges_choices_and_conditions_are_read_by_dotted_key_and_by_section():
    read = space_from_yaml("""
training.learning_rate: {low: 1e-4, high: 1e-2, log: true}
model:
  width: {low: 8, high: 32}
  skip: [convex, none]
  bottleneck: {choices: [0, 8], when: {model.skip: none}}
augmentation.flips: [on, off]
model.dilations: [[1, 2], [1, 2, 4]]
""")
    assert read == Space(
        (
            Dimension("training.learning_rate", Float(1e-4, 1e-2, log=True)),
            Dimension("model.width", Int(8, 32)),
            Dimension("model.skip", Choice(("convex", "none"))),
            Dimension("model.bottleneck", Choice((0, 8)), Condition("model.skip", ("none",))),
            Dimension("augmentation.flips", Choice((True, False))),
            Dimension("model.dilations", Choice(((1, 2), (1, 2, 4)))),
        )
    )
    flips = {one.key: one.domain for one in read.validated(BASE).dimensions}["augmentation.flips"]
    assert flips == Choice(("on", "off")), "YAML reads them as truth values; the config has words"


def test_a_condition_on_a_word_that_yaml_takes_for_a_truth_value_holds():
    text = "augmentation.flips: [on, off]\naugmentation.shift: {choices: [on, off], when: {augmentation.flips: on}}"
    read = space_from_yaml(text).validated(BASE)
    assert read.active({"augmentation.flips": "on", "augmentation.shift": "off"}).keys() == set(read.keys)
    assert read.active({"augmentation.flips": "off", "augmentation.shift": "off"}) == {"augmentation.flips": "off"}


@pytest.mark.parametrize("name", SPACES)
def test_every_built_in_space_survives_yaml(name):
    space = builtin(name, BASE)
    text = yaml.safe_dump(space.as_mapping())
    again = space_from_yaml(text).validated(BASE)
    assert set(again.dimensions) == set(space.dimensions)
    assert space_from_mapping(space.as_mapping()) == space


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a", "my.yaml must be a mapping"),
        ("a: [", "my.yaml is not valid YAML at line 1"),
        ("a: 2026-99-99", "not valid YAML"),
        ("model.widht: [1]", r"my.yaml: there is no setting 'model.widht'; did you mean model.width\?"),
        ("model: {widht: [1]}", r"did you mean model.width\?"),
        ("model: [1]", "model is a section"),
        ("model.width: 3", "to fix it, --fix model.width="),
        ("model.width: {lo: 3, high: 4}", r"has 'lo'.*did you mean low\?"),
        ("model.width: {low: 3}", "has no high"),
        ("model.width: {}", "has no low"),
        ("model.width: {low: 3, high: many}", "must be a number, not 'many'"),
        ("model.width: {low: 3, high: true}", "must be a number, not True"),
        ("model.width: {low: 3, high: 4.5}", "a whole number, but its range goes from 3 to 4.5"),
        ("model.width: {low: .nan, high: 4}", "a whole number, but"),
        ("training.ema: {low: 0.1, high: 0.2, log: maybe}", "log must be true or false"),
        ("model.width: {low: 3, high: 4, choices: [3]}", "choices and a range"),
        ("model.width: {choices: 3}", "choices must be a list"),
        ("model.width: {low: 3, high: 4, when: model.skip}", "when names one other setting"),
        ("model.width: {low: 3, high: 4, when: {a: 1, b: 2}}", "when names one other setting"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("3: [1]", "no setting '3'"),
    ],
)
def test_a_bad_file_is_refused_in_a_sentence(text, told):
    with pytest.raises(ConfigError, match=told):
        space_from_yaml(text, "my.yaml")
