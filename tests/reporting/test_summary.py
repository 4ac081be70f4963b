import statistics

import pytest

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.results import RunResults, SeedResult, load_results
from raysuite.reporting.summary import Statistic, Summary, failure_sentences, summarise


def run(
    category: str,
    seed: int,
    value: float | None,
    status: str = "done",
    reason: str | None = None,
    *,
    objective: str = "filter",
) -> SeedResult:
    return SeedResult(category, seed, objective, status, reason, values={metric.key: value for metric in METRICS})


def results(*runs: SeedResult) -> RunResults:
    return RunResults("r", runs, tuple(dict.fromkeys(run.objective for run in runs)), {}, "", ())


def summary_of(of: RunResults) -> Summary:
    (summary,) = summarise(of)
    return summary


def test_spread_is_the_sample_deviation_over_seeds():
    summary = summary_of(results(run("a", 0, 0.8), run("a", 1, 0.9), run("a", 2, 0.94)))
    statistic = summary.categories[0].metrics["image_auroc"]
    assert statistic.mean == pytest.approx(0.88)
    assert statistic.std == pytest.approx(statistics.stdev([0.8, 0.9, 0.94]))


def test_one_seed_has_no_spread():
    assert Statistic.of([0.5]) == Statistic(0.5, None, 1, incomplete=False)


def test_nothing_defined_is_not_zero_and_not_incomplete():
    assert Statistic.of([None, None]) == Statistic(None, None, 0, incomplete=False)


def test_categories_count_the_same_and_the_spread_is_that_of_whole_benchmarks():
    # The categories move in opposite directions from seed to seed: the benchmark's mean hardly moves.
    summary = summary_of(results(run("a", 0, 0.8), run("a", 1, 0.9), run("b", 0, 0.7), run("b", 1, 0.62)))
    macro = summary.macro["image_auroc"]
    assert macro.mean == pytest.approx((0.85 + 0.66) / 2)
    assert macro.std == pytest.approx(statistics.stdev([0.75, 0.76]))
    assert not macro.incomplete
    assert not summary.incomplete


def test_a_failed_category_marks_every_mean():
    summary = summary_of(results(run("a", 0, 0.8), run("b", 0, None, "failed", "why")))
    assert summary.incomplete
    assert summary.macro["aupro"] == Statistic(0.8, None, 1, incomplete=True)
    assert summary.categories[1].failed


@pytest.mark.parametrize("leaves_a_trace", [True, False])
def test_a_missing_seed_marks_its_category_and_the_mean(leaves_a_trace):
    runs = [run("a", 0, 0.8), run("a", 1, 0.9), run("b", 0, 0.7)]
    if leaves_a_trace:
        runs.append(run("b", 1, None, "failed", "why"))
    summary = summary_of(results(*runs))
    assert [c.metrics["image_auroc"].incomplete for c in summary.categories] == [False, True]
    assert summary.macro["image_auroc"].incomplete
    # Seed 1 lacks a category, so that no spread of comparable means exists.
    assert summary.macro["image_auroc"].std is None
    assert summary.incomplete
    assert summary.runs_done == 3


def test_a_metric_that_one_category_cannot_have_is_marked_but_the_run_is_whole(small_run):
    loaded = load_results(small_run)
    kept = results(*(r for r in loaded.runs if r.category != "toothbrush"))
    (summary,) = summarise(kept)
    assert summary.macro["aupro"].incomplete
    assert summary.macro["aupro"].n == 2
    assert not summary.macro["image_auroc"].incomplete
    assert not summary.incomplete


def test_lowest_category_needs_a_second_one():
    assert summary_of(results(run("a", 0, 0.8))).worst("aupro") is None
    assert summary_of(results(run("a", 0, 0.8), run("b", 0, 0.0), run("c", 0, None))).worst("aupro").category == "b"


def test_seeds_that_failed_alike_share_a_sentence():
    summary = summary_of(
        results(
            run("a", 0, None, "failed", "x"),
            run("a", 1, 0.5),
            run("a", 2, None, "failed", "x"),
            run("a", 3, None, "lost"),
        )
    )
    assert failure_sentences(summary.categories[0]) == ["seeds 0, 2: failed: x", "seed 3: lost: no reason was recorded"]


def test_each_objective_is_summed_up_by_itself():
    runs = [run("a", 0, 0.8), run("a", 1, 0.9), run("a", 0, 0.6, objective="plain"), run("b", 0, 0.7)]
    own, plain = summarise(results(*runs))
    assert (own.objective, own.seeds, [c.category for c in own.categories]) == ("filter", (0, 1), ["a", "b"])
    assert (plain.objective, plain.seeds, [c.category for c in plain.categories]) == ("plain", (0,), ["a"])
    assert plain.macro["aupro"] == Statistic(0.6, None, 1, incomplete=False)
