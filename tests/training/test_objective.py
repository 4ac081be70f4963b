import numpy as np
import pytest
import torch

from raysuite.training.objective import SMALLEST_SHARE, region_balanced_loss


def oracle(outputs_NCHW, targets_NCHW, mask_N1HW, weight):
    """The formula of Bauer et al. pixel by pixel, over float64 arrays."""
    kept, repaired = [], []
    for image, target, mask in zip(outputs_NCHW, targets_NCHW, mask_N1HW, strict=True):
        for row, column in np.ndindex(mask.shape[1:]):
            error = np.mean((image[:, row, column] - target[:, row, column]) ** 2)
            (repaired if mask[0, row, column] else kept).append(error)
    least = SMALLEST_SHARE * mask_N1HW.size
    parts = [sum(part) / max(len(part), least) for part in (kept, repaired)]
    return (1 - weight) * parts[0] + weight * parts[1], *parts


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    outputs, targets = rng.random((2, 2, 3, 12, 10)).astype(np.float32)
    return outputs, targets, rng.random((2, 1, 12, 10)) < 0.3


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("share", ["some", "none", "all", "one"])
def test_the_loss_is_the_formula(batch, weight, share):
    outputs, targets, mask = batch
    if share in {"none", "one"}:
        mask = np.zeros_like(mask)
        mask[0, 0, 5, 5] = share == "one"
    elif share == "all":
        mask = np.ones_like(mask)
    loss = region_balanced_loss(*map(torch.from_numpy, (outputs, targets, mask)), weight)
    wanted = oracle(outputs.astype(float), targets.astype(float), mask, weight)
    found = [float(part) for part in (loss.total, loss.kept, loss.repaired)]
    assert found == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_the_weight_chooses_between_kept_and_repaired(batch):
    outputs, targets, mask = map(torch.from_numpy, batch)
    for weight, part in ((0.0, "kept"), (1.0, "repaired")):
        loss = region_balanced_loss(outputs, targets, mask, weight)
        assert torch.equal(loss.total, getattr(loss, part))


def test_one_corrupted_pixel_does_not_outweigh_the_picture():
    outputs, targets = torch.zeros(1, 3, 100, 100, requires_grad=True), torch.ones(1, 3, 100, 100)
    mask = torch.zeros(1, 1, 100, 100, dtype=torch.bool)
    mask[0, 0, 3, 4] = True
    region_balanced_loss(outputs, targets, mask, 0.5).total.backward()
    pull = outputs.grad.abs()[0, 0]
    assert pull[3, 4] / pull[0, 0] == pytest.approx(1 / SMALLEST_SHARE, rel=0.01)


def test_only_the_total_carries_gradients(batch):
    outputs, targets, mask = map(torch.from_numpy, batch)
    loss = region_balanced_loss(outputs.requires_grad_(), targets, mask, 0.5)
    assert loss.total.requires_grad
    assert not loss.kept.requires_grad
    assert not loss.repaired.requires_grad


def test_half_precision_outputs_are_compared_in_float32(batch):
    outputs, targets, mask = map(torch.from_numpy, batch)
    assert region_balanced_loss(outputs.bfloat16(), targets, mask, 0.5).total.dtype == torch.float32
