import math

import numpy as np
import pytest

from raysuite.reporting import figures, histograms
from raysuite.reporting.definitions import PRO_LIMIT
from raysuite.reporting.results import Curve, Score, SeedResult, load_results
from raysuite.reporting.summary import summarise
from raysuite.reporting.thresholds import confusion

KINDS = {kind.key: kind for kind in figures.CURVES}


def scored(*values: tuple[float | None, int | None], threshold: float | None = None) -> SeedResult:
    scores = tuple(Score(f"{i}.png", None, label, value, None, None) for i, (value, label) in enumerate(values))
    return SeedResult("a", 0, "filter", "done", scores=scores, values={"threshold": threshold})


def test_a_curve_has_a_line_a_seed_from_end_to_end(small_run):
    runs = load_results(small_run).of("carpet")
    lines = [t for t in figures.curve_figure(runs, KINDS["pixel_roc"]).data if t.name.startswith("seed")]
    assert [line.name for line in lines] == ["seed 0", "seed 1"]
    assert (lines[0].x[0], lines[0].x[-1], lines[0].y[-1]) == (0.0, 1.0, 1.0)


def test_pro_marks_its_limit(small_run):
    figure = figures.curve_figure(load_results(small_run).of("carpet"), KINDS["pro"])
    limit = next(trace for trace in figure.data if trace.name == "limit 0.3")
    assert list(limit.x) == [PRO_LIMIT, PRO_LIMIT]


def test_what_is_not_defined_is_not_drawn(small_run):
    results = load_results(small_run)
    assert figures.curve_figure(results.of("leather"), KINDS["pro"]) is None
    assert figures.curve_figure(results.of("toothbrush"), KINDS["image_roc"]) is None
    assert histograms.score_figure(results.of("toothbrush")) is None
    assert figures.training_figure(results.of("toothbrush")) is None


def test_thinning_moves_no_point_and_stays_within_a_line_width():
    x = np.concatenate([[0.0], np.geomspace(1e-6, 1, 50_000)])
    full = Curve(x, x**0.1)
    thin = figures.thin_curve(full, 160)
    assert len(thin.x) <= 322
    assert set(thin.x) <= set(x)
    assert (thin.x[0], thin.x[-1]) == (0.0, 1.0)
    assert np.abs(np.interp(x[1:], thin.x, thin.y) - full.y[1:]).max() < 0.01


def test_histograms_count_every_scored_image(small_run):
    run = load_results(small_run).of("screw")[0]
    figure = histograms.score_figure([run])
    by_name = {t.name: t for t in figure.data if t.mode == "lines"}
    assert sum(by_name["good"].y) == 12
    assert sum(by_name["defect"].y) == 20
    assert by_name["threshold"].x[0] == pytest.approx(math.exp(-5))


@pytest.mark.parametrize(
    "run",
    [
        scored((0.5, 0)),
        scored((0.0, 0), (0.0, 1)),
        scored((-3.0, 0), (2.0, 1), threshold=0.0),
        scored((1e-12, 0), (1e9, 1), threshold=-1.0),
        scored((1.0, 1), (None, 0), (4.0, None)),
    ],
    ids=["one", "all alike", "negative", "far apart", "one label"],
)
def test_odd_scores_are_still_drawn(run):
    figure = histograms.score_figure([run])
    drawn = sum(sum(t.y) for t in figure.data if t.fill == "tozeroy")
    assert drawn == sum(score.score is not None and score.label is not None for score in run.scores)


def test_many_images_keep_their_extremes_in_the_strip():
    run = scored(*((float(i + 1), 0) for i in range(5000)))
    strip = next(t for t in histograms.score_figure([run]).data if t.mode == "markers")
    assert len(strip.x) == 400
    assert (strip.x[0], strip.x[-1]) == (1.0, 5000.0)


@pytest.mark.parametrize(("loss", "dtick"), [([0.08, 0.05, 0.02], "D2"), ([3.0, 0.4, 0.004], 1)])
def test_the_axis_of_a_loss_within_one_power_of_ten_has_numbers_too(loss, dtick):
    run = SeedResult("a", 0, "filter", "done", history={"step": np.arange(3.0), "loss": np.array(loss)})
    assert figures.training_figure([run]).layout.yaxis.dtick == dtick


def test_a_loss_that_broke_leaves_only_its_sound_steps():
    loss = np.array([1.0, 0.5, math.nan, math.inf, 0.0])
    run = SeedResult("a", 0, "filter", "failed", history={"step": np.arange(5.0), "loss": loss})
    assert list(figures.training_figure([run]).data[0].y) == [1.0, 0.5]


def test_what_an_objective_adds_to_its_errors_is_drawn_where_it_adds_something():
    step, loss = np.arange(3.0), np.array([0.9, 0.5, 0.3])
    without = SeedResult("a", 0, "filter", "done", history={"step": step, "loss": loss, "extra_loss": 0 * loss})
    with_it = SeedResult("a", 1, "sparse", "done", history={"step": step, "loss": loss, "extra_loss": loss / 3})
    names = [trace.name for trace in figures.training_figure([without, with_it]).data]
    assert names == ["seed 0 loss", "seed 1 loss", "seed 1 extra"]


def test_overview_ranks_by_image_auroc_and_skips_failed_categories(small_run):
    (summary,) = summarise(load_results(small_run))
    axis = figures.overview_figure(summary).layout.yaxis
    assert set(axis.ticktext) == {"carpet", "leather", "screw"}
    assert axis.ticktext[-1] == "screw"


def test_a_curve_of_images_marks_where_the_detector_stands(small_run):
    runs = load_results(small_run).of("screw")
    for key in ("image_roc", "image_pr"):
        marks = [t for t in figures.curve_figure(runs, KINDS[key]).data if t.mode == "markers"]
        assert [mark.name for mark in marks] == ["seed 0 at its threshold", "seed 1 at its threshold"]
    counts = confusion(runs[0])
    roc = next(t for t in figures.curve_figure(runs, KINDS["image_roc"]).data if t.mode == "markers")
    assert (roc.x[0], roc.y[0]) == pytest.approx((counts.false_alarm_rate, counts.recall), abs=1e-4)
    assert not [t for t in figures.curve_figure(runs, KINDS["pixel_roc"]).data if t.mode == "markers"]


def test_learning_rate_and_speed_have_a_line_a_seed(small_run):
    results = load_results(small_run)
    figure = figures.rate_figure(results.of("carpet"))
    assert [trace.xaxis for trace in figure.data] == ["x", "x", "x2", "x2"]
    assert figures.rate_figure(results.of("toothbrush")) is None
