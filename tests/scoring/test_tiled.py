"""Large images in tiles: a row each like all others, but without a p-value."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raysuite.archives.listing import Listing
from raysuite.archives.routing import Routes
from raysuite.detection.detector import Detector
from raysuite.detection.tiled import score_tiled
from raysuite.scoring.maps import decode_map
from raysuite.scoring.models import find_models
from raysuite.scoring.parts import all_parts
from raysuite.scoring.scorer import Task, score_unit
from raysuite.scoring.tally import Tally
from raysuite.storage import Location
from tests.scoring.archive import encoded, rows_of, save_detector, write_pictures


def even_detector(folder: Path) -> Path:
    """A category whose detector has one figure for what good images show at all places."""
    found = Detector.load(save_detector(folder, "cloth") / "seed-0" / "detector")
    spread_HW = torch.full(found.size, float(found.score_spread_HW.median()))
    replace(found, map_spread_HW=spread_HW.clone(), score_spread_HW=spread_HW).save(
        folder / "cloth" / "seed-0" / "detector"
    )
    return folder


def test_large_images_in_tiles_have_a_score_and_no_p_value(tmp_path: Path) -> None:
    run = even_detector(tmp_path / "run")
    paths = write_pictures(tmp_path / "in", 3)
    large_HW3 = np.random.default_rng(0).integers(90, 160, (300, 200, 3), dtype=np.uint8)
    paths[1].write_bytes(encoded(large_HW3))
    (model,) = find_models([str(run / "cloth")], None)
    how = Task(
        str(tmp_path / "out"),
        {"cloth": model},
        Routes(("cloth",)),
        overlap=0.25,
        maps="float16",
        batch_size=4,
        engine="eager",
    )
    for unit in Listing([str(tmp_path / "in")]).units():
        score_unit(unit, how, "cpu")
    rows = {Path(row["uri"]).name: row for row in rows_of(tmp_path / "out")}
    detector = Detector.load(run / "cloth" / "seed-0" / "detector")
    wanted = score_tiled(detector, large_HW3, overlap=0.25, batch_size=7, longest=1024)
    row = rows.pop(paths[1].name)
    assert row["score"] == pytest.approx(wanted.score, rel=1e-5)
    assert (row["tiles"], row["p_value"], row["height"], row["width"]) == (wanted.tiles, None, 300, 200)
    assert row["anomalous"] == (row["score"] >= how.models["cloth"].decision.threshold)
    assert np.allclose(decode_map(row["map"]), wanted.map_HW, rtol=2e-3)
    for small in rows.values():
        assert small["tiles"] == 1
        assert small["p_value"] is not None
    tally = Tally(how.models, 5)
    for _, part in all_parts(Location.of(str(tmp_path / "out"))):
        tally.add(part)
    assert tally.models["cloth"].tiled == 1
    assert tally.models["cloth"].ranks.sum() == 2
    assert any("1 images were scored in tiles" in told for told in tally.warnings())
