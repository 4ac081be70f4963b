import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from raysuite.config import ModelConfig
from raysuite.models.autoencoder import build
from raysuite.models.blocks import GROUP_SIZE

SMALL = {"widths": (8, 16), "blocks": 1, "branch_width": 4, "dilations": (1, 2)}

MODELS = st.builds(
    ModelConfig,
    widths=st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    stem=st.sampled_from([1, 2]),
    blocks=st.integers(0, 2),
    branch_width=st.integers(0, 4),
    dilations=st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple),
    kernel=st.sampled_from([3, 5]),
    separable=st.booleans(),
    bottleneck=st.integers(0, 3),
    skip=st.sampled_from(["convex", "concat", "none"]),
    output=st.sampled_from(["direct", "convex"]),
    norm=st.sampled_from(["batch", "group", "none"]),
    padding=st.sampled_from(["reflect", "replicate", "zeros"]),
)


def smallest_side(config):
    return config.stride * (config.reach + 1)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(MODELS)
def test_any_combination_works_and_learns_at_the_smallest_image_it_allows(config):
    net = build(config, seed=0)
    side = smallest_side(config)
    images_NCHW = torch.rand(2, 3, side, side + config.stride)
    repaired_NCHW = net.train()(images_NCHW)
    assert repaired_NCHW.shape == images_NCHW.shape
    assert repaired_NCHW.dtype == torch.float32
    (repaired_NCHW - images_NCHW.flip(0)).square().mean().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    with torch.inference_mode():
        assert net.eval()(images_NCHW[:1]).isfinite().all()


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("width", [6, 8, 11])
@pytest.mark.parametrize("padding", ["reflect", "zeros"])
def test_gradients_in_bfloat16_are_those_of_float32(width, separable, padding):
    """Wide maps, as torch's convolutions in bfloat16 are others there."""
    config = ModelConfig(
        widths=(width, 2 * width), stem=1, blocks=2, branch_width=width, dilations=(1, 2, 8), separable=separable,
        padding=padding,
    )  # fmt: skip
    net = build(config, seed=0).to(memory_format=torch.channels_last).train()
    images_NCHW = torch.rand(4, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    found = []
    for half in (False, True):
        net.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            repaired_NCHW = net(images_NCHW.contiguous(memory_format=torch.channels_last))
        (repaired_NCHW - images_NCHW).square().mean().backward()
        found.append({name: one.grad.clone() for name, one in net.named_parameters()})
    for name, exact in found[0].items():
        assert (found[1][name] - exact).norm() <= 0.2 * exact.norm() + 1e-6, name


@settings(deadline=None, max_examples=30, derandomize=True)
@given(MODELS, st.booleans())
def test_any_combination_runs_in_bfloat16_and_channels_last(config, training):
    net = build(config, seed=0).to(memory_format=torch.channels_last).train(training)
    side = smallest_side(config)
    images_NCHW = torch.rand(2, 3, side, side).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        repaired_NCHW = net(images_NCHW)
    repaired_NCHW.square().mean().backward()
    assert repaired_NCHW.dtype == torch.float32
    assert repaired_NCHW.isfinite().all()


@settings(deadline=None, max_examples=30, derandomize=True)
@given(MODELS, st.integers(2, 4))
def test_separable_convolutions_have_fewer_parameters(config, branch_width):
    counts = [
        build(ModelConfig(**{**fields(config), "blocks": 1, "branch_width": branch_width, "separable": separable}), 0)
        .parameter_count()
        for separable in (False, True)
    ]  # fmt: skip
    assert counts[1] < counts[0]


def fields(config):
    return {name: getattr(config, name) for name in ModelConfig.__dataclass_fields__}


@pytest.mark.parametrize("norm", ["batch", "group", "none"])
@pytest.mark.parametrize("skip", ["convex", "concat", "none"])
@pytest.mark.parametrize("stem", [1, 2])
def test_gradients_reach_every_parameter(skip, stem, norm):
    net = build(ModelConfig(**SMALL, stem=stem, skip=skip, norm=norm), seed=0).train()
    (net(torch.rand(2, 3, 32, 32)) - torch.rand(2, 3, 32, 32)).square().mean().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize("norm", ["group", "none"])
def test_without_batch_statistics_an_image_fares_alone_as_in_a_batch(norm):
    net = build(ModelConfig(**SMALL, norm=norm), seed=0).train()
    images_NCHW = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        together = net(images_NCHW)
        alone = torch.cat([net(image[None]) for image in images_NCHW])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(net.eval()(images_NCHW), together, rtol=1e-4, atol=1e-5)


def test_with_batch_statistics_it_does_not():
    net = build(ModelConfig(**SMALL), seed=0).train()
    images_NCHW = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        assert (net(images_NCHW)[:1] - net(images_NCHW[:1])).abs().max() > 1e-3


@pytest.mark.parametrize(("channels", "groups"), [(8, 1), (16, 2), (24, 3), (12, 2), (7, 1), (13, 13), (1, 1)])
def test_groups_are_as_large_as_divides_up_to_the_most(channels, groups):
    net = build(ModelConfig(widths=(channels,), blocks=0, norm="group"), seed=0)
    norm = net.down[0][0][1]
    assert isinstance(norm, nn.GroupNorm)
    assert norm.num_groups == groups
    assert norm.num_channels / groups <= GROUP_SIZE


def test_features_keep_their_scale_through_a_deep_net_without_normalisation():
    net = build(ModelConfig(width=16, depth=3, blocks=4, norm="none", skip="none", padding="zeros"), seed=0)
    deepest = []
    net.middle.register_forward_hook(lambda _module, _inputs, output: deepest.append(output.std().item()))
    with torch.no_grad():
        net(torch.rand(1, 3, 160, 160))
    assert 0.1 < deepest[0] < 10


@pytest.mark.parametrize("padding", ["reflect", "replicate", "zeros"])
def test_padding_holds_everywhere_in_the_net(padding):
    net = build(ModelConfig(**SMALL, padding=padding, separable=True), seed=0)
    wide = [module for module in net.modules() if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)]
    assert {module.padding_mode for module in wide} == {padding}
    coarse = []
    net.middle.register_forward_hook(lambda _module, _inputs, output: coarse.append(output))
    with torch.inference_mode():
        net.eval()(torch.full((1, 3, 32, 32), 0.3))
    # Reflection and replication continue a flat image as it is; zeros show the border to the net.
    flat = (coarse[0].amax((2, 3)) - coarse[0].amin((2, 3))).max() < 1e-5
    assert bool(flat) == (padding != "zeros")


