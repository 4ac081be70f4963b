from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysuite.errors import ClusterError
from raysuite.forecast import simulate
from raysuite.planning import Growth, Job, Need, Node, Planner, choose_need

CLUSTERS = st.lists(st.tuples(st.integers(0, 16), st.integers(0, 4)), min_size=1, max_size=5).map(
    lambda sizes: [Node(f"node-{index}", cpus, gpus) for index, (cpus, gpus) in enumerate(sizes)]
)
LENGTHS = st.lists(st.integers(1, 100), min_size=1, max_size=20)
SHARES = st.sampled_from([1.0, 0.5, 1 / 3, 0.25, 0.1])


def jobs_of(lengths):
    return [Job(f"run {index}", length) for index, length in enumerate(lengths)]


def seconds_of(jobs):
    return {job.key: job.length for job in jobs}


def check_no_node_is_over_committed(planner, nodes):
    cpus, gpus = Counter(), Counter()
    for placed in planner.placed.values():
        assert sum(count for _, count in placed.where) == placed.need.workers, "a gang starts whole or not at all"
        for name, count in placed.where:
            cpus[name] += count * placed.need.cpus
            gpus[name] += count * placed.need.gpus
    for node in nodes:
        assert cpus[node.name] <= node.cpus
        assert gpus[node.name] <= node.gpus + 1e-9


@settings(deadline=None, max_examples=150, derandomize=True)
@given(CLUSTERS, LENGTHS, st.integers(1, 5), SHARES, st.randoms(use_true_random=False))
def test_no_node_is_over_committed_and_every_run_ends_longest_first(nodes, lengths, workers, share, rng):
    try:
        planner = Planner(jobs_of(lengths), nodes, workers, share)
    except ClusterError:
        needs_gpu = any(node.gpus for node in nodes)
        each = int(1 / share + 1e-9)
        places = sum(min(node.cpus, node.gpus * each) if needs_gpu else node.cpus for node in nodes)
        assert places < workers or (needs_gpu and workers > 1 and share < 1), "refused only what can never be placed"
        return
    started = []
    while planner.waiting or planner.placed:
        now = planner.start(nodes)
        assert now or planner.placed, "an empty cluster starts something: there is no deadlock"
        started += now
        check_no_node_is_over_committed(planner, nodes)
        assert not planner.start(nodes), "nothing that fits is left waiting"
        planner.end(rng.choice(sorted(planner.placed)))
    order = [placed.job.length for placed in started]
    assert sorted(order, reverse=True) == order
    assert len({placed.job.key for placed in started}) == len(lengths)


@settings(deadline=None, max_examples=100, derandomize=True)
@given(st.integers(1, 100), st.integers(1, 256))
def test_without_gpus_a_cpu_idles_only_where_it_could_not_help(runs, cpus):
    plan = Planner(jobs_of([1] * runs), [Node("here", cpus)]).plan()
    idle = cpus - plan.at_once * plan.need.cpus
    assert plan.need.cpus == 8 or idle < plan.at_once


@pytest.mark.parametrize("cpus", [2, 3, 4, 7])
@pytest.mark.parametrize("runs", [1, 2, 5])
def test_the_smallest_clusters_finish_every_run(cpus, runs):
    jobs = jobs_of([10] * runs)
    assert len(simulate(jobs, seconds_of(jobs), [Node("here", cpus)]).ends) == runs


@settings(deadline=None, max_examples=60, derandomize=True)
@given(CLUSTERS, CLUSTERS, CLUSTERS, LENGTHS, st.lists(st.integers(0, 300), min_size=2, max_size=2))
def test_runs_end_whatever_joins_or_leaves_if_enough_is_left_at_last(first, second, last, lengths, times):
    gpus = any(node.gpus for node in first)
    changes = list(zip(sorted(times), (second, last), strict=True))
    jobs = jobs_of(lengths)
    try:
        choose_need(first, len(jobs), 1, gpus)
        choose_need(last, len(jobs), 1, gpus)
    except ClusterError:
        return
    line = simulate(jobs, seconds_of(jobs), first, changes)
    assert set(line.ends) == set(seconds_of(jobs))


def test_runs_that_wait_are_given_less_when_a_large_node_leaves_and_wait_when_none_is_left():
    large, small = Node("large", 16), Node("small", 2)
    planner = Planner(jobs_of([3, 2, 1]), [large, small])
    assert planner.need.cpus == 5
    assert len(planner.start([large])) == 3
    planner = Planner(jobs_of([3, 2, 1]), [large])
    assert planner.start([small])[0].need.cpus == 1
    assert planner.start([]) == []
    assert "0 CPUs" in str(planner.lack)
    planner.end("run 0")
    assert planner.start([small]) != []
    assert planner.lack is None


def test_several_runs_share_a_gpu_and_a_run_of_several_workers_spreads_over_nodes():
    shared = Planner(jobs_of([1] * 9), [Node("here", 16, 2)], gpu_share=1 / 3)
    assert len(shared.start([Node("here", 16, 2)])) == 6
    nodes = [Node("one", 8, 2), Node("two", 8, 2)]
    spread = Planner(jobs_of([1, 1]), nodes, workers=3)
    (placed,) = spread.start(nodes)
    assert sorted(count for _, count in placed.where) == [1, 2]
    whole = Planner(jobs_of([1, 1]), nodes, workers=2)
    assert all(len(placed.where) == 1 for placed in whole.start(nodes)), "a gang that fits on a node stays on it"


