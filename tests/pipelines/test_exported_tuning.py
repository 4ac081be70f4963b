"""What is exported of a search: states of trials, best scores by rung, and steps that this command did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from raysuite.pipelines import exported_tuning
from raysuite.pipelines.exported_tuning import SearchExported, outcome_of
from raysuite.pipelines.lasting import Lasting
from raysuite.tuning.trials import Rung, TrialRecord


def row(number: int, category: str = "weave", state: str = "done", scores: Mapping[int, float | None] = {}) -> Any:
    curve = tuple(Rung(steps, score, None, 1.0) for steps, score in scores.items())
    return TrialRecord(
        number=number, category=category, seed=0, state=state, values={}, config=None, curve=curve,
        started=0.0, node="",
    )  # fmt: skip


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Metric and its tags' values → what it was set to last, or counted up to."""
    found: dict[str, float] = {}

    def key(name: str, tags: Mapping[str, str]) -> str:
        return " ".join([name.removeprefix("raysuite_"), *tags.values()])

    class Counted:
        def __init__(self, name: str, *_: object) -> None:
            self.name = name

        def inc(self, value: float, tags: Mapping[str, str]) -> None:
            found[key(self.name, tags)] = found.get(key(self.name, tags), 0.0) + value

    def keep(_self: Lasting, gauge: Any, value: float, tags: Mapping[str, str]) -> None:
        found[key(gauge.info["name"], tags)] = value

    monkeypatch.setattr(exported_tuning, "Counter", Counted)
    monkeypatch.setattr(Lasting, "set", keep)
    return found


def test_a_search_that_goes_on_begins_with_what_is_known(seen: dict[str, float]) -> None:
    known = {0: [row(0, scores={6: 0.5, 18: 0.7})], 1: [row(1, state="running", scores={6: 0.6})]}
    exported = SearchExported(("weave",), "good", 4, known, [0])
    assert (seen["trials weave done"], seen["trials weave pending"], seen["trials weave running"]) == (1, 3, 0)
    assert (seen["tuning_best_score weave 6 good"], seen["tuning_best_score weave 18 good"]) == (0.5, 0.7)
    exported.began(1)
    exported.reached(1, 6)
    exported.reached(1, 18)
    assert seen["tuning_steps weave"] == 12, "the first six were done by an earlier command"
    exported.over(1, [row(1, scores={6: 0.6, 18: 0.65})])
    assert (seen["trials weave done"], seen["trials weave pending"], seen["trials weave running"]) == (2, 2, 0)
    assert (seen["tuning_best_score weave 6 good"], seen["tuning_best_score weave 18 good"]) == (0.6, 0.7)


def test_a_trial_of_several_categories_counts_once_and_its_steps_for_each(seen: dict[str, float]) -> None:
    exported = SearchExported(("weave", "flange"), "good", 3, {}, [])
    exported.began(0)
    exported.reached(0, 6)
    exported.began(1)
    exported.over(0, [row(0, "weave"), row(0, "flange", "failed", {6: None})])
    exported.over(1, [])
    assert seen["tuning_steps all"] == 12
    states = {name: seen[f"trials all {name}"] for name in ("failed", "running", "pending", "done")}
    assert states == {"failed": 1, "running": 0, "pending": 2, "done": 0}, "one that had not begun is still to come"


def test_scores_by_test_labels_have_a_tag_of_their_own(seen: dict[str, float]) -> None:
    SearchExported(("weave",), "oracle", 1, {0: [row(0, scores={6: 0.9})]}, [0])
    assert [name for name in seen if "best_score" in name] == ["tuning_best_score weave 6 oracle"]


def test_what_failed_says_how_a_trial_ended() -> None:
    rows = [row(0), row(0, state="stopped"), row(0, state="invalid")]
    assert outcome_of(rows).state == "invalid"
    assert outcome_of(rows[:2]).state == "stopped"
    assert outcome_of(rows[:1]).state == "done"
