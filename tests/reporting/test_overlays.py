"""Overlays are drawn whatever their images are called."""

from pathlib import Path

import pytest

from raysuite.archives.listing import Listing
from raysuite.archives.routing import Routes
from raysuite.reporting.overlays import FOLDER, draw_overlays
from raysuite.scoring.models import find_models
from raysuite.scoring.parts import place_of
from raysuite.scoring.scorer import Task, score_unit
from raysuite.storage import Location
from tests.scoring.archive import save_detector, write_pictures


@pytest.mark.parametrize("letter", ["a", "é", "検", "𐐷"])
def test_an_image_with_a_long_name_is_drawn_under_a_name_of_its_own(tmp_path: Path, letter: str) -> None:
    paths = write_pictures(tmp_path / "in", 2)
    # Alike in all that a file's name has room for.
    rows = [f"{path},{k}{letter * 200}" for k, path in enumerate(paths)]
    (tmp_path / "list.csv").write_text("\n".join(["path,id", *rows]))
    save_detector(tmp_path / "run", "weave")
    models = {model.name: model for model in find_models([str(tmp_path / "run")], None)}
    out = Location.of(tmp_path / "out")
    (unit,) = Listing([str(tmp_path / "list.csv")]).units()
    score_unit(unit, Task(out.uri, models, Routes(tuple(models)), "", 2), "cpu")
    part = place_of(out, unit).uri
    worst = [{"part": part, "row": row, "id": item.id, "model": "weave"} for row, item in enumerate(unit.items)]
    assert draw_overlays(out, worst, models) == 2
    names = [name for name, _ in (out / FOLDER).children()]
    assert len(names) == 2
    assert all(letter * 20 in name for name in names)
    assert all(len(f"{name}.12345678.tmp".encode()) <= 143 for name in names)
