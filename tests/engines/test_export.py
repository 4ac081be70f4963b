"""A file for other programs gives the detector's own scores and maps, whatever the batch, or is not written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from raysuite.cli.main import main
from raysuite.config.detection import Error
from raysuite.detection.detector import Detector
from raysuite.engines import export as exports
from raysuite.engines.export import SUFFIXES, export
from raysuite.errors import DetectorError
from raysuite.models.autoencoder import build
from tests.engines.test_choice import needs
from tests.scoring.archive import picture


def images(count: int) -> np.ndarray:
    return np.stack([picture(seed) for seed in range(count)])


@pytest.mark.parametrize(
    ("pooling", "placed", "error"), [("top", False, "geometric"), ("max", True, "squared"), ("mean", False, "ssim")]
)
def test_onnx_scores_pictures_as_the_detector_does(
    detector: Detector,
    tmp_path: Path,
    pooling: Literal["top", "max", "mean"],
    placed: bool,
    error: Error,
) -> None:
    needs("onnx")
    import onnxruntime

    model = replace(detector.net.config, output="convex" if placed else "direct")
    template_CHW = torch.rand(3, *detector.size) if placed else None
    detector = replace(
        detector,
        net=build(model, 0, template_CHW).eval(),
        symmetries=("mirror",),
        detection=replace(detector.detection, pooling=pooling, flips=pooling == "max", score_share=0.01, error=error),
    )
    made = export(detector, "onnx", tmp_path / "a.onnx")
    assert made.files == (tmp_path / "a.onnx",)
    assert made.deviation < 1e-3
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
    session = onnxruntime.InferenceSession(str(made.files[0]), providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert float(told["raysuite.threshold"]) == detector.threshold
    for count in (1, 5):
        scores, maps = session.run(["scores", "maps"], {"images": images(count)})
        wanted = detector.score(list(images(count)))
        np.testing.assert_allclose(scores, wanted.scores, rtol=1e-3)
        np.testing.assert_allclose(maps, np.stack(wanted.maps), rtol=1e-3, atol=1e-3 * maps.max())


def test_openvino_is_a_pair_of_files_in_single_precision(detector: Detector, tmp_path: Path) -> None:
    needs("openvino")
    import openvino

    made = export(detector, "openvino", tmp_path / "a.xml")
    assert [path.name for path in made.files] == ["a.xml", "a.bin"]
    model = openvino.Core().read_model(str(made.files[0]))
    assert float(model.get_rt_info(["raysuite", "threshold"]).astype(str)) == detector.threshold
    found = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"images": images(3)})
    np.testing.assert_allclose(found["scores"], detector.score(list(images(3))).scores, rtol=1e-3)


def test_a_torch_program_needs_nothing_of_raysuite(detector: Detector, tmp_path: Path) -> None:
    made = export(detector, "torch", tmp_path / "a.pt2")
    told = {"raysuite.json": ""}
    program = torch.export.load(made.files[0], extra_files=told)
    assert float(json.loads(told["raysuite.json"])["raysuite.threshold"]) == detector.threshold
    scores, _ = program.module()(torch.from_numpy(images(2)))
    np.testing.assert_allclose(scores.detach().numpy(), detector.score(list(images(2))).scores, rtol=1e-3)


def test_a_file_that_computes_something_else_is_not_kept(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other(file: Path) -> exports.Function:
        assert file.is_file()
        return lambda images: (torch.ones(len(images)), torch.ones(images.shape[:3]))

    monkeypatch.setitem(exports._READERS, "torch", other)
    with pytest.raises(DetectorError, match="off by"):
        export(detector, "torch", tmp_path / "a.pt2")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", SUFFIXES)
def test_the_command_writes_and_tells(run: Path, tmp_path: Path, kind: str) -> None:
    needs(kind)
    file = tmp_path / "new" / f"weave{SUFFIXES[kind]}"
    result = CliRunner().invoke(main, ["export", str(run), "--format", kind, "--output", str(file), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["files"][0] == str(file)
    assert told["size"] == [32, 32]
    assert told["max_relative_deviation"] < 1e-3


def test_a_wrong_suffix_is_refused_in_one_sentence(run: Path, tmp_path: Path) -> None:
    words = ["export", str(run), "--format", "torch", "--output", str(tmp_path / "a.onnx")]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert ".pt2" in result.stderr
    assert "Traceback" not in result.output
