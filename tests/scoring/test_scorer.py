"""One unit into one part: every item a row, with the score that the detector itself gives."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from raysuite.archives.listing import Listing
from raysuite.archives.routing import Routes
from raysuite.datasets.decoding import decode_image
from raysuite.detection.detector import Detector
from raysuite.errors import ConfigError, DetectorError
from raysuite.scoring.maps import KINDS, SCALES, decode_map, encode_map
from raysuite.scoring.models import find_models
from raysuite.scoring.parts import all_parts, place_of, unit_of
from raysuite.scoring.scorer import Task, engine_of, score_unit
from raysuite.scoring.tally import Tally
from raysuite.storage import Location
from tests.scoring.archive import encoded, picture, rows_of, save_detector, write_pictures

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with the detectors of two categories, not to be written to."""
    root = tmp_path_factory.mktemp("run")
    save_detector(root, "weave")
    save_detector(root, "flange", seed=1)
    return root


def task(run: Path, out: Path, *names: str, **more: Any) -> Task:
    models = {model.name: model for model in find_models([str(run / name) for name in names or ("weave",)], None)}
    return Task(str(out), models, Routes(tuple(models)), **{"batch_size": 4, **more})


def scan(source: Path, how: Task, unit_size: int = 16, **more: Any) -> list[dict[str, Any]]:
    return [score_unit(unit, how, "cpu", **more) for unit in Listing([str(source)], unit_size=unit_size).units()]


