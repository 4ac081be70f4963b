"""The receptive field against what gradients reach."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raysuite.config import ModelConfig
from raysuite.models.autoencoder import build
from raysuite.models.receptive_field import receptive_field


def reached_by_gradients(config, side):
    """Widest extent of the pixels that an output pixel's gradient reaches, over the output pixels of a central cell."""
    # Positive weights let no two paths cancel, and a mean instead of a maximum lets all four pixels of a pool through.
    net = build(config, seed=0).eval()
    net.pool = nn.AvgPool2d(2)
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
    images_NCHW = torch.rand(1, 3, side, side, requires_grad=True)
    repaired_NCHW = net(images_NCHW)
    middle = side // 2 // config.stride * config.stride
    widest = 0
    for place in range(middle, middle + config.stride):
        pixel = repaired_NCHW[0, :, place, middle].sum()
        (gradient,) = torch.autograd.grad(pixel, images_NCHW, retain_graph=True)
        (rows,) = gradient[0].abs().sum((0, 2)).nonzero(as_tuple=True)
        assert rows[0] > 0, "the image is too small for the test"
        assert rows[-1] < side - 1, "the image is too small for the test"
        widest = max(widest, int(rows[-1] - rows[0]) + 1)
    return widest


@settings(deadline=None, max_examples=25, derandomize=True)
@given(
    st.builds(
        ModelConfig,
        widths=st.sampled_from([(2,), (2, 2)]),
        stem=st.sampled_from([1, 2]),
        blocks=st.integers(0, 2),
        branch_width=st.just(1),
        dilations=st.sampled_from([(1,), (1, 3), (2,)]),
        kernel=st.sampled_from([3, 5]),
        separable=st.booleans(),
        skip=st.sampled_from(["convex", "concat", "none"]),
        norm=st.sampled_from(["batch", "none"]),
        padding=st.sampled_from(["reflect", "zeros"]),
    )
)
def test_it_is_what_gradients_reach(config):
    field = receptive_field(config)
    # An image that holds the field around any pixel of its central cell.
    side = (field // config.stride + 4) * config.stride
    assert reached_by_gradients(config, side) == field


def test_one_level_is_counted_by_hand():
    # Fold 2; from an unfolded pixel: refine ±2, up-conv halves to one or two cells of 2, down ±2 again: in folded cells
    # a pair is at most [−2, 2] → [−1, 1] pooled → [−2, 3] → [−4, 5], and 10 cells are 20 pixels.
    assert receptive_field(ModelConfig(widths=(4,), blocks=0, skip="none", stem=2)) == 20
    assert receptive_field(ModelConfig(widths=(4,), blocks=0, skip="none", stem=1)) == 10
    # A block of dilation 3 looks 3 cells further to both sides, 4 pixels each.
    assert receptive_field(ModelConfig(widths=(4,), blocks=1, dilations=(1, 3), skip="none", stem=2)) == 20 + 2 * 3 * 4


@pytest.mark.parametrize("changes", [{"blocks": 4}, {"dilations": (1, 2, 16)}, {"kernel": 5}, {"depth": 3}])
def test_more_blocks_dilation_kernel_or_depth_look_further(changes):
    assert receptive_field(ModelConfig(**changes)) > receptive_field(ModelConfig())
