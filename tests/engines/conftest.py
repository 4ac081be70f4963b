from pathlib import Path

import pytest
import torch

from raysuite.detection.detector import Detector
from tests.scoring.archive import picture, save_detector

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A run with one detector, of 32 × 32 pixels; the category's folder."""
    return save_detector(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def detector(run: Path) -> Detector:
    return Detector.load(run / "seed-0" / "detector")


@pytest.fixture(scope="session")
def sample_CHW():  # noqa: N802
    return torch.from_numpy(picture(3)).permute(2, 0, 1)
