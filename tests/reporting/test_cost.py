import numpy as np
import pytest

from raysuite.reporting import units
from raysuite.reporting.cost import cost_of
from raysuite.reporting.gantt import MOST_ROWS, timeline_figure
from raysuite.reporting.results import RunResults, SeedResult, load_results


def results(*runs: SeedResult) -> RunResults:
    return RunResults("r", runs, ("filter",), {}, "", ())


def trained(started: float, ended: float | None, node: str = "n", seed: int = 0, **more: object) -> SeedResult:
    span = {"stage": "train", "node": node, "started": started, "ended": ended, "cpus": 4, "gpus": 0.5, **more}
    return SeedResult("a", seed, "filter", "done", spans=(span,))


def test_hours_are_what_was_held_and_the_wall_clock_what_passed():
    scoring = {"stage": "evaluate", "node": "n", "started": 7300.0, "ended": 7400.0, "busy_seconds": 180.0}
    second = trained(3600.0, 7200.0, seed=1)
    cost = cost_of(results(trained(0.0, 3600.0), SeedResult("b", 0, "filter", "done", spans=(*second.spans, scoring))))
    assert cost.cpu_hours == pytest.approx(4 + 4 + 180 / 3600)
    assert cost.gpu_hours == pytest.approx(1.0)
    assert cost.wall_seconds == 7400.0


def test_a_worker_that_was_lost_has_a_bar_and_no_hours():
    cost = cost_of(results(trained(0.0, None), trained(10.0, 20.0, seed=1)))
    assert [(bar.ended, bar.row) for bar in cost.bars] == [(None, 0), (20.0, 0)]
    assert cost.cpu_hours == pytest.approx(4 * 10 / 3600)


def test_what_a_node_does_at_once_lies_in_rows_of_its_own():
    cost = cost_of(results(*(trained(at, at + 10, seed=n) for n, at in enumerate((0.0, 5.0, 10.0)))))
    assert [bar.row for bar in cost.bars] == [0, 1, 0]


def test_energy_is_summed_only_where_no_two_trainings_shared_a_counter():
    alone = results(trained(0, 10, processor_joules=5.0, gpu_joules=2.0), trained(10, 20, seed=1, processor_joules=1.0))
    assert cost_of(alone).joules == 8.0
    shared = cost_of(results(trained(0, 10, processor_joules=5.0), trained(5, 20, seed=1, processor_joules=1.0)))
    assert shared.joules is None
    assert "shared" in shared.energy_note
    assert [member.joules for member in shared.members] == [5.0, 1.0]
    assert cost_of(results(trained(0, 10))).energy_note == "not measured on this machine"


def test_rates_are_medians_of_what_was_measured():
    history = {"images_per_second": np.array([10.0, 90.0, np.nan, 100.0])}
    run = SeedResult("a", 0, "filter", "done", history=history, values={"evaluate_seconds": 0.0})
    (member,) = cost_of(results(run)).members
    assert member.training_rate == 90.0
    assert member.scoring_rate is None


def test_a_run_without_timelines_claims_nothing():
    cost = cost_of(results(SeedResult("a", 0, "filter", "done", values={"train_seconds": 12.0})))
    assert (cost.cpu_hours, cost.gpu_hours, cost.wall_seconds, cost.joules) == (None, None, None, None)
    assert cost.members[0].seconds == 12.0
    assert timeline_figure(cost) is None


def test_the_chart_has_a_bar_a_span_and_a_row_a_node(small_run):
    cost = cost_of(load_results(small_run))
    figure = timeline_figure(cost)
    assert sum(len(trace.x) for trace in figure.data) == len(cost.bars)
    assert {text for text in figure.layout.yaxis.ticktext if text} == {"node-0", "node-1"}
    assert {trace.name for trace in figure.data} == {"training", "scoring", "failed or lost"}


def test_too_many_rows_are_left_to_the_table():
    runs = [trained(0.0, 1.0, node=f"n{n}", seed=n) for n in range(MOST_ROWS + 1)]
    assert timeline_figure(cost_of(results(*runs))) is None


def test_measures_are_told_in_units_that_people_read():
    assert [units.duration(s) for s in (None, 3.21, 47, 200, 7500)] == [
        "–",
        "3.2 s",
        "47 s",
        "3 min 20 s",
        "2 h 05 min",
    ]
    assert [units.rate(r) for r in (None, 0.1234, 12.34, 1234.5)] == ["–", "0.123", "12.3", "1,234"]
    assert [units.hours(h) for h in (None, 0, 0.0123, 2.345)] == ["–", "0", "0.012", "2.35"]
    assert [units.size(b) for b in (None, 9e8, 1.44e9)] == ["–", "900 MB", "1.4 GB"]
    assert [units.energy(j) for j in (None, 9000.0, 7.2e6)] == ["–", "2.5 Wh", "2.00 kWh"]
    assert units.clock(0) == "1970-01-01 00:00:00"
