"""The planner on a virtual clock, and what a plan says of the time that it takes."""

import pytest

from benchmarks.fleet import cluster, fleet, ratio
from raysuite.forecast import Outlook, Pace, in_words, outlook, simulate
from raysuite.planning import Growth, Job, Node, Planner


def jobs_of(lengths):
    return [Job(f"run {index}", length) for index, length in enumerate(lengths)]


def seconds_of(jobs):
    return {job.key: job.length for job in jobs}


def test_a_node_that_joins_is_used_and_one_that_leaves_costs_what_ran_on_it():
    jobs = jobs_of([100] * 12)
    one, two = Node("one", 8, 2), Node("two", 8, 2)
    alone = simulate(jobs, seconds_of(jobs), [one])
    joined = simulate(jobs, seconds_of(jobs), [one], [(50.0, [one, two])])
    assert alone.makespan == 600
    assert joined.makespan == 350
    assert {name for time, placed in joined.starts for name, _ in placed.where if time >= 50} == {"one", "two"}
    left = simulate(jobs, seconds_of(jobs), [one, two], [(90.0, [one])], checkpoint_seconds=30)
    assert len(left.lost) == 2
    assert {name for time, placed in left.starts for name, _ in placed.where if time >= 90} == {"one"}
    # 12 × 100 s, of which two did 90 s twice over: nothing is done again that a checkpoint holds.
    assert left.makespan <= 100 + 800 / 2 + 100


@pytest.mark.parametrize(
    ("categories", "seeds", "gpus"), [(15, 3, 1), (15, 3, 4), (15, 3, 16), (15, 3, 64), (500, 1, 1000)]
)
def test_makespan_stays_near_its_lower_bound(categories, seeds, gpus):
    jobs, seconds = fleet(categories, seeds)
    line = simulate(jobs, seconds, cluster(gpus))
    assert 1 <= ratio(seconds, line.makespan, gpus) + 1e-9 <= 1.2


def test_a_plan_and_a_pace_make_an_outlook_with_the_time_of_each_training():
    plan = Planner(jobs_of([30, 20, 10]), [Node("here", 2)]).plan()
    view = outlook(plan, Pace(steps=12, seconds_a_step=0.5, seconds_a_unit=60))
    assert view.sentence() == "3 trainings, 2 at once, 1 CPU each; about 30 min by a trial of 12 steps"
    card = view.as_mapping()
    assert card["estimate"] == {"seconds": 1800, "trial_steps": 12, "seconds_a_step": 0.5}
    assert [(row["run"], row["begins"], row["seconds"]) for row in card["order"]] == [
        ("run 0", 0, 1800), ("run 1", 0, 1200), ("run 2", 1200, 600),
    ]  # fmt: skip


def test_an_outlook_packs_gpus_and_gangs_as_the_planner_does():
    shared = Planner(jobs_of([10] * 8), [Node("here", 16, 2)], gpu_share=0.25).plan()
    assert outlook(shared, Pace(1, 1.0, 1.0)).as_mapping()["estimate"]["seconds"] == 10
    gangs = Planner(jobs_of([10] * 4), [Node("one", 4, 1), Node("two", 4, 1)], workers=2).plan()
    assert outlook(gangs, Pace(1, 1.0, 1.0)).as_mapping()["estimate"]["seconds"] == 40


def test_an_outlook_without_an_estimate_says_why():
    plan = Planner(jobs_of([1]), [Node("here", 1)]).plan()
    assert Outlook(plan, note="no estimate, as it rained").sentence().endswith("1 CPU each; no estimate, as it rained")
    card = Outlook(plan, note="no estimate").as_mapping()
    assert (card["estimate"], card["note"], card["order"][0]["seconds"]) == (None, "no estimate", None)
    waits = outlook(Planner(jobs_of([1]), [], growth=Growth()).plan(), Pace(1, 1.0, 1.0))
    assert waits.sentence().endswith("how long it takes is not known before there are nodes")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"), (7.4, "7 s"), (42, "40 s"), (57.4, "55 s"), (58, "1 min"), (89, "1 min"), (1500, "25 min"),
        (3570, "1 h"), (3600, "1 h"), (7800, "2 h 10 min"), (7860, "2 h 10 min"), (86_400, "24 h"), (90_100, "25 h"),
    ],
)  # fmt: skip
def test_a_time_is_told_no_finer_than_an_estimate_deserves(seconds, words):
    assert in_words(seconds) == words
