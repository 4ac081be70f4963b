"""anomalib's own folder prediction with raysuite's net in it, so that only the pipeline around the net differs.

Needs ``pip install anomalib``, of the benchmark alone; `benchmarks.scoring` calls it where it is installed.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from raysuite.detection.detector import Detector
from raysuite.engines.graph import ErrorGraph


def wrapped(detector: Detector) -> Any:
    """The detector as a model of anomalib: images in [0, 1] in, scores and maps out, nothing before or after."""
    from anomalib import LearningType  # noqa: PLC0415 -- an optional extra
    from anomalib.data import InferenceBatch  # noqa: PLC0415
    from anomalib.models import AnomalibModule  # noqa: PLC0415

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.graph = ErrorGraph(detector).to(memory_format=torch.channels_last)

        def forward(self, images_NCHW: Tensor) -> Any:
            error_NHW = self.graph._error(images_NCHW.contiguous(memory_format=torch.channels_last))
            return InferenceBatch(pred_score=detector.scores(error_NHW), anomaly_map=detector.maps(error_NHW)[:, None])

    class Wrapped(AnomalibModule):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(pre_processor=False, post_processor=False, evaluator=False, visualizer=False)
            self.model = Net()

        @property
        def trainer_arguments(self) -> dict[str, Any]:
            return {}

        @property
        def learning_type(self) -> Any:
            return LearningType.ONE_CLASS

    return Wrapped().eval()


def own(name: str, folder: Path) -> Any:
    """A net of anomalib, ``Draem`` or ``Ganomaly``, with random weights, which do not change its speed.

    Any ``folder`` will do for the textures that training would take, and that would be downloaded.
    """
    from anomalib import models  # noqa: PLC0415

    words = {"dtd_dir": folder} if name == "Draem" else {}
    return getattr(models, name)(post_processor=False, evaluator=False, visualizer=False, **words).eval()


def predicted(folder: Path, model: Any, batch: int | None) -> float:
    """Images a second of `Engine.predict` on a folder, on all threads.

    Args:
        folder: Of images.
        model: A model of anomalib.
        batch: Images of a batch of a loader of ours; None for anomalib's own way from a path, which has batches of one.
    """
    from anomalib.data import PredictDataset  # noqa: PLC0415
    from anomalib.engine import Engine  # noqa: PLC0415
    from torch.utils.data import DataLoader  # noqa: PLC0415

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = Engine(default_root_dir=home, accelerator="cpu", logger=False, enable_progress_bar=False)
        dataset = PredictDataset(folder)
        words: dict[str, Any] = {"data_path": folder}
        if batch is not None:
            words = {"dataloaders": DataLoader(dataset, batch, collate_fn=dataset.collate_fn)}
        start = time.perf_counter()
        found = engine.predict(model, **words)
        seconds = time.perf_counter() - start
    assert sum(len(batch.pred_score) for batch in found) == len(dataset)
    return len(dataset) / seconds
