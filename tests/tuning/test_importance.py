import random

import pytest

from raysuite.settings import preset
from raysuite.tuning.importance import LEAST_TRIALS, importances
from raysuite.tuning.space import Choice, Condition, Dimension, Float, Int, Space

SPACE = Space(
    (
        Dimension("model.skip", Choice(("convex", "concat", "none"))),
        Dimension("model.bottleneck", Int(4, 16), Condition("model.skip", ("none",))),
        Dimension("training.learning_rate", Float(1e-4, 1e-2, log=True)),
        Dimension("corruption.opaque_share", Float(0.0, 1.0)),
        Dimension("model.dilations", Choice(((1,), (1, 2)))),
    )
).validated(preset("tiny"))


def drawn(count, seed=0):
    rng = random.Random(seed)
    return [SPACE.draw(rng) for _ in range(count)]


def test_what_decides_the_score_is_important_and_the_rest_is_not():
    values = drawn(60)
    scores = [
        SPACE.dimensions[0].domain.labels.index(v["model.skip"]) + 0.5 * v["corruption.opaque_share"] for v in values
    ]
    found = importances(SPACE, values, scores)
    assert found.reason is None
    assert sum(found.shares.values()) == pytest.approx(1)
    assert next(iter(found.shares)) == "model.skip"
    assert found.shares["model.skip"] > 0.6
    assert found.shares["corruption.opaque_share"] > 0.02
    assert found.shares["training.learning_rate"] + found.shares["model.dilations"] < 0.05
    assert found.explained > 0.5


def test_a_setting_that_only_matters_where_it_is_searched_is_found():
    values = drawn(80)
    scores = [v.get("model.bottleneck", 10) / 16 for v in values]
    found = importances(SPACE, values, scores)
    assert found.shares["model.bottleneck"] > 0.5


def test_lists_are_categories_also_as_json_gives_them_back():
    values = [{**v, "model.dilations": list(v["model.dilations"])} for v in drawn(60)]
    scores = [float(len(v["model.dilations"])) for v in values]
    assert importances(SPACE, values, scores).shares["model.dilations"] > 0.9


def test_equal_seeds_give_equal_importances():
    values = drawn(30)
    scores = [v["corruption.opaque_share"] for v in values]
    assert importances(SPACE, values, scores, seed=3) == importances(SPACE, values, scores, seed=3)


def test_noise_has_no_importances_but_a_reason():
    rng = random.Random(1)
    found = importances(SPACE, drawn(40), [rng.random() for _ in range(40)])
    assert found.shares == {}
    assert "no better than their mean" in found.reason
    assert found.explained <= 0


@pytest.mark.parametrize(
    ("values", "scores", "told"),
    [
        (drawn(30), [0.5] * 10 + [None] * 19 + [float("nan")], f"10 trials have a score; that takes {LEAST_TRIALS}"),
        (drawn(30), [0.5] * 30, "the same score"),
        ([{"model.skip": "none"}] * 30, list(map(float, range(30))), "no setting took different values"),
        ([], [], "0 trials"),
    ],
)
def test_where_nothing_can_be_said_that_is_said(values, scores, told):
    found = importances(SPACE, values, scores)
    assert found.shares == {}
    assert told in found.reason