@pytest.mark.parametrize(
    "config",
    [
        ModelConfig(widths=(4,), blocks=0),
        ModelConfig(widths=(4, 6, 8), stem=1, blocks=2, branch_width=3, dilations=(1, 3), kernel=5),
        ModelConfig(widths=(4, 8), bottleneck=2, blocks=1, dilations=(1,), kernel=7),
        ModelConfig(width=3, depth=4, blocks=1, dilations=(1,)),
    ],
)
def test_every_part_can_be_left_out_or_resized(config):
    with torch.inference_mode():
        assert build(config, 0).eval()(torch.rand(1, 3, 64, 128)).shape == (1, 3, 64, 128)


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
    down = 12 * 4 * 9 + 8 + 4 * 4 * 9 + 8
    middle, up, refine, head = 4 * 4 + 8, 4 * 4 * 4 + 4, 2 * (4 * 4 * 9 + 8), 4 * 12 + 12
    plain = build(ModelConfig(widths=(4,), blocks=0, skip="none"), seed=0)
    assert plain.parameter_count() == down + middle + up + refine + head
    assert plain.requires_grad_(False).parameter_count() == 0
    # A concatenation doubles what the first convolution after it reads, and has no parameters.
    concat = build(ModelConfig(widths=(4,), blocks=0, skip="concat"), seed=0)
    assert concat.parameter_count() == down + middle + up + refine + 4 * 4 * 9 + head
    # The convex skip: 1 × 1 from three inputs with norm, 3 × 3 without, and a bias a channel.
    convex = build(ModelConfig(widths=(4,), blocks=0, skip="convex"), seed=0)
    assert convex.parameter_count() == down + middle + up + (3 * 4 * 4 + 8 + 4 * 4 * 9 + 4) + refine + head


