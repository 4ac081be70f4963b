"""What ``raysuite status`` says of a run that goes on, has ended, or whose driver died; and who may work on it."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from raysuite.cli import status as command
from raysuite.cli.main import main
from raysuite.datasets.entries import Source
from raysuite.locks import STALE_SECONDS, Owner
from raysuite.runs import Run
from raysuite.settings import preset

WORD = {
    "step": 40, "steps": 800, "loss": 0.01234, "kept_loss": 0.001, "repaired_loss": 0.02, "images_per_second": 31.5,
    "seconds": 20.0, "seconds_left": 3725.0, "node": "node-7", "updated": 1.0,
}  # fmt: skip


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One member in each state but "stopped"."""
    run = Run.create(str(tmp_path / "run"), [Source("/data", "mvtec")], preset("tiny"))
    for name in ("grid", "screw", "tile", "wood", "zipper"):
        run.member(name, 0).set_status("pending")
    run.member("screw", 0).set_status("training")
    run.member("screw", 0).set_progress(WORD)
    trained = run.member("tile", 0)
    trained.set_status("trained")
    trained.set_progress({**WORD, "step": 800, "seconds_left": 0.0})
    (trained.detector / "detector.json").write_text('{"provenance": {"validation": {"score": 0.875}}}')
    done = run.member("wood", 0)
    (done.detector / "detector.json").write_text("{}")
    (done.folder / "metrics.json").write_text('{"val_score": null}')
    run.member("zipper", 0).set_status("failed", "the loss [red]diverges[/]")
    return run


def own(run: Run, **changed: object) -> Owner:
    owner = replace(Owner.here(), **changed)
    (run.root / "owner.json").write_text(json.dumps(asdict(owner)))
    return owner


def test_a_run_at_work_is_shown_whole_with_its_owner(run: Run) -> None:
    own(run, user="ada", started=time.time() - 5)
    result = call("status", run.root)
    assert result.exit_code == 0, result.output
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert lines["grid"].split()[1:] == ["0", "filter", "pending"]
    assert lines["screw"].split()[1:] == [
        "0", "filter", "training", "40/800", "0.01234", "31.5", "1:02:05", "node-7",
    ]  # fmt: skip
    assert lines["tile"].split()[1:] == ["0", "filter", "trained", "800/800", "0.01234", "87.5", "node-7"]
    assert lines["wood"].split()[1:] == ["0", "filter", "done"]
    assert "failed: the loss [red]diverges[/]" in lines["zipper"]
    assert "1 training (31.5 images/s), 1 pending, 1 trained, 1 done, 1 failed" in result.stdout
    assert f"process {os.getpid()}" in lines[f"ada@{Owner.here().host},"]


@pytest.mark.parametrize(
    "gone", [{"host": "elsewhere", "heartbeat": time.time() - STALE_SECONDS - 5}, {"pid": 2**22 + 1}, None]
)
def test_a_training_whose_driver_died_is_stopped_where_it_was(run: Run, gone: dict[str, object] | None) -> None:
    if gone is not None:
        own(run, **gone)
    result = call("status", run.root, "--json")
    assert result.exit_code == 0, result.output
    card = json.loads(result.stdout)
    assert card["totals"] == {"stopped": 1, "pending": 1, "trained": 1, "done": 1, "failed": 1}
    stopped = next(member for member in card["members"] if member["state"] == "stopped")
    assert (stopped["category"], stopped["step"], stopped["seconds_left"]) == ("screw", 40, None)
    assert (card["owner"] is None) == (gone is None)
    assert gone is None or card["owner"]["alive"] is False


def test_what_an_earlier_driver_left_is_not_taken_for_the_work_of_the_new_one(run: Run) -> None:
    own(run, started=time.time() + 100, heartbeat=time.time())
    assert json.loads(call("status", run.root, "--json").stdout)["totals"]["stopped"] == 1


def test_json_has_the_failed_with_their_reason(run: Run) -> None:
    members = json.loads(call("status", run.root, "--json").stdout)["members"]
    assert [member["reason"] for member in members if member["reason"]] == ["the loss [red]diverges[/]"]


@pytest.mark.parametrize(
    ("name", "state"), [("metrics.json", "trained"), ("detector/detector.json", "done"), ("progress.json", "done")]
)
def test_a_half_written_file_of_one_member_leaves_the_table_whole(run: Run, name: str, state: str) -> None:
    member = run.member("wood", 0)
    member.set_status("done")
    (member.folder / name).write_text("")
    result = call("status", run.root, "--json")
    assert result.exit_code == 0, result.output
    states = {row["category"]: row["state"] for row in json.loads(result.stdout)["members"]}
    assert states == {"grid": "pending", "screw": "stopped", "tile": "trained", "wood": state, "zipper": "failed"}


def test_watching_ends_when_nobody_works_any_more(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = own(run)

    def later(_: float) -> None:
        run.member("grid", 0).set_status("failed", "later")
        own(run, id=owner.id, host="elsewhere", heartbeat=0.0)

    monkeypatch.setattr(command.time, "sleep", later)
    result = call("status", run.root, "--watch")
    assert result.exit_code == 0, result.output
    assert result.stdout.count("category") == 2, "once as it was, once as it is in the end"
    assert "failed: later" in result.stdout
    assert "ended without a word" in result.stdout


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_ctrl_c_is_the_way_out_of_watching_and_sigterm_an_end_from_outside(
    run: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, code: int
) -> None:
    own(run)
    # Tests that were started in the background ignore Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(command.time, "sleep", lambda _: signal.raise_signal(number))
    try:
        assert call("status", run.root, "--watch").exit_code == code
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_without_members_says_so(tmp_path: Path) -> None:
    Run.create(str(tmp_path / "run"), [Source("/data", "mvtec")], preset("tiny"))
    assert "nothing begun yet" in call("status", tmp_path / "run").stdout


@pytest.mark.parametrize("word", ["train", "benchmark", "evaluate"])
def test_a_second_command_is_refused_in_one_sentence_with_the_owners_name(
    small_benchmark: Path, tmp_path: Path, word: str
) -> None:
    run = Run.create(str(tmp_path / "run"), [Source(str(small_benchmark), "mvtec")], preset("tiny"))
    (run.member("weave", 0).detector / "detector.json").write_text("{}")
    owner = own(run, user="ada", host="node-7", pid=4711)
    where = ["--run", run.root, "--preset", "tiny"]
    result = call(word, run.root) if word == "evaluate" else call(word, small_benchmark, *where)
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert "is being worked on by ada@node-7, process 4711, since" in lines[0]
    assert Owner.of(run.root) == owner
