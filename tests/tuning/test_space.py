import random

import pytest

from raysuite.config import Config
from raysuite.errors import ConfigError
from raysuite.settings import preset, with_words
from raysuite.tuning.space import Choice, Condition, Dimension, Float, Int, Space

BASE = preset("tiny")
SKIP = Dimension("model.skip", Choice(("convex", "concat", "none")))
WIDTH = Dimension("model.width", Int(8, 32))
NARROW = Dimension("model.bottleneck", Int(4, 16), Condition("model.skip", ("none",)))


def space(*dimensions):
    return Space(dimensions)


@pytest.mark.parametrize(
    ("dimension", "told"),
    [
        (Dimension("model.widht", Int(8, 32)), r"no setting 'model.widht'; did you mean model.width\?"),
        (Dimension("modle.width", Int(8, 32)), r"did you mean model.width\?"),
        (Dimension("learning_rate", Float(0.1, 1)), r"did you mean training.learning_rate\?"),
        (Dimension("model", Int(8, 32)), "is a section; name a setting in it, such as model.width"),
        (Dimension("preset", Choice(("tiny",))), "cannot be searched"),
        (Dimension("training.steps", Int(10, 20)), "training.steps cannot be searched"),
        (Dimension("data.validation_share", Float(0.1, 0.2)), "judged on the same images"),
        (Dimension("model.width", Int(32, 8)), "model.width: the range from 32 to 8 is empty"),
        (Dimension("training.learning_rate", Float(0, 1, log=True)), "training.learning_rate: .* above 0"),
        (Dimension("corruption.opaque_share", Float(0, 1.5)), r"1\.5.*corruption.opaque_share is 1.5.*from 0 to 1"),
        (Dimension("corruption.opaque_share", Float(-0.5, 1)), "which no trial could have: .*from 0 to 1"),
        (Dimension("model.skip", Choice(("convex", "conv"))), "conv, which no trial .* one of convex, concat, none"),
        (Dimension("model.kernel", Int(3, 7)), "the value 4, which no trial could have: .*3, 5 or 7"),
        (Dimension("model.skip", Float(0, 1)), "model.skip is no number"),
        (Dimension("model.dilations", Int(1, 4)), "model.dilations is no number"),
        (Dimension("model.width", Float(8, 32)), "is a whole number"),
        (Dimension("model.width", Choice(())), "model.width: it has no choices"),
        (Dimension("model.width", Int(8, 32), Condition("model.skpi", ("none",))), r"did you mean model.skip\?"),
        (Dimension("model.width", Int(8, 32), Condition("model.skip", ())), "one of no values"),
        (Dimension("model.width", Int(8, 32), Condition("model.width", (8,))), "itself"),
    ],
)
def test_a_bad_dimension_is_refused_with_its_key_and_what_is_allowed(dimension, told):
    with pytest.raises(ConfigError, match=told):
        space(dimension).validated(BASE)


def test_a_key_that_is_there_twice_is_refused():
    with pytest.raises(ConfigError, match=r"model.width is in the space twice"):
        space(WIDTH, WIDTH).validated(BASE)


def test_conditions_that_contradict_the_space_are_refused():
    never = Dimension("model.bottleneck", Int(4, 16), Condition("model.skip", ("none",)))
    with pytest.raises(ConfigError, match=r"when model.skip is none, but the space only gives it convex, concat"):
        space(Dimension("model.skip", Choice(("convex", "concat"))), never).validated(BASE)
    fuzzy = Dimension("model.width", Int(8, 32), Condition("training.ema", (0.9,)))
    with pytest.raises(ConfigError, match="over a range; give it choices"):
        space(Dimension("training.ema", Float(0.5, 0.99)), fuzzy).validated(BASE)


def test_conditions_in_a_circle_are_refused_and_the_circle_is_shown():
    circle = [
        Dimension("model.width", Int(8, 9), Condition("model.blocks", (2,))),
        Dimension("model.blocks", Int(1, 2), Condition("model.depth", (2,))),
        Dimension("model.depth", Int(1, 2), Condition("model.blocks", (1,))),
    ]
    with pytest.raises(ConfigError, match=r"circle: model.blocks → model.depth → model.blocks"):
        space(*circle).validated(BASE)


def test_what_is_depended_on_comes_first_and_only_active_values_count():
    deep = Dimension("model.norm", Choice(("batch", "group")), Condition("model.bottleneck", (8,)))
    whole = space(deep, NARROW, WIDTH, SKIP).validated(BASE)
    assert whole.keys.index("model.skip") < whole.keys.index("model.bottleneck") < whole.keys.index("model.norm")
    values = {"model.skip": "convex", "model.bottleneck": 8, "model.norm": "group", "model.width": 12}
    assert whole.active(values) == {"model.skip": "convex", "model.width": 12}
    assert whole.active({**values, "model.skip": "none"}) == {**values, "model.skip": "none"}
    config = whole.config(BASE, values)
    assert (config.model.bottleneck, config.model.norm, config.model.width) == (0, "batch", 12)