@pytest.mark.parametrize(
    ("nodes", "workers", "share", "told"),
    [
        ([Node("a", 0)], 1, 1.0, "0 CPUs, a training needs at least 1"),
        ([Node("a", 2)], 4, 1.0, "4 workers for each training take 4 CPUs, the cluster has 2; lower --workers-per"),
        ([Node("a", 64, 2)], 4, 1.0, "4 workers for each training take 4 GPUs, the cluster has 2; lower --workers-per"),
        ([Node("a", 8), Node("b", 0, 2)], 1, 1.0, "1 GPUs with a CPU each .* 2 GPUs and 8 CPUs, but only 0 such"),
        ([Node("a", 8, 2)], 2, 0.5, "2 workers of one training cannot share a GPU"),
    ],
)
def test_what_can_never_be_placed_is_refused_with_the_numbers(nodes, workers, share, told):
    with pytest.raises(ClusterError, match=told):
        Planner(jobs_of([1, 2]), nodes, workers, share)


@pytest.mark.parametrize(
    ("now", "grown", "workers", "share", "told"),
    [
        ([Node("a", 1)], [Node("a", 1), Node("b", 2)], 4, 1.0, "take 4 CPUs, the cluster has 1 and could grow to 3;"),
        ([], [Node("b", 0)], 1, 1.0, "the cluster has 0 CPUs and could grow to 0 CPUs, a training needs at least 1"),
        ([Node("a", 9)], [Node("a", 9), Node("b", 8, 1)], 2, 1.0, "take 2 GPUs, the cluster has 0 and could grow to 1"),
    ],
)
def test_what_never_fits_even_when_grown_is_refused_with_both_numbers(now, grown, workers, share, told):
    with pytest.raises(ClusterError, match=told):
        Planner(jobs_of([1, 2]), now, workers, share, Growth(tuple(grown)))


def test_what_fits_only_when_grown_waits_and_starts_when_nodes_join():
    head, one, two = Node("head", 1), Node("one", 1), Node("two", 1)
    planner = Planner(jobs_of([3, 2, 1]), [head], 2, growth=Growth((head, one, two)))
    assert planner.start([head]) == []
    assert planner.lack == (
        "2 workers for each training take 2 CPUs, the cluster has 1 and could grow to 3; lower --workers-per-category"
    )
    assert planner.plan().sentence() == f"3 trainings, none before the cluster has grown: {planner.lack}"
    assert planner.wants() == ([{"CPU": 1.0}] * 2, 1), "no more than the grown cluster holds"
    (started,) = planner.start([head, one])
    assert (started.job.key, planner.lack) == ("run 0", None)
    assert planner.wants()[1] == 0, "what goes on takes its place"


def test_a_cluster_of_unknown_limits_is_asked_for_all_that_waits_and_refuses_nothing():
    planner = Planner(jobs_of([1] * 5), [Node("head", 0)], 3, growth=Growth())
    assert planner.wants() == ([{"CPU": 1.0}] * 3, 5)
    assert "the cluster has 0 CPUs, a training needs" in str(planner.lack)
    gpus = Planner(jobs_of([1]), [Node("head", 4)], gpu_share=0.5, growth=Growth((Node("head", 4), Node("g", 4, 1))))
    assert gpus.wants() == ([{"CPU": 1.0, "GPU": 0.5}], 1), "GPUs that may come are waited for"
    assert gpus.lack is not None


def test_each_training_has_a_gpu_where_there_are_some_and_nodes_without_one_are_left_out():
    assert Planner(jobs_of([1] * 15), [Node("here", 16, 2)]).need == Need(1, 4, 1.0)
    assert Planner(jobs_of([1] * 15), [Node("here", 2, 8)]).need == Need(1, 1, 1.0)
    nodes = [Node("gpu", 4, 1), Node("plain", 32)]
    planner = Planner(jobs_of([1] * 3), nodes)
    assert [placed.where for placed in planner.start(nodes)] == [(("gpu", 1),)]
    assert [node["workers"] for node in planner.plan().as_mapping()["nodes"]] == [1, 0]


def test_a_plan_reads_as_a_sentence_and_has_its_order():
    def sentence(runs, node, workers=1, share=1.0):
        return Planner(jobs_of([1] * runs), [node], workers, share).plan().sentence()

    assert sentence(1, Node("here", 8)) == "1 training, 1 at once, 8 CPUs each"
    assert sentence(15, Node("here", 2)) == "15 trainings, 2 at once, 1 CPU each"
    assert sentence(2, Node("here", 8, 1)) == "2 trainings, 1 at once, 1 GPU and 4 CPUs each"
    assert sentence(9, Node("here", 8, 1), 1, 0.25) == "9 trainings, 4 at once, 0.25 GPU and 2 CPUs each"
    assert sentence(2, Node("here", 8), 2) == "2 trainings, 2 at once, 2 workers of 2 CPUs each"
    assert sentence(3, Node("here", 64, 8), 4) == "3 trainings, 2 at once, 4 workers of 1 GPU and 4 CPUs each"
    order = Planner(jobs_of([1, 3, 4]), [Node("here", 2)]).plan().as_mapping()["order"]
    assert [(row["run"], row["length"], row["starts"]) for row in order] == [
        ("run 2", 0.5, "now"), ("run 1", 0.375, "now"), ("run 0", 0.125, "waits"),
    ]  # fmt: skip
    assert all(earlier["length"] >= later["length"] for earlier, later in pairwise(order))
