import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.errors import ClusterError
from raysuite.planning import Plan, plan_trainings


@settings(deadline=None, max_examples=300, derandomize=True)
@given(st.integers(1, 500), st.floats(1, 2000), st.floats(0, 64), st.integers(1, 9))
def test_no_plan_places_more_than_there_is_and_every_plan_makes_progress(runs, cpus, gpus, workers):
    if workers > int(cpus) or 1 <= gpus < workers:
        with pytest.raises(ClusterError, match="--workers-per-category" if cpus >= 1 else "CPUs"):
            plan_trainings(runs, cpus, gpus, workers)
        return
    plan = plan_trainings(runs, cpus, gpus, workers)
    assert plan.workers == workers
    assert plan.at_once * workers * plan.cpus <= cpus
    assert plan.at_once * workers * plan.gpus <= gpus
    assert 1 <= plan.at_once <= runs
    assert plan.cpus >= 1
    assert plan.gpus == (1 if gpus >= 1 else 0)
    assert plan.runs == runs


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(1, 100), st.integers(1, 256))
def test_without_gpus_a_cpu_idles_only_where_it_could_not_help(runs, cpus):
    plan = plan_trainings(runs, cpus, 0)
    idle = cpus - plan.at_once * plan.cpus
    assert plan.cpus == 8 or idle < plan.at_once


@pytest.mark.parametrize("cpus", [0, 0.5, -1])
def test_a_cluster_without_a_cpu_is_refused(cpus):
    with pytest.raises(ClusterError, match=f"{cpus:g} CPUs"):
        plan_trainings(3, cpus, 8)


def test_each_training_has_a_gpu_where_there_are_some():
    assert plan_trainings(15, 16, 2) == Plan(15, 2, 4, 1)
    assert plan_trainings(15, 2, 8) == Plan(15, 2, 1, 1)


def test_a_plan_reads_as_a_sentence():
    assert plan_trainings(1, 8, 0).sentence() == "1 training, 1 at once, 8 CPUs each"
    assert plan_trainings(15, 2, 0).sentence() == "15 trainings, 2 at once, 1 CPU each"
    assert plan_trainings(2, 8, 1).sentence() == "2 trainings, 1 at once, 1 GPU and 4 CPUs each"
    assert plan_trainings(2, 8, 0, 2).sentence() == "2 trainings, 2 at once, 2 workers of 2 CPUs each"
    assert plan_trainings(3, 64, 8, 4).sentence() == "3 trainings, 2 at once, 4 workers of 1 GPU and 4 CPUs each"
