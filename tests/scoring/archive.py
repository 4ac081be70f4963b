"""Small archives and a tiny detector for the tests of scoring."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow.dataset as pads
import torch
from numpy.typing import NDArray
from PIL import Image

from raysuite.config import DetectionConfig, ModelConfig
from raysuite.detection.calibration import calibrate
from raysuite.models.autoencoder import build


def picture(seed: int, side: int = 32) -> NDArray[np.uint8]:
    """Grey noise with a few bright pixels, as many as the seed says."""
    rng = np.random.default_rng(seed)
    image_HW3 = rng.integers(90, 160, (side, side, 3), dtype=np.uint8)
    image_HW3[: seed % 5, : seed % 7] = 255
    return image_HW3


def encoded(image_HW3: NDArray[np.uint8], kind: str = "PNG") -> bytes:
    sink = io.BytesIO()
    Image.fromarray(image_HW3).save(sink, kind)
    return sink.getvalue()


def write_pictures(folder: Path, count: int, first: int = 0) -> list[Path]:
    """``count`` images in two folders; the paths, in order of their names."""
    made = []
    for seed in range(first, first + count):
        path = folder / f"line-{seed % 2}" / f"{seed:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(seed)))
        made.append(path)
    return sorted(made)


def save_detector(folder: Path, category: str = "weave", held_out: int = 24, seed: int = 0) -> Path:
    """A detector of an untrained net, as the category of a run; the category's folder."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(seed)
    good_NCHW = torch.from_numpy(rng.integers(90, 160, (16 + held_out, 3, 32, 32), dtype=np.uint8))
    net = build(ModelConfig(widths=(8, 16), blocks=1, branch_width=4, dilations=(1, 2)), seed=seed).eval()
    detector = calibrate(
        net,
        category=category,
        detection=DetectionConfig(false_alarm_rate=0.1),
        train_NCHW=good_NCHW[:8],
        validation_NCHW=good_NCHW[8:16],
        held_out_NCHW=good_NCHW[16:],
        device=torch.device("cpu"),
        seed=seed,
        provenance={},
    )
    detector.save(folder / category / "seed-0" / "detector")
    return folder / category


def rows_of(out: Path, columns: list[str] | None = None) -> list[dict[str, object]]:
    """All rows, by their URIs."""
    rows = pads.dataset(out / "parts", format="parquet").to_table(columns=columns).to_pylist()
    return sorted(rows, key=lambda row: str(row.get("uri")))
