"""A detector in one file for other programs: ONNX, OpenVINO or a torch program, checked against the detector itself.

All take ``images``, (N, H, W, 3) uint8 RGB of the detector's size, any N, as decoders give them; and give ``scores``,
(N,) float32, and ``maps``, (N, H, W) float32. The threshold and what else `metadata` says travels with the file.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.export import ExportedProgram

from raysuite import __version__
from raysuite.detection.detector import Detector
from raysuite.engines.choice import TOLERANCE, apart
from raysuite.engines.graph import ScoringGraph, traced
from raysuite.engines.runtimes import check, to_onnx, to_openvino
from raysuite.errors import DetectorError, StorageError

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
OUTPUTS = ("scores", "maps")
CHECKED = (1, 3)
"""Batch sizes that the check computes."""

Function = Callable[[Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written.

    Attributes:
        files: The file; of OpenVINO, the graph and its weights.
        deviation: The largest relative deviation of scores, or of maps in units of their highest value, from the
            detector's own.
    """

    files: tuple[Path, ...]
    deviation: float


def export(detector: Detector, kind: str, output: Path) -> Exported:
    """Write a detector for other programs; what is written is read back and compared before it gets its name.

    Args:
        detector: The detector, on the CPU.
        kind: One of `SUFFIXES`.
        output: The file, with the suffix of its kind.

    Raises:
        ConfigError: What the format needs is not installed.
        DetectorError: The file has another suffix, or the net cannot be written in this format, or what was written
            computes something else; nothing is left then.
        StorageError: The file cannot be written.
    """
    if kind in {"onnx", "openvino"}:
        check(kind)
    if output.suffix != SUFFIXES[kind]:
        raise DetectorError(f"a file of the format {kind} ends in {SUFFIXES[kind]}, not as {output}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as folder:
            draft = Path(folder) / output.name
            try:
                _WRITERS[kind](traced(ScoringGraph(detector), detector.size), metadata(detector), draft)
                off = _deviation(detector, _READERS[kind](draft))
            except OSError:
                raise
            except Exception as error:  # exporters and runtimes raise errors of many kinds
                raise DetectorError(
                    f"the detector {detector.category} cannot be exported as {kind}: {type(error).__name__}: {error}"
                ) from error
            if off > TOLERANCE:
                raise DetectorError(
                    f"the detector {detector.category} as {kind} computes scores that are off by {off:.1e}, more than "
                    f"{TOLERANCE:.0e}; nothing was written"
                )
            # Weights before the graph that names them.
            drafts = sorted(Path(folder).iterdir(), key=lambda path: path.suffix == output.suffix)
            for path in drafts:
                os.replace(path, output.parent / path.name)  # noqa: PTH105 -- Path.replace is the same
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error}") from error
    return Exported(tuple(output.parent / path.name for path in reversed(drafts)), off)


def metadata(detector: Detector) -> dict[str, str]:
    """What travels with the file, as text: category, threshold, size, and what goes in and comes out."""
    height, width = detector.size
    return {
        "raysuite.version": __version__,
        "raysuite.category": detector.category,
        "raysuite.threshold": repr(detector.threshold),
        "raysuite.size": json.dumps(list(detector.size)),
        "raysuite.input": f"images: (N, {height}, {width}, 3) uint8 RGB, resized with an anti-aliased bilinear filter",
        "raysuite.output": "scores: (N,) float32, anomalous above the threshold; "
        f"maps: (N, {height}, {width}) float32, 1 is about the largest error that good images show",
    }


def _write_onnx(program: ExportedProgram, told: Mapping[str, str], file: Path) -> None:
    model = to_onnx(program, ("images",), OUTPUTS)
    for key, value in told.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    file.write_bytes(model.SerializeToString())


def _write_openvino(program: ExportedProgram, told: Mapping[str, str], file: Path) -> None:
    import openvino  # noqa: PLC0415 -- an optional extra

    model = to_openvino(program, (-1, *json.loads(told["raysuite.size"]), 3), OUTPUTS)
    for key, value in told.items():
        model.set_rt_info(value, key.split("."))
    # Half precision is what it would take by itself.
    openvino.save_model(model, str(file), compress_to_fp16=False)


def _write_torch(program: ExportedProgram, told: Mapping[str, str], file: Path) -> None:
    torch.export.save(program, file, extra_files={"raysuite.json": json.dumps(told)})


def _read_onnx(file: Path) -> Function:
    import onnxruntime  # noqa: PLC0415

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        scores, maps = session.run(list(OUTPUTS), {"images": images.numpy()})
        return torch.from_numpy(scores), torch.from_numpy(maps)

    return run


def _read_openvino(file: Path) -> Function:
    import openvino  # noqa: PLC0415

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(file)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        found = compiled({"images": images.numpy()})
        return torch.from_numpy(found["scores"]), torch.from_numpy(found["maps"])

    return run


def _read_torch(file: Path) -> Function:
    # Written a moment ago by this very process: from others such a file could run code.
    module: Any = torch.export.load(file).module()

    def run(images: Tensor) -> tuple[Tensor, Tensor]:
        with torch.inference_mode():
            scores, maps = module(images)
        return scores, maps

    return run


_WRITERS = {"onnx": _write_onnx, "openvino": _write_openvino, "torch": _write_torch}
_READERS: dict[str, Callable[[Path], Function]] = {
    "onnx": _read_onnx, "openvino": _read_openvino, "torch": _read_torch,
}  # fmt: skip


def _deviation(detector: Detector, run: Function) -> float:
    """From the detector, on images of smooth shades with some noise and a patch, in batches of `CHECKED` sizes."""
    rng, (height, width), worst = np.random.default_rng(0), detector.size, 0.0
    down, across = np.mgrid[0:height, 0:width]
    for count in CHECKED:
        waves = np.stack([np.sin(down / (9 + k) + across / (23 - k)) for k in range(3 * count)])
        shades = 128 + 60 * waves.reshape(count, 3, height, width) + rng.normal(0, 4, (count, 3, height, width))
        images_NCHW = torch.from_numpy(np.clip(shades, 0, 255).astype(np.uint8))
        images_NCHW[-1, :, height // 3 : height // 2, width // 3 : width // 2] = 250
        error_NHW = detector.error(images_NCHW)
        wanted = (detector.scores(error_NHW), detector.maps(error_NHW))
        found = run(images_NCHW.permute(0, 2, 3, 1).contiguous())
        if any(one.shape != other.shape for one, other in zip(wanted, found, strict=True)):
            return float("inf")
        worst = max(worst, apart(wanted, found))
    return worst
