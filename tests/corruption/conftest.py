import torch

from tests.datasets.conftest import real_data  # noqa: F401 -- a fixture

# Nets and images are tiny: threads would only wait for one another.
torch.set_num_threads(1)
