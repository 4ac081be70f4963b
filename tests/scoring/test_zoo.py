"""Every bad file is a row with the kind of its error, what can be read is scored, and nothing crashes or hangs."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from raysuite.archives.limits import Limits
from raysuite.archives.listing import Listing
from raysuite.archives.routing import Routes
from raysuite.scoring.models import find_models
from raysuite.scoring.scorer import Task, score_unit
from tests.scoring import zoo
from tests.scoring.archive import encoded, picture, rows_of, save_detector


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    """A detector and an output folder."""
    root = tmp_path_factory.mktemp("zoo")
    (model,) = find_models([str(save_detector(root / "run"))], None)
    return Task(str(root / "out"), {model.name: model}, Routes((model.name,)), batch_size=8, engine="eager")


def kind_of(row: dict[str, object]) -> str:
    return zoo.OK if row["error"] is None else str(row["error"]).partition(":")[0]


def test_every_animal_is_a_row_of_its_kind(task: Task, tmp_path: Path) -> None:
    wanted = zoo.fill(tmp_path / "in")
    assert len([kind for kind in wanted.values() if kind != zoo.OK]) >= 40
    for unit in Listing([str(tmp_path / "in")]).units():
        score_unit(unit, task, "cpu")
    rows = {row["id"]: row for row in rows_of(Path(task.out))}
    assert {name: kind_of(row) for name, row in rows.items()} == wanted
    for row in rows.values():
        assert (row["score"] is None) == (row["error"] is not None)
        assert (row["p_value"] is None) == (row["error"] is not None)
        assert row["error"] is None or str(row["id"]).rpartition("/")[2].strip() in str(row["error"])
    assert (rows["turned.jpg"]["height"], rows["turned.jpg"]["width"]) == (32, 24)
    assert rows["pages.tif"]["score"] == pytest.approx(rows["moving.png"]["score"])


def swapped(path: Path, how: str) -> None:
    """What may happen between the listing and the reading."""
    path.unlink()
    if how == "pipe":
        os.mkfifo(path)
    elif how == "folder":
        path.mkdir()
    elif how == "device":
        path.symlink_to("/dev/zero")
    elif how == "grown":
        path.write_bytes(bytes(30_000))


@pytest.mark.parametrize(
    ("how", "kind"),
    [("gone", "Unreadable"), ("pipe", "Unreadable"), ("folder", "Unreadable"), ("device", "Unreadable"),
     ("grown", "TooLarge")],
)  # fmt: skip
def test_what_becomes_bad_after_it_was_listed_is_a_row(task: Task, tmp_path: Path, how: str, kind: str) -> None:
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes(encoded(picture(k)))
    (unit,) = Listing([str(tmp_path)]).units()
    swapped(tmp_path / "1.png", how)
    limited = Task(
        str(tmp_path / "out"), task.models, task.routes, batch_size=8, engine="eager", limits=Limits(item_bytes=20_000)
    )
    # A pipe without a writer would hold up whoever opens it: then this thread does not end.
    scoring = threading.Thread(target=score_unit, args=(unit, limited, "cpu"), daemon=True)
    scoring.start()
    scoring.join(60)
    assert not scoring.is_alive()
    assert [kind_of(row) for row in rows_of(tmp_path / "out")] == [zoo.OK, kind, zoo.OK]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_and_folders_that_may_not_be_read_are_rows(task: Task, tmp_path: Path) -> None:
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "a.png").write_bytes(zoo.IMAGE)
    (tmp_path / "in" / "a.png").chmod(0)
    (tmp_path / "in" / "closed").chmod(0)
    for unit in Listing([str(tmp_path / "in")]).units():
        score_unit(unit, Task(str(tmp_path / "out"), task.models, task.routes, batch_size=8, engine="eager"), "cpu")
    (tmp_path / "in" / "closed").chmod(0o700)
    assert {str(row["id"]): kind_of(row) for row in rows_of(tmp_path / "out")} == {
        "a.png": "Unreadable", "closed/": "Unreadable",
    }  # fmt: skip