def test_only_skips_let_pass_what_the_bottleneck_lost():
    # With no skips, all that reaches the output passes the coarsest map: silence it, and the input no longer matters.
    images_NCHW = torch.rand(2, 3, 32, 32)
    for skip, matters in (("none", False), ("convex", True), ("concat", True)):
        net = build(ModelConfig(**SMALL, skip=skip), seed=0).eval()
        torch.nn.init.zeros_(net.middle[-1][0].weight)
        with torch.inference_mode():
            first, second = net(images_NCHW)
        assert bool((first - second).abs().max() > 1e-4) == matters


def test_a_convex_skip_stays_between_what_it_mixes_and_starts_half_closed():
    skip = build(ModelConfig(**SMALL), seed=0).skips[0].eval()
    one, other = torch.randn(1, 16, 8, 8), torch.randn(1, 16, 8, 8)
    with torch.inference_mode():
        mixed = skip(one, other)
        beta = (mixed - other) / (one - other)
        torch.testing.assert_close(skip(one, one), one)
    assert (mixed <= torch.maximum(one, other) + 1e-5).all()
    assert (mixed >= torch.minimum(one, other) - 1e-5).all()
    assert 0.15 < beta.median() < 0.45


def test_the_last_step_stays_in_float32_under_autocast_and_the_rest_does_not():
    net = build(ModelConfig(**SMALL), seed=0).eval()
    seen = []
    for skip in net.skips:
        skip.register_forward_hook(lambda _module, _inputs, output: seen.append(output.dtype))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        repaired_NCHW = net(torch.rand(1, 3, 32, 32))
    assert repaired_NCHW.dtype == torch.float32
    assert not torch.equal(repaired_NCHW, repaired_NCHW.bfloat16().float())
    assert seen == [torch.bfloat16, torch.bfloat16]


@pytest.mark.parametrize("skip", ["convex", "concat", "none"])
def test_the_net_is_one_graph_to_the_compiler(skip):
    net = build(ModelConfig(**SMALL, skip=skip), seed=0)
    images_NCHW = torch.rand(1, 3, 32, 32)
    try:
        compiled = torch.compile(net.eval(), backend="eager", fullgraph=True)
        with torch.no_grad():
            torch.testing.assert_close(compiled(images_NCHW), net(images_NCHW))
    finally:
        torch._dynamo.reset()


def test_a_convex_output_lies_between_the_input_and_a_repaired_image():
    net = build(ModelConfig(**SMALL, output="convex"), seed=0).eval()
    images_NCHW = torch.rand(2, 3, 32, 32)
    gates = []

    def open_gate(_module, _inputs, out):
        gates.append(torch.full_like(out[:, 12:], gate))
        return torch.cat([out[:, :12], gates[-1]], dim=1)

    net.head.register_forward_hook(open_gate)
    found = {}
    with torch.inference_mode():
        for gate in (-50.0, 0.0, 50.0):
            found[gate] = net(images_NCHW)
    assert torch.allclose(found[-50.0], images_NCHW)
    assert torch.allclose(found[0.0], (found[-50.0] + found[50.0]) / 2, atol=1e-6)
    assert not torch.allclose(found[50.0], images_NCHW, atol=0.1)


@pytest.mark.parametrize("output", ["direct", "convex"])
@pytest.mark.parametrize("stem", [1, 2])
def test_a_net_with_a_template_sees_it_beside_each_image(stem, output):
    template_CHW = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    config = ModelConfig(**SMALL, stem=stem, output=output)
    net = build(config, 0, template_CHW).eval()
    other = build(config, 0, 1 - template_CHW).eval()
    images_NCHW = torch.rand(2, 3, 32, 32)
    with torch.inference_mode():
        assert not torch.allclose(net(images_NCHW), other(images_NCHW))
        assert torch.allclose(net(images_NCHW)[:1], net(images_NCHW[:1]), atol=1e-5)
    assert net.has_template
    assert "template_CHW" in net.state_dict()
    assert "template_CHW" not in build(config, 0).state_dict()
