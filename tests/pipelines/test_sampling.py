"""What a search tries next, and which trials it lets go on: without a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from raysuite.errors import ConfigError
from raysuite.pipelines.tuning.sampling import Known, Supply, listed, tpe
from raysuite.pipelines.tuning.search import asha, first_rung, rungs_of
from raysuite.tuning.space import Choice, Condition, Dimension, Float, Space
from raysuite.tuning.steering import steering_score
from raysuite.tuning.trials import Rung, TrialRecord


def test_a_trial_is_first_scored_after_a_ninth_of_its_steps_but_not_too_soon() -> None:
    assert [first_rung(steps) for steps in (16000, 1351, 1350, 900, 400, 18, 2, 1)] == [
        1777,
        150,
        150,
        150,
        133,
        6,
        1,
        1,
    ]


def test_rungs_are_thrice_apart_and_none_is_right_before_the_end() -> None:
    assert rungs_of(3200, 355) == (355, 1065, 3200)
    assert rungs_of(9, 1) == (1, 3, 9)
    assert rungs_of(100, 80) == (80, 100)
    assert rungs_of(5, 5) == (5,)


def row(number: int, *scores: float, state: Any = "stopped") -> TrialRecord:
    curve = tuple(Rung(steps, score, 0.0, 1.0) for steps, score in zip((2, 6, 18), scores, strict=False))
    return TrialRecord(number=number, category="weave", seed=0, state=state, curve=curve)


def test_asha_remembers_what_trials_reached_before_the_search_was_stopped() -> None:
    past = [row(number, score) for number, score in enumerate((0.5, 0.6, 0.7, 0.8))]
    for score, action in ((0.9, "CONTINUE"), (0.4, "STOP")):
        scheduler: Any = asha((2, 6, 18), past)
        new = type("Trial", (), {"trial_id": "new"})
        scheduler.on_trial_add(None, new)
        assert scheduler.on_trial_result(None, new, {"steps": 2, "score": steering_score([score])}) == action
    fresh: Any = asha((2, 6, 18), [])
    fresh.on_trial_add(None, new)
    assert fresh.on_trial_result(None, new, {"steps": 2, "score": 0.4}) == "CONTINUE"


CONDITIONAL = Space(
    (
        Dimension("corruption.noise", Choice(("preserved", "none"))),
        Dimension("corruption.noise_level", Float(0.01, 0.2), Condition("corruption.noise", ("preserved",))),
        Dimension("model.dilations", Choice(((1, 2), (1, 2, 4)))),
    )
)


@pytest.mark.parametrize("metrics", [("score",), ("score", "parameters")])
def test_tpe_goes_on_with_what_was_begun_then_with_what_is_given_then_draws_valid_values(
    metrics: tuple[str, ...],
) -> None:
    known = [
        Known(0, {"corruption.noise": "none", "model.dilations": [1, 2]}, {"score": 0.5, "parameters": 9.0}, True),
        Known(1, {"corruption.noise": "none", "model.dilations": (1, 2)}, {}, True),
        Known(2, {"corruption.noise": "preserved", "corruption.noise_level": 0.1, "model.dilations": (1, 2, 4)}, {},
              False),
    ]  # fmt: skip
    first: list[dict[str, Any]] = [{}, {}, {}, {"corruption.noise": "none", "model.dilations": (1, 2, 4)}]
    searcher = tpe(Supply(CONDITIONAL, first, known, 40, 0), metrics)
    asked = [(searcher.suggest(f"t{index}") or {})["trial"] for index in range(20)]
    assert [one["number"] for one in asked] == list(range(2, 22))
    assert asked[0]["values"] == known[2].values
    assert asked[1]["values"] == first[3]
    for one in asked[2:]:
        assert CONDITIONAL.inside(one["values"]) == one["values"]
    assert {one["values"]["corruption.noise"] for one in asked} == {"preserved", "none"}


def test_a_search_that_goes_on_draws_what_it_has_not_drawn() -> None:
    asked: list[dict[str, Any]] = []
    for _ in range(3):
        known = [Known(one["number"], one["values"], {"score": 0.5}, True) for one in asked]
        searcher = tpe(Supply(CONDITIONAL, [{}], known, 12, 0), ("score",))
        asked += [(searcher.suggest(f"t{index}") or {})["trial"] for index in range(4)]
    assert [one["number"] for one in asked] == list(range(12))
    levels = [level for one in asked if (level := one["values"].get("corruption.noise_level"))]
    assert len(levels) > 2
    assert len(set(levels)) == len(levels)


@pytest.mark.parametrize("metrics", [("score",), ("score", "parameters")])
def test_tpe_is_told_of_a_trial_that_came_to_no_score(metrics: tuple[str, ...]) -> None:
    searcher = tpe(Supply(CONDITIONAL, [], [], 9, 0), metrics)
    for name, result in (("a", {"training_iteration": 1}), ("b", None), ("c", {"score": 0.5, "parameters": 3})):
        searcher.suggest(name)
        searcher.on_trial_complete(name, result, error=result is None)
    states = [trial.state.name for trial in searcher._ot_study.trials]
    assert states == ["PRUNED", "FAIL", "COMPLETE"]


def test_a_number_and_the_seed_decide_what_a_random_trial_draws_however_often_it_was_stopped() -> None:
    whole = listed(Supply(CONDITIONAL, [{}], [], 6, 0), "random", 6)
    done = [Known(one["number"], one["values"], {}, one["number"] != 1) for one in whole[:3]]
    rest = listed(Supply(CONDITIONAL, [{}], done, 6, 0), "random", 6)
    assert [one["number"] for one in rest] == [1, 3, 4, 5]
    assert rest == [whole[1], *whole[3:]]


@pytest.mark.parametrize("search", ["random", "grid"])
def test_trials_that_were_killed_before_they_had_a_row_are_done_by_the_next_command(search: str) -> None:
    whole = listed(Supply(CONDITIONAL, [{"corruption.noise": "none"}], [], 8, 0), search, 9)
    done = [Known(number, whole[number]["values"], {"score": 0.5}, True) for number in (1, 4)]
    rest = listed(Supply(CONDITIONAL, [{"corruption.noise": "none"}], done, 8, 0), search, 9)
    assert rest == [one for one in whole if one["number"] not in {1, 4}]


def test_tpe_too_does_the_given_and_the_drawn_trials_that_were_killed_before_they_had_a_row() -> None:
    first = [{"corruption.noise": noise, "model.dilations": (1, 2)} for noise in ("none", "preserved", "none")]
    done = [Known(number, first[1], {"score": 0.5}, True) for number in (1, 4)]
    searcher = tpe(Supply(CONDITIONAL, first, done, 8, 0), ("score",))
    asked = [(searcher.suggest(f"t{index}") or {})["trial"] for index in range(6)]
    assert [one["number"] for one in asked] == [0, 2, 3, 5, 6, 7]
    assert [one["values"] for one in asked[:2]] == [first[0], first[2]]


def test_a_grid_is_all_combinations_and_one_that_is_too_large_is_refused() -> None:
    points = listed(Supply(CONDITIONAL, [], [], 8, 0), "grid", 8)
    assert len(points) == 2 * (3 + 1)
    with pytest.raises(ConfigError, match="more than the 7 trials that --trials allows"):
        listed(Supply(CONDITIONAL, [], [], 7, 0), "grid", 7)