def big_png(side: int) -> bytes:
    """A valid header of side × side pixels, and next to nothing behind it."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty.png": (b"", "Truncated"),
    "cut.png": (encoded(picture(3))[:-300], "Truncated"),
    "text.jpg": (b"no image at all", "Undecodable"),
    "huge.png": (big_png(100_000), "Undecodable"),
    "moving.gif": (encoded(picture(4), "GIF"), "Undecodable"),
    "garbled.png": (encoded(picture(3)).replace(b"IDAT", b"IDXT"), "Undecodable"),
    "float.tif": (b"II*\0\x08\0\0\0\xff\xff" + b"\xff" * 60, "Undecodable"),
}


def test_scores_are_those_of_the_detector_for_every_form_and_batch(run: Path, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "in", 30)
    detector = Detector.load(run / "weave" / "seed-0" / "detector")
    images = [decode_image(path.read_bytes()) for path in paths]
    wanted = {str(path): detector.score([image]) for path, image in zip(paths, images, strict=True)}
    for batch in (1, 4, 64):
        scan(tmp_path / "in", task(run, tmp_path / f"out{batch}", batch_size=batch, threads=batch % 3, maps="float16"))
        rows = rows_of(tmp_path / f"out{batch}")
        assert [row["uri"] for row in rows] == sorted(wanted)
        for row in rows:
            scored = wanted[row["uri"]]
            assert row["score"] == pytest.approx(float(scored.scores[0]), rel=1e-5)
            assert row["anomalous"] == bool(scored.anomalous[0])
            assert (row["height"], row["width"], row["error"], row["model"]) == (32, 32, None, "weave")
            assert np.allclose(decode_map(row["map"]), scored.maps[0], rtol=2e-3)


def test_bad_files_are_rows_and_hurt_no_neighbour(run: Path, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "in", 6)
    for name, (data, _) in BAD.items():
        (tmp_path / "in" / "line-0" / name).write_bytes(data)
    (report,) = scan(tmp_path / "in", task(run, tmp_path / "out"), unit_size=64)
    assert (report["rows"], report["failed"]) == (6 + len(BAD), len(BAD))
    rows = {Path(row["uri"]).name: row for row in rows_of(tmp_path / "out")}
    for name, (_, kind) in BAD.items():
        row = rows[name]
        assert row["error"].startswith(f"{kind}: line-0/{name} "), row["error"]
        assert row["score"] is row["p_value"] is row["anomalous"] is None
        assert row["sha256"] is not None
    assert all(rows[path.name]["error"] is None for path in paths)


def test_a_unit_that_is_done_is_left_alone(run: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 20)
    how = task(run, tmp_path / "out")
    scan(tmp_path / "in", how)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")}
    reports = scan(tmp_path / "in", how)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.parquet")} == before
    assert sum(report["reused"] for report in reports) == 20


def test_changed_files_alone_are_scored_again_in_their_place(run: Path, tmp_path: Path) -> None:
    paths = write_pictures(tmp_path / "in", 12)
    how = task(run, tmp_path / "out")
    scan(tmp_path / "in", how, unit_size=64)
    before = {row["uri"]: row for row in rows_of(tmp_path / "out")}
    paths[3].write_bytes(encoded(picture(77)))
    os.utime(paths[3], ns=(5, 5))
    paths[5].unlink()
    (tmp_path / "in" / "line-1" / "zz.png").write_bytes(encoded(picture(78)))
    (report,) = scan(tmp_path / "in", how, unit_size=64)
    assert (report["rows"], report["reused"], report["changed"]) == (12, 10, 1)
    after = {row["uri"]: row for row in rows_of(tmp_path / "out")}
    assert len(after) == 12
    assert after[str(paths[3])]["sha256"] != before[str(paths[3])]["sha256"]
    assert after[str(paths[4])] == before[str(paths[4])]
    assert str(paths[5]) not in after


def test_rows_of_a_list_that_was_corrected_are_scored_anew(run: Path, tmp_path: Path) -> None:
    first, second = write_pictures(tmp_path / "in", 2)
    table = tmp_path / "list.csv"
    how = task(run, tmp_path / "out", "weave", "flange")
    table.write_text(f"id,path,category\nA,{first},weave\nB,{second},weave\n")
    scan(table, how)
    before = {row["id"]: row for row in rows_of(tmp_path / "out")}
    table.write_text(f"id,path,category\nA,{first},flange\nB2,{second},weave\n")
    (report,) = scan(table, how)
    assert (report["rows"], report["reused"], report["changed"]) == (2, 0, 2)
    after = {row["id"]: row for row in rows_of(tmp_path / "out")}
    assert list(after) == ["A", "B2"]
    assert (after["A"]["model"], after["B2"]["model"]) == ("flange", "weave")
    assert after["A"]["score"] != before["A"]["score"]
    # In a batch of one, where it was in one of two: the last digits are the engine's.
    assert after["B2"]["score"] == pytest.approx(before["B"]["score"], rel=1e-5)


def test_an_image_that_a_list_names_twice_keeps_both_rows(run: Path, tmp_path: Path) -> None:
    (image,) = write_pictures(tmp_path / "in", 1)
    table = tmp_path / "list.csv"
    table.write_text(f"id,path,category\ntop,{image},weave\nside,{image},flange\ngone,missing.png,weave\n")
    how = task(run, tmp_path / "out", "weave", "flange")
    scan(table, how)
    before = rows_of(tmp_path / "out")
    (report,) = scan(table, how, retry_failed=True)
    assert (report["rows"], report["failed"], report["reused"], report["changed"]) == (3, 1, 2, 0)
    after = rows_of(tmp_path / "out")
    assert [row["id"] for row in after] == ["top", "side", "gone"]
    assert after[:2] == before[:2]


def test_failures_are_tried_again_when_asked(run: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 4)
    bad = tmp_path / "in" / "line-0" / "bad.png"
    bad.write_bytes(b"")
    how = task(run, tmp_path / "out")
    scan(tmp_path / "in", how, 64)
    (report,) = scan(tmp_path / "in", how, 64, retry_failed=True)
    assert (report["rows"], report["failed"], report["reused"]) == (5, 1, 4)


def test_each_item_goes_to_its_detector(run: Path, tmp_path: Path) -> None:
    for name in ("weave", "flange", "other"):
        write_pictures(tmp_path / "in" / name, 4)
    scan(tmp_path / "in", task(run, tmp_path / "out", "weave", "flange"), unit_size=64)
    rows = rows_of(tmp_path / "out")
    found = {name: {(row["model"], (row["error"] or "").partition(":")[0]) for row in rows if f"/{name}/" in row["uri"]}
             for name in ("weave", "flange", "other")}  # fmt: skip
    assert found == {"weave": {("weave", "")}, "flange": {("flange", "")}, "other": {(None, "NoModel")}}


def test_a_part_knows_where_its_rows_came_from(run: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 5)
    scan(tmp_path / "in", task(run, tmp_path / "out"), 64)
    ((key, part),) = all_parts(Location.of(tmp_path / "out"))
    unit = unit_of(part)
    assert unit.key == key
    assert place_of(Location.of(tmp_path / "out"), unit).path == part.path
    assert [item.uri for item in unit.items] == [row["uri"] for row in part.read_table().to_pylist()]


def test_the_tally_counts_what_stands_in_the_parts(run: Path, tmp_path: Path) -> None:
    write_pictures(tmp_path / "in", 40)
    (tmp_path / "in" / "bad.png").write_bytes(b"")
    how = task(run, tmp_path / "out")
    scan(tmp_path / "in", how)
    tally = Tally(how.models, 3)
    for _, part in all_parts(Location.of(tmp_path / "out")):
        tally.add(part)
    rows = rows_of(tmp_path / "out")
    scores = sorted((row["score"] for row in rows if row["score"] is not None), reverse=True)
    card = tally.as_mapping()
    assert (card["rows"], card["scored"], card["failed"]) == (41, 40, 1)
    assert card["errors"]["Truncated"]["count"] == 1
    assert card["anomalous"] == sum(row["anomalous"] is True for row in rows)
    assert [one["score"] for one in card["worst"]] == scores[:3]
    assert sum(card["models"]["weave"]["histogram"]) == 40
    assert tally.models["weave"].ranks.sum() == 40


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_read_back_within_their_scale(kind: str) -> None:
    map_HW = np.abs(np.random.default_rng(0).normal(size=(9, 5)) * 3).astype(np.float32)
    map_HW[0, 0] = 1e6
    read = decode_map(encode_map(map_HW, kind))
    top = 65504 if kind == "float16" else SCALES[kind] * (65535 if kind == "png16" else 255)
    assert read[0, 0] == pytest.approx(top)
    tolerance = SCALES.get(kind, 0.01) / 2 + 1e-6
    assert np.abs(read - map_HW)[1:].max() <= tolerance


def test_auto_takes_a_batch_size_from_a_short_list(run: Path) -> None:
    sample_CHW = torch.from_numpy(picture(1)).permute(2, 0, 1)
    engine = engine_of("weave", task(run, run / "out", batch_size=None, engine="eager"), "cpu", sample_CHW)
    assert engine.batch_size in {4, 8, 16}
    assert engine.name == "eager"


def test_models_are_found_by_category_seed_and_run(run: Path, tmp_path: Path) -> None:
    (one,) = find_models([str(run / "weave")], 0.2)
    assert (one.name, one.decision.rate) == ("weave", 0.2)
    assert find_models([str(run / "weave" / "seed-0")], None)[0].digest == one.digest
    with pytest.raises(ConfigError, match="both of category 'weave'"):
        find_models([str(run / "weave"), str(run / "weave" / "seed-0")], None)
    with pytest.raises(DetectorError, match="no trained detector"):
        find_models([str(tmp_path)], None)
    with pytest.raises(ConfigError, match="smallest possible is 1/25"):
        find_models([str(run / "weave")], 0.01)


def test_an_older_detector_is_read_without_its_good_scores(run: Path, tmp_path: Path) -> None:
    folder = save_detector(tmp_path, "old") / "seed-0" / "detector"
    import json

    from safetensors.torch import load_file, save_file

    card = json.loads((folder / "detector.json").read_text())
    (folder / "detector.json").write_text(json.dumps({**card, "version": 2}))
    tensors = load_file(folder / "weights.safetensors")
    assert len(tensors.pop("good_scores")) == 24
    save_file(tensors, folder / "weights.safetensors")
    (model,) = find_models([str(tmp_path / "old")], None)
    assert model.decision.threshold == card["threshold"]
    with pytest.raises(ConfigError, match="older version"):
        find_models([str(tmp_path / "old")], 0.2)


def test_a_multi_page_tiff_counts_once(run: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pages = [Image.fromarray(picture(k)) for k in range(30)]
    pages[0].save(tmp_path / "in" / "a.tif", save_all=True, append_images=pages[1:])
    (report,) = scan(tmp_path / "in", task(run, tmp_path / "out"))
    assert (report["rows"], report["failed"]) == (1, 0)
