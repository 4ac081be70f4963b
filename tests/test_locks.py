from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from raysuite import locks
from raysuite.errors import RunError
from raysuite.locks import Owner, owned
from raysuite.storage import Location


@pytest.fixture
def root(tmp_path: Path) -> Location:
    return Location.of(tmp_path)


def names(root: Location) -> list[str]:
    return [name for name, _ in root.children()]


def write(root: Location, owner: Owner) -> None:
    (root / "owner.json").write_text(json.dumps(asdict(owner)))


def work(path: str, ready: Any) -> None:
    # Tests that were started in the background ignore Ctrl-C, and would hand that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with owned(Location.of(path)):
        ready.set()
        time.sleep(600)


@contextmanager
def another_driver(root: Location) -> Iterator[Any]:
    """A second process at work on the run folder."""
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    process = spawn.Process(target=work, args=(root.path, ready))
    process.start()
    try:
        assert ready.wait(60)
        yield process
    finally:
        process.kill()
        process.join()


def test_a_second_driver_is_refused_with_the_owners_name_until_the_first_is_gone(root: Location) -> None:
    with another_driver(root) as process:
        told = rf"is being worked on by .+@.+, process {process.pid}, since \d\d:\d\d; "
        with pytest.raises(RunError, match=told), owned(root):
            pass
        assert names(root) == ["owner.json"], "refused, and nothing of the first is touched"
        process.kill()
        process.join()
        assert (owner := Owner.of(root)) is not None
        assert owner.pid == process.pid
        assert not owner.is_alive, "its process is gone, however fresh its heartbeat"
        with owned(root):
            assert (mine := Owner.of(root)) is not None
            assert mine.pid == os.getpid()
            assert mine.is_alive
    assert names(root) == []


def test_it_is_released_after_errors_and_ctrl_c(root: Location) -> None:
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), owned(root):
            raise error
        assert names(root) == []


def test_ctrl_c_in_a_driver_releases_its_run(root: Location) -> None:
    with another_driver(root) as process:
        os.kill(process.pid, signal.SIGINT)
        process.join(60)
        assert names(root) == []


@pytest.mark.parametrize("age", [0.0, locks.STALE_SECONDS / 2])
def test_an_owner_elsewhere_is_believed_while_its_heartbeat_is_fresh(root: Location, age: float) -> None:
    there = replace(Owner.here(), host="elsewhere", pid=2**22 + 1, heartbeat=time.time() - age)
    write(root, there)
    with pytest.raises(RunError, match="@elsewhere, process 4194305"), owned(root):
        pass
    assert Owner.of(root) == there


def test_an_owner_here_is_believed_as_long_as_its_process_is_there(root: Location) -> None:
    with another_driver(root) as process:
        there = Owner.of(root)
        assert there is not None
        silent = replace(there, heartbeat=time.time() - 10 * locks.STALE_SECONDS)
        os.kill(process.pid, signal.SIGSTOP)
        assert silent.is_alive, "asleep or held up is not dead"
        reused = replace(silent, born=f"{there.born}0")
        assert not reused.is_alive, "another process has its number now"
        process.kill()
        deadline = time.monotonic() + 60
        while there.is_alive and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not there.is_alive, "killed, though nobody has waited for it yet"


def test_an_owner_elsewhere_that_was_long_not_heard_of_is_taken_over(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.0)
    write(root, replace(Owner.here(), host="elsewhere", heartbeat=time.time() - locks.STALE_SECONDS - 1))
    with owned(root):
        assert (owner := Owner.of(root)) is not None
        assert owner.host != "elsewhere"
    assert names(root) == []


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"id": "x"}', "null"])
def test_a_damaged_file_holds_up_nobody(root: Location, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    monkeypatch.setattr(locks, "SETTLE_SECONDS", 0.0)
    (root / "owner.json").write_text(damage)
    with owned(root):
        assert Owner.of(root) is not None
    assert names(root) == []


def test_an_owner_that_comes_between_the_look_and_the_taking_is_not_overwritten(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival, looked = replace(Owner.here(), user="rival"), Owner.of

    def of(where: Location) -> Owner | None:
        """The first look finds nobody; then the rival is there."""
        monkeypatch.setattr(Owner, "of", looked)
        write(root, rival)
        return None

    monkeypatch.setattr(Owner, "of", of)
    with pytest.raises(RunError, match="rival@"), owned(root):
        pass
    assert Owner.of(root) == rival


def test_of_two_that_take_over_at_once_the_last_one_stays(root: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    write(root, replace(Owner.here(), host="elsewhere", heartbeat=0.0))
    rival = replace(Owner.here(), host="rival")
    monkeypatch.setattr(locks.time, "sleep", lambda _: write(root, rival))
    with pytest.raises(RunError, match="@rival"), owned(root):
        pass
    assert Owner.of(root) == rival


def test_the_heartbeat_is_renewed_and_the_rest_stays(root: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.02)
    with owned(root):
        first = Owner.of(root)
        assert first is not None
        while (later := Owner.of(root)) == first:
            time.sleep(0.01)
        assert later == replace(first, heartbeat=later.heartbeat) if later else False


def test_a_driver_that_was_taken_over_stops_and_leaves_the_other_alone(
    root: Location, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.02)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    rival = replace(Owner.here(), host="rival")

    def be_taken_over() -> None:
        with owned(root):
            write(root, rival)
            time.sleep(60)

    with pytest.raises(RunError, match=r"was taken over by .*@rival"):
        be_taken_over()
    signal.signal(signal.SIGINT, before)
    assert Owner.of(root) == rival


def test_an_owner_says_the_day_if_it_is_not_today(root: Location) -> None:
    assert "since 20" in str(replace(Owner.here(), started=1_700_000_000.0))
    write(root, replace(Owner.here(), user="größe"))
    assert str(Owner.of(root)).startswith("größe@")
