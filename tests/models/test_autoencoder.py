import pytest
import torch

from raysuite.config import ModelConfig
from raysuite.models.autoencoder import build

SMALL = {"widths": (8, 16), "blocks": 1, "branch_width": 4, "dilations": (1, 2)}


@pytest.mark.parametrize("size", [(64, 64), (32, 72), (40, 24)])
@pytest.mark.parametrize("stem", [1, 2])
@pytest.mark.parametrize("skip", ["convex", "none"])
def test_a_repaired_image_has_the_size_of_its_input(size, stem, skip):
    net = build(ModelConfig(**SMALL, stem=stem, skip=skip), seed=0).eval()
    assert net.stride == 4 * stem
    images_NCHW = torch.rand(2, 3, *size)
    with torch.inference_mode():
        repaired_NCHW = net(images_NCHW)
    assert repaired_NCHW.shape == images_NCHW.shape
    assert repaired_NCHW.dtype == torch.float32
    assert repaired_NCHW.isfinite().all()


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(widths=(4,), blocks=0),
        ModelConfig(widths=(4, 6, 8), stem=1, blocks=2, branch_width=3, dilations=(1, 3), kernel=5),
        ModelConfig(widths=(4, 8), bottleneck=2, blocks=1, dilations=(1,), kernel=7),
    ],
)
def test_every_part_can_be_left_out_or_resized(config):
    with torch.inference_mode():
        assert build(config, 0).eval()(torch.rand(1, 3, 64, 128)).shape == (1, 3, 64, 128)


def test_the_smallest_input_a_config_allows_passes():
    config = ModelConfig(**SMALL)
    side = config.stride * (config.reach + 1)
    assert build(config, 0).eval()(torch.rand(1, 3, side, side)).shape == (1, 3, side, side)


@pytest.mark.parametrize("skip", ["convex", "none"])
@pytest.mark.parametrize("stem", [1, 2])
def test_gradients_reach_every_parameter(skip, stem):
    net = build(ModelConfig(**SMALL, stem=stem, skip=skip), seed=0).train()
    (net(torch.rand(2, 3, 32, 32)) - torch.rand(2, 3, 32, 32)).square().mean().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_same_seed_gives_the_same_weights_and_touches_no_global_generator():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = build(ModelConfig(**SMALL), seed=5).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = (build(ModelConfig(**SMALL), seed=seed).state_dict() for seed in (5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_parameters_are_counted_by_hand():
    # down: conv 12→4 and 4→4 of 3 × 3 with norms; middle: 1 × 1 with norm; up 2 × 2 with bias; refine; head with bias.
    net = build(ModelConfig(widths=(4,), blocks=0, skip="none"), seed=0)
    down = 12 * 4 * 9 + 8 + 4 * 4 * 9 + 8
    assert net.parameter_count() == down + (4 * 4 + 8) + (4 * 4 * 4 + 4) + 2 * (4 * 4 * 9 + 8) + (4 * 12 + 12)
    assert net.requires_grad_(False).parameter_count() == 0


def test_a_plain_bottleneck_cannot_copy_what_the_bottleneck_lost():
    # With no skips, all that reaches the output passes the coarsest map: silence it, and the input no longer matters.
    images_NCHW = torch.rand(2, 3, 32, 32)
    for skip, matters in (("none", False), ("convex", True)):
        net = build(ModelConfig(**SMALL, skip=skip), seed=0).eval()
        torch.nn.init.zeros_(net.middle[-1][0].weight)
        with torch.inference_mode():
            first, second = net(images_NCHW)
        assert bool((first - second).abs().max() > 1e-4) == matters


def test_the_last_step_stays_in_float32_under_autocast():
    net = build(ModelConfig(**SMALL), seed=0).eval()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        repaired_NCHW = net(torch.rand(1, 3, 32, 32))
    assert repaired_NCHW.dtype == torch.float32
    assert not torch.equal(repaired_NCHW, repaired_NCHW.bfloat16().float())
