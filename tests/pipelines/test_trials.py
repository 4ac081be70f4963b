"""A trial on a real Ray: how long a plan takes, in the threads and places that its trainings will have."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysuite.datasets.layouts import find_entries
from raysuite.pipelines import trials
from raysuite.pipelines.lengths import jobs_of
from raysuite.pipelines.session import cluster_nodes
from raysuite.pipelines.trials import deserves_a_trial, try_on_cluster
from raysuite.planning import Plan, Planner
from raysuite.runs import Member, Run
from raysuite.settings import preset, with_words
from raysuite.storage import Location

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("local_ray")]

WORDS = ["data.image_size=64", "model.dilations=[1,2]", "training.batch_size=4"]


def planned(data: Path, root: Path, *words: str) -> tuple[Plan, Run, list[Member]]:
    config = with_words(preset("tiny"), [*WORDS, *words])
    run = Run.create(str(root), [find_entries(Location.of(data)).source], config, write=False)
    members = [run.member("weave", seed) for seed in range(3)]
    return Planner(jobs_of(run, members, {"weave": 8}), cluster_nodes()).plan(), run, members


def test_a_trial_on_the_cluster_gives_an_estimate_and_one_that_comes_too_late_a_sentence(
    small_benchmark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, run, members = planned(small_benchmark, tmp_path / "run")
    assert not deserves_a_trial(plan), "three short trainings are begun without"
    view = try_on_cluster(plan, run, members)
    card = view.as_mapping()
    assert card["note"] is None
    assert card["estimate"]["trial_steps"] >= 2, "two side by side"
    assert [row["begins"] == 0 for row in card["order"]] == [True, True, False]

    monkeypatch.setattr(trials, "PATIENCE_SECONDS", 0.0)
    late = try_on_cluster(plan, run, members)
    assert late.sentence().endswith("no estimate, as the cluster had no room for a trial within 0 s")


def test_what_takes_long_deserves_a_trial(small_benchmark: Path, tmp_path: Path) -> None:
    plan, _, _ = planned(small_benchmark, tmp_path / "run", "training.steps=100000")
    assert deserves_a_trial(plan)