def test_fixed_settings_leave_the_space_and_settle_conditions():
    for skip, keys in (("none", {"model.bottleneck", "model.width"}), ("convex", {"model.width"})):
        base = with_words(BASE, [f"model.skip={skip}"], option="--fix")
        settled = space(SKIP, NARROW, WIDTH).validated(base, fixed=["model.skip"])
        assert set(settled.keys) == keys
        assert all(dimension.when is None for dimension in settled.dimensions)
    with pytest.raises(ConfigError, match="nothing to search that is not fixed"):
        space(WIDTH).validated(BASE, fixed=["model.width"])
    with pytest.raises(ConfigError, match=r"did you mean model.width\?"):
        space(WIDTH).validated(BASE, fixed=["model.widht"])
    with pytest.raises(ConfigError, match="--fix takes key=value"):
        with_words(BASE, ["model.width"], option="--fix")


def test_a_condition_on_a_setting_that_is_not_searched_asks_the_start():
    assert space(NARROW, WIDTH).validated(BASE).keys == ("model.width",)
    grandchild = Dimension("model.norm", Choice(("batch", "group")), Condition("model.bottleneck", (8,)))
    assert space(grandchild, NARROW, WIDTH).validated(BASE).keys == ("model.width",)


def test_a_condition_that_no_setting_could_meet_is_refused_though_it_is_on_one_that_is_not_searched():
    never = Dimension("model.bottleneck", Int(4, 16), Condition("model.skip", ("nonsense",)))
    with pytest.raises(ConfigError, match=r"searched when model.skip is nonsense, which it never is: .*one of convex"):
        space(WIDTH, never).validated(BASE)


def test_what_the_start_has_outside_the_space_is_named():
    outside = space(WIDTH, Dimension("training.learning_rate", Float(0.05, 0.1)))
    assert outside.lacking(outside.default_of(BASE)) == ["training.learning_rate"]
    assert space(WIDTH, SKIP, NARROW).lacking({"model.width": 8, "model.skip": "none"}) == ["model.bottleneck"]


def test_a_value_that_only_goes_with_other_searched_values_is_accepted():
    areas = space(
        Dimension("corruption.min_area", Float(0.01, 0.2)), Dimension("corruption.max_area", Float(0.25, 0.5))
    )
    assert len(areas.validated(BASE)) == 2, "the start's largest area is 0.15"
    with pytest.raises(ConfigError, match=r"min_area the value 0.2, which no trial could have"):
        Space(areas.dimensions[:1]).validated(BASE)


def test_values_that_do_not_go_together_are_an_error_of_that_trial_alone():
    areas = space(
        Dimension("corruption.min_area", Float(0.01, 0.2)), Dimension("corruption.max_area", Float(0.1, 0.5))
    ).validated(BASE)
    areas.config(BASE, {"corruption.min_area": 0.1, "corruption.max_area": 0.2})
    with pytest.raises(ConfigError, match="min_area ≤ max_area"):
        areas.config(BASE, {"corruption.min_area": 0.2, "corruption.max_area": 0.1})
    with pytest.raises(ConfigError, match=r"model.width is not in the space"):
        areas.config(BASE, {"model.width": 3})


def test_values_as_json_gives_them_back_make_the_same_config():
    dilations = space(Dimension("model.dilations", Choice(([1], [1, 2])))).validated(BASE)
    assert dilations.config(BASE, {"model.dilations": [1, 2]}).model.dilations == (1, 2)
    assert dilations.inside({"model.dilations": [1, 2]}) == {"model.dilations": [1, 2]}


def test_the_start_is_a_warm_start_as_far_as_it_lies_in_the_space():
    wide = space(SKIP, WIDTH, Dimension("training.ema", Float(0.99, 0.999))).validated(BASE)
    assert wide.default_of(BASE) == {"model.skip": "convex", "model.width": 16}, "an ema of 0.98 is outside"
    earlier = {"model.skip": "concat", "model.width": 100, "gone.away": 3}
    assert wide.inside(earlier) == {"model.skip": "concat"}


def test_draws_are_seeded_and_stay_within_the_space():
    whole = space(SKIP, NARROW, WIDTH).validated(BASE)
    rng = random.Random(0)
    drawn = [whole.draw(rng) for _ in range(50)]
    assert drawn[:5] == [whole.draw(again) for again in [random.Random(0)] for _ in range(5)]
    for values in drawn:
        assert whole.inside(values) == values == whole.active(values)
        assert ("model.bottleneck" in values) == (values["model.skip"] == "none")
    assert isinstance(whole.config(BASE, drawn[0]), Config)


def test_a_grid_has_each_combination_once_and_no_inactive_value():
    whole = space(SKIP, NARROW, WIDTH).validated(BASE)
    cells = list(whole.grid(3))
    assert len(cells) == 2 * 3 + 3 * 3
    assert len({str(sorted(cell.items())) for cell in cells}) == len(cells)
    assert all(whole.inside(cell) == cell for cell in cells)


def test_the_later_space_counts_where_both_have_a_key():
    other = space(Dimension("model.width", Int(4, 5)))
    joined = space(SKIP, WIDTH).joined(other)
    assert joined.keys == ("model.skip", "model.width")
    assert joined.dimensions[1].domain == Int(4, 5)
