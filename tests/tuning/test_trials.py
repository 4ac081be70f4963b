import json
import multiprocessing
import os
import signal
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysuite import settings
from raysuite.errors import ConfigError, RunError, StorageError
from raysuite.storage import Location
from raysuite.tuning.ranking import Reached, best_of_each
from raysuite.tuning.trials import ADDED, SCHEMA, Rung, TrialRecord, as_table, read_trials, standings, write_trial

CONFIG = settings.with_words(settings.preset("tiny"), ["model.dilations=[1, 2]"])


def record(number=0, category="grid", **more):
    given = {
        "seed": 3,
        "values": {"model.dilations": [1, 2], "training.ema": 0.98, "model.skip": "convex"},
        "config": settings.to_mapping(CONFIG),
        "curve": (Rung(10, 0.5, 1e-3, 1.5), Rung(30, 0.7, 5e-4, 4.0)),
        "families": {"dent": {"separation": 0.7, "aupro": None}},
        "started": 1000.0,
        "node": "näme",
    }
    return TrialRecord(number=number, category=category, **{**given, **more})


def test_a_trial_survives_with_all_it_has(tmp_path):
    folder = Location.of(tmp_path / "trials")
    records = [
        record(state="done", parameters=12, latency_ms=1.5, judged=0.6, ended=1004.0, checkpoint="s3://b/c"),
        record(1, state="failed", reason="it ran out of memory", curve=()),
        record(2, state="invalid", reason="min_area ≤ max_area", config=None, curve=(), families={}),
        record(3, category="a/b c%.ü", state="stopped", reason="others were better"),
        record(3, category="grid", state="running"),
    ]
    for one in records:
        write_trial(folder, one)
    assert read_trials(folder) == records
    assert records[0].as_config() == CONFIG
    with pytest.raises(ConfigError, match="min_area"):
        records[2].as_config()
    table = as_table(records)
    assert table.schema == SCHEMA
    assert table.column("score").to_pylist() == [0.7, None, None, 0.7, 0.7]
    assert json.loads(table.column("values")[0].as_py())["model.dilations"] == [1, 2]
    assert as_table([]).schema == SCHEMA


def test_a_trial_says_by_what_it_is_scored_and_rows_of_older_versions_are_read(tmp_path):
    folder = Location.of(tmp_path)
    write_trial(folder, record(objective="oracle"))
    table = (folder / "000000-grid.parquet").read_table()
    assert table.column("objective").to_pylist() == ["oracle"]
    (folder / "000000-grid.parquet").write_table(table.drop_columns(sorted(ADDED)))
    assert read_trials(folder) == [record()]
    config = settings.to_mapping(CONFIG)
    del config["detection"]["error"]
    write_trial(folder, record(config=config))
    assert read_trials(folder)[0].as_config() == settings.with_words(CONFIG, ["detection.error=squared"])
    (folder / "000000-grid.parquet").write_table(table.drop_columns(["node"]))
    with pytest.raises(RunError, match="holds no trial"):
        read_trials(folder)


def test_a_folder_that_is_not_there_has_no_trials(tmp_path):
    assert read_trials(Location.of(tmp_path / "none")) == []


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30))
def test_any_name_of_a_category_gives_one_file_in_the_folder(tmp_path_factory, category):
    folder = Location.of(tmp_path_factory.mktemp("trials"))
    write_trial(folder, record(category=category))
    write_trial(folder, record(category=category, seed=4))
    assert len(folder.children()) == 1
    (read,) = read_trials(folder)
    assert (read.category, read.seed) == (category, 4)


def test_rungs_come_in_order_and_a_rung_done_again_replaces_what_was_from_there_on():
    one = record(curve=())
    assert (one.steps, one.score, one.seconds, one.reached) == (0, None, 0.0, None)
    for steps, score in ((10, 0.3), (30, 0.5), (90, 0.6)):
        one = one.with_rung(Rung(steps, score, 1e-3, float(steps)))
    assert (one.steps, one.score, one.reached) == (90, 0.6, Reached(90, 0.6))
    assert one.score_at(30) == 0.5
    assert one.score_at(20) is None
    again = one.with_rung(Rung(30, 0.55, 1e-3, 31.0))
    assert [rung.steps for rung in again.curve] == [10, 30]
    assert again.score == 0.55


def test_a_score_that_is_no_number_is_none_and_ranks_nowhere():
    one = record(curve=(Rung(10, float("nan"), float("inf"), 1.0),))
    assert (one.score, one.residual, one.reached) == (None, None, None)
    assert replace(record(), state="failed").reached is None


def test_standings_are_what_ranking_takes():
    of = standings([record(0), record(1, state="failed"), record(0, category="bottle"), record(1, category="bottle")])
    assert of == {
        "grid": {0: Reached(30, 0.7), 1: None},
        "bottle": {0: Reached(30, 0.7), 1: Reached(30, 0.7)},
    }
    assert best_of_each(of) == {"grid": 0, "bottle": 0}


def test_what_an_interrupted_write_left_is_passed_over_and_a_damaged_file_is_named(tmp_path):
    folder = Location.of(tmp_path)
    write_trial(folder, record())
    (tmp_path / "000001-grid.parquet.1234.tmp").write_bytes(b"half")
    assert len(read_trials(folder)) == 1
    (tmp_path / "000002-grid.parquet").write_bytes(b"half")
    with pytest.raises(StorageError, match="000002-grid"):
        read_trials(folder)
    (folder / "000002-grid.parquet").write_table(as_table([record(), record(1)]))
    with pytest.raises(RunError, match=r"000002-grid.parquet holds no trial"):
        read_trials(folder)


def _write_without_end(path):
    folder = Location.of(path)
    for number in range(10**6):
        one = record(number % 5, curve=(), values={"training.ema": 0.9, "filler": "x" * 20_000})
        for steps in (10, 20, 30):
            one = one.with_rung(Rung(steps, 0.5, 1e-3, 1.0))
            write_trial(folder, one)


def test_a_search_killed_while_it_writes_leaves_only_whole_trials(tmp_path):
    writer = multiprocessing.get_context("spawn").Process(target=_write_without_end, args=(str(tmp_path / "t"),))
    writer.start()
    folder = Location.of(tmp_path / "t")
    deadline = time.monotonic() + 60
    while len(read_trials(folder)) < 5:
        assert time.monotonic() < deadline, "the writer never came so far"
        time.sleep(0.01)
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    records = read_trials(folder)
    assert [one.number for one in records] == [0, 1, 2, 3, 4]
    assert all(one.curve[-1].steps in {10, 20, 30} for one in records)
