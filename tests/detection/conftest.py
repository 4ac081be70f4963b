import numpy as np
import pytest
import torch

from raysuite.config import DetectionConfig, ModelConfig
from raysuite.detection.calibration import calibrate
from raysuite.models.autoencoder import build

# Nets and images are tiny: threads would only wait for one another.
torch.set_num_threads(1)


@pytest.fixture(scope="session")
def net():
    return build(ModelConfig(widths=(8, 16), blocks=1, branch_width=4, dilations=(1, 2)), seed=0).eval()


@pytest.fixture(scope="session")
def good_NCHW():  # noqa: N802
    rng = np.random.default_rng(0)
    return torch.from_numpy(rng.integers(90, 160, (40, 3, 32, 64), dtype=np.uint8))


@pytest.fixture(scope="session")
def detector(net, good_NCHW):
    return calibrate(
        net,
        category="größe",
        detection=DetectionConfig(),
        train_NCHW=good_NCHW[:16],
        validation_NCHW=good_NCHW[16:24],
        held_out_NCHW=good_NCHW[24:],
        device=torch.device("cpu"),
        seed=3,
        symmetries=("mirror",),
        provenance={"seed": 3},
    )
