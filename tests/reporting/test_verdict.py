"""The verdict: how sure the mean is, and what the figures are to be read with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from raysuite.datasets.inspection import inspect_rows
from raysuite.reporting.page import render_report
from raysuite.reporting.results import load_results
from raysuite.reporting.summary import summarise
from raysuite.reporting.verdict import verdict
from raysuite.storage import Location

from .markup import Page
from .run_folder import FakeCategory, write_run_folder


def head_of(root: Location):
    results = load_results(root)
    return verdict(root, results, summarise(results))


def test_the_interval_of_the_mean_is_that_of_resampled_test_images(tmp_path: Path):
    categories = [FakeCategory("a", separation=0.8), FakeCategory("b", separation=1.5)]
    root = write_run_folder(Location.of(tmp_path / "run"), categories, (0, 1), gallery=0)
    found = head_of(root).intervals["filter"]
    runs = load_results(root).runs
    rng, drawn = np.random.default_rng(0), []
    labels = np.array([score.label for score in runs[0].scores if score.score is not None])
    scores = {(run.category, run.seed): np.array([s.score for s in run.scores if s.score is not None]) for run in runs}
    for _ in range(600):
        values = []
        for name in "ab":
            pick = np.concatenate([rng.choice(group := np.flatnonzero(labels == y), len(group)) for y in (0, 1)])
            values += [roc_auc_score(labels[pick], scores[name, seed][pick]) for seed in (0, 1)]
        drawn.append(np.mean(values))
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.012)


def test_a_run_without_any_figure_has_a_verdict_without_an_interval(tmp_path: Path):
    root = write_run_folder(Location.of(tmp_path / "run"), [FakeCategory("a", failed=True)], (0,), gallery=0)
    assert head_of(root).intervals == {"filter": None}
    assert "Nothing was measured" in Page(render_report(root)).visible


def test_a_rate_that_too_few_held_out_images_cannot_promise_is_said(fresh_run):
    settings = {"detection": {"false_alarm_rate": 0.05}}
    for category, seed, held in (("carpet", 0, 19), ("carpet", 1, 19), ("screw", 0, 2), ("screw", 1, 2)):
        card = {"provenance": {"held_out_images": held, "settings": settings}}
        (fresh_run / category / f"seed-{seed}" / "detector" / "detector.json").write_text(json.dumps(card))
    (caution,) = [one for one in head_of(fresh_run).cautions if "promise" in one]
    assert caution == (
        "screw: 2 held-out good images can promise a false-alarm rate of 33 % at best, not 5 % as asked for; the "
        "threshold is their highest score."
    )
    visible = Page(render_report(fresh_run)).visible
    assert caution in visible
    assert "fewer than 19 held-out images cannot promise that" in visible


def test_images_that_were_trained_on_and_tested_are_said_at_the_top(fresh_run):
    results = load_results(fresh_run)
    report = inspect_rows("carpet", [row(split) for split in ("train", "test")])
    found = verdict(fresh_run, results, summarise(results), [report])
    assert "carpet: 1 image is in training and in test, byte for byte: what is measured on it is worth nothing." in (
        found.cautions
    )


def row(split: str) -> dict[str, object]:
    """A good image, always the same."""
    return {
        "id": f"carpet/{split}/good/1.png", "split": split, "label": 0, "defect": None, "height": 8, "width": 8,
        "mode": "RGB", "sha256": "ab", "error": None, "mask": None,
    }  # fmt: skip


@pytest.mark.parametrize(("norm", "said"), [("batch", "statistics from each part"), ("group", "the same sum")])
def test_trainings_that_took_smaller_parts_are_named(fresh_run, norm, said):
    card = {
        "micro_batch": 4, "workers": 2,
        "settings": {"training": {"batch_size": 32}, "model": {"norm": norm}},
    }  # fmt: skip
    for seed, part in ((0, 4), (1, 16)):
        folder = fresh_run / "carpet" / f"seed-{seed}" / "detector"
        (folder / "detector.json").write_text(json.dumps({"provenance": {**card, "micro_batch": part}}))
    (caution,) = [one for one in head_of(fresh_run).cautions if "memory" in one]
    assert caution.startswith("carpet seed 0: memory did not hold a batch of 32 images")
    assert "parts of 4" in caution
    assert said in caution
    assert ("statistics" in caution) == (norm == "batch")


def test_a_damaged_detector_does_not_end_the_report(fresh_run):
    (fresh_run / "carpet" / "seed-0" / "detector" / "detector.json").write_text("{nonsense")
    assert head_of(fresh_run).cautions
