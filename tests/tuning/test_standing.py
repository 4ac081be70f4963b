"""How a search stands, from its folder alone."""

import json

import pytest

from raysuite.errors import RunError
from raysuite.runs import Run
from raysuite.storage import Location
from raysuite.tuning.ranking import by_mean_rank
from raysuite.tuning.standing import is_search, standing
from raysuite.tuning.steering import steering_score
from raysuite.tuning.trials import read_trials, rows_of, standings
from tests.reporting.search_folder import write_search_folder


def test_trials_of_shared_settings_are_one_with_one_score_and_the_best_mean_rank_wins(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), ("weave", "knit"), trials=8)
    assert is_search(root)
    (group,) = standing(Run.open(root.uri)).groups
    records = read_trials(rows_of(root))
    assert group.categories == ("knit", "weave")
    assert len(group.trials) == 8
    assert group.best.number == by_mean_rank(standings(records))[0].number
    for trial in group.trials:
        own = [record for record in records if record.number == trial.number]
        assert len(own) == len(trial.rows) == 2
        assert trial.seconds == sum(record.seconds for record in own)
        if trial.state != "failed":
            assert trial.score == steering_score([record.score for record in own])
            assert [steps for steps, _ in trial.curve()] == [rung.steps for rung in own[0].curve]
    assert {trial.state for trial in group.trials if trial.score is None} == {"failed"}


def test_each_category_has_a_group_if_it_is_searched_by_itself(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), ("weave", "knit"), trials=4, per_category=True)
    found = standing(Run.open(root.uri))
    assert [group.categories for group in found.groups] == [("knit",), ("weave",)]
    assert found.wanted == 8
    assert sum(found.totals.values()) == 8


def test_without_a_number_of_trials_none_is_pending(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), trials=4)
    plan = json.loads((root / "plan.json").read_text())
    (root / "plan.json").write_text(json.dumps({**plan, "trials_each": None}))
    found = standing(Run.open(root.uri))
    assert found.wanted is None
    assert "pending" not in found.totals


def test_damaged_notes_are_named(tmp_path):
    root = write_search_folder(Location.of(tmp_path / "search"), trials=4)
    (root / "search.json").write_text('{"rungs": [1]}')
    with pytest.raises(RunError, match=r"search\.json is damaged"):
        standing(Run.open(root.uri))
