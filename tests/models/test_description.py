"""What `model describe` prints, against hand counts, torch's own counter and measurements."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from raysuite.config import Config, DataConfig, ModelConfig, ObjectiveConfig, TrainingConfig
from raysuite.corruption.corruptor import Corrupted
from raysuite.models.autoencoder import build
from raysuite.models.description import describe, scoring_memory, step_memory
from raysuite.models.memory import PeakMemory
from raysuite.settings import PRESETS, differences, to_mapping
from raysuite.training.objectives import Share, make_objective

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
VARIANTS = {
    "default": {},
    "unet": {"skip": "concat", "norm": "group", "separable": True},
    "bottleneck": {"skip": "none", "padding": "zeros", "bottleneck": 4, "stem": 1},
    "bare": {"norm": "none", "kernel": 5, "padding": "replicate", "depth": 1},
    "placed": {"template": "on", "output": "convex"},
}


def small(image_size=64, batch_size=2, **model):
    return Config(
        data=DataConfig(image_size=image_size),
        model=ModelConfig(**{"width": 8, "blocks": 1, "dilations": (1, 2), **model}),
        training=TrainingConfig(batch_size=batch_size),
    )


def built(config):
    """The net, with a template if the config has one."""
    side = config.data.image_size
    return build(config.model, 0, torch.full((3, side, side), 0.5) if config.model.template == "on" else None)


def test_layers_are_those_of_the_net_counted_by_hand():
    config = small(widths=(4,), blocks=1, branch_width=2, dilations=(1, 3), skip="convex", stem=2)
    layers = {layer.name: layer for layer in describe(config).layers}
    # Folded: 32 × 32 of 12 channels; pooled: 16 × 16.
    expected = {
        "fold": (12, 32, 0, 0),
        "down.0.0": (4, 32, 12 * 4 * 9 + 8, 32 * 32 * 12 * 4 * 9),
        "down.0.1": (4, 32, 4 * 4 * 9 + 8, 32 * 32 * 4 * 4 * 9),
        "pool": (4, 16, 0, 0),
        "middle.0": (4, 16, 2 * 4 * 2 * 9 + 8, 16 * 16 * 2 * 4 * 2 * 9),
        "middle.1": (4, 16, 4 * 4 + 8, 16 * 16 * 4 * 4),
        "up.0": (4, 32, 4 * 4 * 4 + 4, 16 * 16 * 4 * 4 * 4),
        "skips.0": (4, 32, 12 * 4 + 8 + 4 * 4 * 9 + 4, 32 * 32 * (12 * 4 + 4 * 4 * 9)),
        "refine.0.0": (4, 32, 4 * 4 * 9 + 8, 32 * 32 * 4 * 4 * 9),
        "refine.0.1": (4, 32, 4 * 4 * 9 + 8, 32 * 32 * 4 * 4 * 9),
        "head": (12, 32, 4 * 12 + 12, 32 * 32 * 4 * 12),
        "unfold": (3, 64, 0, 0),
    }
    assert list(layers) == list(expected)
    for name, (channels, side, parameters, macs) in expected.items():
        layer = layers[name]
        assert (layer.channels, layer.height, layer.width) == (channels, side, side), name
        assert (layer.parameters, layer.macs) == (parameters, macs), name
    assert layers["middle.0"].kind == "dilated conv 3 × 3, by 1, 3"
    assert layers["skips.0"].kind == "skip, convex combination"


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_totals_agree_with_torch_and_with_the_layers(variant):
    config = small(**variant)
    description = describe(config)
    net = built(config).eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        net(torch.zeros(1, 3, 64, 64))
    assert description.macs * 2 == counter.get_total_flops()
    assert description.macs == sum(layer.macs for layer in description.layers)
    assert description.gflop == pytest.approx(counter.get_total_flops() / 1e9)
    assert description.parameters == net.parameter_count() == sum(layer.parameters for layer in description.layers)
    assert description.weight_bytes == sum(tensor.nbytes for tensor in net.state_dict().values())
    assert description.state_bytes == 2 * description.weight_bytes + 8 * description.parameters


def test_a_pixel_more_or_an_image_more_costs_in_proportion():
    one, larger, more = describe(small()), describe(small(image_size=128)), describe(small(batch_size=4))
    assert larger.macs == 4 * one.macs == 4 * more.macs
    assert larger.parameters == one.parameters
    assert larger.scoring_bytes == pytest.approx(4 * one.scoring_bytes, rel=0.05)
    assert more.scoring_bytes == one.scoring_bytes
    assert more.step_bytes == pytest.approx(2 * one.step_bytes, rel=0.05)


def test_crops_cost_training_and_not_scoring():
    config = small(image_size=128)
    cropped = dataclasses.replace(config, data=DataConfig(image_size=128, crop_size=64))
    assert describe(cropped).scoring_bytes == describe(config).scoring_bytes
    assert describe(cropped).step_bytes == describe(small()).step_bytes


def test_bfloat16_takes_less_in_training():
    config = small()
    half = dataclasses.replace(config, training=TrainingConfig(batch_size=2, precision="bfloat16"))
    assert describe(half).precision == "bfloat16"
    assert describe(half).step_bytes < 0.9 * describe(config).step_bytes


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_fake_tensors_tell_the_memory_of_real_ones(variant):
    config = small(**variant)
    description = describe(config)
    net = built(config)
    assert description.scoring_bytes == scoring_memory(net.eval(), 64)
    assert description.step_bytes == step_memory(net.train(), 2, 64, "float32")


@pytest.mark.parametrize(
    "objective",
    [
        {"kind": "filter"},
        {"kind": "filter", "idempotence_weight": 0.1},
        {"kind": "plain"},
        # Of `filter` alone, beside which the benchmark may train others with the same settings.
        {"kind": "plain", "idempotence_weight": 0.1},
        {"kind": "contractive"},
    ],
    ids=str,
)
def test_a_step_is_told_for_the_objective_that_is_trained(objective):
    """Against the memory of its own loss, forward and back."""
    skip = "none" if objective["kind"] in {"plain", "contractive"} else "convex"
    config = small(skip=skip, width=32, blocks=3, dilations=(1, 2, 4))
    config = dataclasses.replace(config, objective=ObjectiveConfig(**objective))
    net = build(config.model, 0).train()
    loss = make_objective(config, net)
    memory = PeakMemory([*net.parameters(), *net.buffers()])
    with memory:
        inputs_NCHW, targets_NCHW = torch.rand(2, 2, 3, 64, 64).unbind()
        batch = Corrupted(inputs_NCHW, targets_NCHW, torch.ones(2, 1, 64, 64, dtype=torch.bool))
        loss.loss(net, batch, Share.of(batch)).total.backward()
    assert describe(config).step_bytes == pytest.approx(memory.peak, rel=0.05)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_step_takes_what_autograd_saves_and_little_more(variant):
    config = small(**variant)
    net = built(config).train()
    weights = {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor  # held, so that no two have one address
        return tensor

    images_NCHW = torch.zeros(2, 3, 64, 64)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = (net(images_NCHW) - images_NCHW).square().mean()
    kept = sum(tensor.untyped_storage().nbytes() for address, tensor in saved.items() if address not in weights)
    assert loss.isfinite()
    assert kept < describe(config).step_bytes < 1.5 * kept


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_memory_is_close_to_what_the_allocator_hands_out(variant):
    config = small(image_size=128, **variant)
    description = describe(config)
    net = built(config)

    def step():
        images_NCHW, targets_NCHW = torch.zeros(2, 3, 128, 128), torch.zeros(2, 3, 128, 128)
        outputs_NCHW = net.train()(images_NCHW)
        (outputs_NCHW - targets_NCHW).square().mean().backward()
        net.zero_grad()

    def score():
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, 128, 128))

    assert description.step_bytes == pytest.approx(allocated(step), rel=0.15)
    # Convolutions take workspaces in addition, which weigh more where little else is alive.
    assert 0.6 * allocated(score) < description.scoring_bytes < 1.1 * allocated(score)


def allocated(function):
    """Most bytes that torch's allocator had handed out at once during the call."""
    function()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        function()
    events = [(e.start_ns(), e.nbytes()) for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = most = 0
    for _, size in sorted(events, key=lambda event: event[0]):
        now += size
        most = max(most, now)
    return most


def test_a_net_too_large_for_any_machine_can_be_described():
    config = Config(
        data=DataConfig(image_size=4096), model=ModelConfig(width=512, depth=4, stem=1, kernel=7, branch_width=4096)
    )
    description = describe(config)
    assert description.parameters > 1e9
    assert description.step_bytes > 1e12


def presets_table():
    text = DOCS.read_text(encoding="utf-8")
    lines = text[text.index("## Presets") : text.index("## `data`")].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {name: cells for name, *cells in rows}


def test_the_docs_give_each_presets_size():
    descriptions, table = [describe(config) for config in PRESETS.values()], presets_table()
    assert table[""] == [f"`{name}`" for name in PRESETS]
    assert table["parameters"] == [f"{d.parameters:,}" for d in descriptions]
    assert table["GFLOP an image"] == [f"{d.gflop:.2f}" for d in descriptions]
    assert table["receptive field in pixels"] == [str(d.receptive_field) for d in descriptions]


def test_the_docs_give_all_settings_in_which_presets_differ():
    table = {name.strip("`"): cells for name, cells in presets_table().items() if "." in name}
    settings = {name: to_mapping(config) for name, config in PRESETS.items()}
    differing = {key for config in PRESETS.values() for key in differences(PRESETS["tiny"], config)} - {"preset"}
    assert set(table) == differing
    for key, cells in table.items():
        section, name = key.split(".")
        assert cells == [str(mapping[section][name]) for mapping in settings.values()], key
