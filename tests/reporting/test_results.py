import json

import numpy as np
import pyarrow as pa
import pytest

from raysuite.errors import RunError
from raysuite.reporting.results import load_results
from raysuite.runs import Run
from raysuite.storage import Location


def test_every_category_and_seed_is_loaded(small_run):
    results = load_results(small_run)
    assert results.categories == ("carpet", "leather", "screw", "toothbrush")
    assert results.objectives == ("filter",)
    assert [(run.seed, run.done) for run in results.of("carpet")] == [(0, True), (1, True)]
    assert results.problems == ()


def test_a_done_run_has_all_its_parts(small_run):
    run = load_results(small_run).of("screw")[0]
    assert run.problems == ()
    assert len(run.scores) == 33
    assert set(run.curves) == {"image_roc", "image_pr", "pixel_roc", "pixel_pr", "pro"}
    assert np.all(np.isfinite(run.history["loss"]))
    assert run.gallery[0].pictures["image"]
    assert run.counts["parameters"] == 1_234_567


def test_an_unreadable_image_keeps_its_row_and_error(small_run):
    broken = [score for score in load_results(small_run).of("screw")[0].scores if score.error]
    assert [(score.id, score.score, score.anomalous) for score in broken] == [("broken.png", None, None)]


def test_a_failed_run_says_why_and_lists_what_it_did_not_leave(small_run):
    run = load_results(small_run).of("toothbrush")[0]
    assert run.status == "failed"
    assert "lower the learning rate" in run.reason
    assert "scores.parquet is missing" in run.problems


def test_null_and_nan_are_both_undefined(fresh_run):
    assert load_results(fresh_run).of("leather")[0].values["aupro"] is None
    member = Run.open(fresh_run.uri).member("carpet", 0)
    (member.folder / "metrics.json").write_text(json.dumps(member.metrics() | {"aupro": float("nan")}))
    assert load_results(fresh_run).of("carpet")[0].values["aupro"] is None


@pytest.mark.parametrize("status", ["done", "failed"])
def test_figures_are_those_of_the_training_that_stands_not_of_a_table_of_before(fresh_run, status):
    table = (fresh_run / "metrics.parquet").read_table()
    old = table.drop(["aupro", "status"])
    old = old.append_column("aupro", pa.array([0.25] * len(old))).append_column("status", pa.array([status] * len(old)))
    (fresh_run / "metrics.parquet").write_table(old)
    now = load_results(fresh_run).of("carpet")
    assert [run.values["aupro"] for run in now] == [row["aupro"] for row in table.to_pylist()[: len(now)]]
    assert all(run.done for run in now)


def test_a_damaged_table_is_listed_and_the_rest_loads(fresh_run):
    (fresh_run / "carpet/seed-0/curves.parquet").write_bytes(b"not parquet")
    (fresh_run / "carpet/seed-0/history.parquet").write_table(pa.table({"step": [1]}))
    run = load_results(fresh_run).of("carpet")[0]
    assert run.problems == ("history.parquet lacks the columns loss", "curves.parquet cannot be read")
    assert run.scores


def test_a_seed_folder_without_metrics_is_not_forgotten(fresh_run):
    (fresh_run / "zipper/seed-0/status.json").write_text(json.dumps({"state": "failed", "reason": "out of memory"}))
    (fresh_run / "carpet/seed-7/status.json").write_text(json.dumps({"state": "done", "reason": None}))
    results = load_results(fresh_run)
    assert [(run.status, run.reason) for run in results.of("zipper")] == [("failed", "out of memory")]
    late = results.of("carpet")[-1]
    assert (late.seed, late.status) == (7, "not evaluated")
    assert "raysuite evaluate" in late.reason


@pytest.mark.parametrize("state", [None, "training", "trained"])
def test_figures_of_a_training_that_is_gone_are_not_shown(fresh_run, state):
    member = Run.open(fresh_run.uri).member("carpet", 0)
    member.folder.delete_dir()
    if state:
        member.set_status(state)
    if state == "trained":
        (member.detector / "detector.json").write_text("{}")
    gone, kept = load_results(fresh_run).of("carpet")
    assert (gone.status, gone.done, dict(gone.values)) == (state or "not evaluated", False, {})
    assert gone.reason == ("not evaluated yet" if state == "trained" else "not trained yet")
    assert kept.done


def test_missing_and_damaged_provenance_is_listed(fresh_run):
    (fresh_run / "provenance.json").write_text("[1]")
    (fresh_run / "config.yaml").write_bytes(b"\xff\xfe\x00")
    results = load_results(fresh_run)
    assert results.provenance == {}
    assert results.problems == ("provenance.json is not a JSON object", "config.yaml cannot be read")


def test_a_missing_run_folder_says_what_to_run(tmp_path):
    with pytest.raises(RunError, match=r"no run folder.*raysuite evaluate"):
        load_results(Location.of(tmp_path / "nowhere"))


def test_a_run_that_was_not_evaluated_says_what_to_run(tmp_path):
    with pytest.raises(RunError, match=r"no metrics\.parquet: run `raysuite evaluate`"):
        load_results(Location.of(tmp_path))


@pytest.mark.parametrize("content", [b"PAR1 but no more", None])
def test_a_useless_metrics_table_says_what_to_run(fresh_run, content):
    if content is None:
        (fresh_run / "metrics.parquet").write_table(pa.table({"category": ["a"]}))
    else:
        (fresh_run / "metrics.parquet").write_bytes(content)
    with pytest.raises(RunError, match="raysuite evaluate"):
        load_results(fresh_run)


def test_every_objective_is_read_from_its_own_folder(compared_run):
    results = load_results(compared_run)
    assert results.objectives == ("filter", "plain", "denoise")
    assert [(run.objective, run.seed) for run in results.of("carpet")] == [
        ("filter", 0), ("filter", 1), ("plain", 0), ("plain", 1), ("denoise", 0), ("denoise", 1)
    ]  # fmt: skip
    own, other = results.of("carpet")[0], results.of("carpet")[2]
    assert [score.id for score in own.scores] == [score.id for score in other.scores]
    assert own.scores != other.scores


def test_a_member_of_another_objective_without_metrics_is_not_forgotten(fresh_run):
    (fresh_run / "carpet/seed-0-sparse/status.json").write_text(json.dumps({"state": "failed", "reason": "NaN"}))
    results = load_results(fresh_run)
    assert results.objectives == ("filter", "sparse")
    assert [(run.objective, run.reason) for run in results.of("carpet")][-1] == ("sparse", "NaN")


def test_an_objective_from_the_future_is_refused_by_name(fresh_run):
    table = (fresh_run / "metrics.parquet").read_table()
    column = pa.array(["diffusion"] * len(table))
    (fresh_run / "metrics.parquet").write_table(table.drop(["objective"]).append_column("objective", column))
    with pytest.raises(RunError, match="'diffusion'"):
        load_results(fresh_run)
