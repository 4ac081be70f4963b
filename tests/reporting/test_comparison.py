import pytest

from raysuite.reporting.comparison import COMPARED, compare
from raysuite.reporting.definitions import METRICS
from raysuite.reporting.results import RunResults, SeedResult
from raysuite.reporting.summary import summarise


def run(category: str, objective: str, value: float | None, *, seed: int = 0, status: str = "done") -> SeedResult:
    return SeedResult(category, seed, objective, status, values={metric.key: value for metric in METRICS})


def comparison(*runs: SeedResult):
    objectives = tuple(dict.fromkeys(run.objective for run in runs))
    return compare(summarise(RunResults("r", runs, objectives, {}, "", ())))


def test_one_objective_has_nothing_to_be_compared_with():
    assert comparison(run("a", "filter", 0.9), run("b", "filter", 0.8)) == ()


def test_every_metric_has_a_row_a_category_and_a_column_an_objective():
    found = comparison(
        run("a", "filter", 0.9), run("b", "filter", 0.8), run("a", "plain", 0.7), run("b", "plain", 0.95)
    )
    assert tuple(one.metric.key for one in found) == COMPARED
    assert found[0].objectives == ("filter", "plain")
    assert {name: [cell.best for cell in cells] for name, cells in found[0].rows.items()} == {
        "a": [True, False],
        "b": [False, True],
    }
    assert [cell.statistic.mean for cell in found[0].mean] == pytest.approx([0.85, 0.825])
    assert [cell.best for cell in found[0].mean] == [True, False]


def test_what_is_printed_alike_is_equally_good():
    (first, *_) = comparison(run("a", "filter", 0.98301), run("a", "plain", 0.98299), run("a", "sparse", 0.9))
    assert [cell.best for cell in first.rows["a"]] == [True, True, False]


def test_means_are_over_the_same_categories_and_say_so():
    # Filter alone was run on the hard category: its mean must not suffer for it.
    (first, *_) = comparison(run("easy", "filter", 0.99), run("hard", "filter", 0.5), run("easy", "plain", 0.9))
    assert first.common == ("easy",)
    assert [cell.statistic.mean for cell in first.mean] == [0.99, 0.9]
    assert all(cell.statistic.incomplete for cell in first.mean)
    assert first.rows["hard"][1].statistic is None
    assert not first.rows["hard"][1].failed


def test_a_failure_is_told_from_what_was_not_trained_and_wins_nothing():
    runs = [run("a", "filter", 0.9), run("b", "filter", 0.9), run("a", "plain", 0.8)]
    (first, *_) = comparison(*runs, run("b", "plain", None, status="failed"))
    assert first.rows["b"][1].failed
    assert not any(cell.best for cell in first.rows["b"]), "without a rival there is no best"


def test_an_objective_that_lacks_a_seed_is_marked():
    runs = [run("a", "filter", 0.9, seed=0), run("a", "filter", 0.92, seed=1), run("a", "plain", 0.8, seed=0)]
    (first, *_) = comparison(*runs, run("a", "plain", None, seed=1, status="failed"))
    assert [cell.statistic.incomplete for cell in first.rows["a"]] == [False, True]
    assert [cell.statistic.incomplete for cell in first.mean] == [False, True]
