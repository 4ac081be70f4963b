import json
import math
import os
import subprocess
import sys

import pytest
import torch
from torch import nn

from raysuite.config import Config, TrainingConfig
from raysuite.models.description import describe
from raysuite.settings import for_objective, preset
from raysuite.training.acceleration import (
    COMPILE_FROM_OPERATIONS,
    Compilation,
    choose_compilation,
    choose_precision,
    compiled_if_it_works,
    in_precision,
)

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
WANTED = Compilation(True, "training.compile is on")


def asked(word="auto", steps=10, precision="auto"):
    return Config(training=TrainingConfig(compile=word, steps=steps, precision=precision))


def test_a_named_precision_is_taken_and_auto_is_one_of_them():
    assert choose_precision(asked(precision="bfloat16"), CPU) == "bfloat16"
    assert choose_precision(asked(precision="float32"), CPU) == "float32"
    assert choose_precision(asked(), CPU) in {"float32", "bfloat16"}
    assert choose_precision(for_objective(asked(), "contractive"), CPU) == "float32"


def test_bfloat16_computes_in_it_and_float32_does_not():
    seen = []

    def net(inputs_NCHW):
        seen.append(torch.nn.functional.conv2d(inputs_NCHW, torch.ones(1, 3, 1, 1)).dtype)
        return inputs_NCHW

    for precision in ("float32", "bfloat16"):
        in_precision(net, precision)(torch.rand(1, 3, 4, 4))
    assert seen == [torch.float32, torch.bfloat16]


def test_what_is_asked_is_tried_and_auto_compiles_much_computation_on_gpus_only():
    assert choose_compilation(asked("on"), CPU).used
    assert not choose_compilation(asked("off"), CUDA).used
    # Each multiply-add is two operations forward and four back, in batches of 8.
    enough = math.ceil(COMPILE_FROM_OPERATIONS / (6 * 8 * describe(asked()).macs))
    assert choose_compilation(asked(steps=enough), CUDA).used
    short, on_cpu = choose_compilation(asked(steps=enough - 1), CUDA), choose_compilation(asked(steps=10**6), CPU)
    assert (short.used, on_cpu.used) == (False, False)
    assert "does not pay" in short.reason
    assert "cpu" in on_cpu.reason


def test_the_presets_for_a_gpu_are_compiled_there_and_those_for_a_few_cores_are_not():
    assert [choose_compilation(preset(name), CUDA).used for name in ("tiny", "small", "base", "full")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_backend_that_fails_leaves_the_net_as_it_was(monkeypatch):
    def broken(_graph, _inputs):
        raise OSError("no compiler here\nand more")

    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda net, **more: compile_(net, backend=broken, **more))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    module, found = compiled_if_it_works(net, WANTED, lambda module: module(torch.rand(2, 3, 8, 8)).sum().backward())
    assert module is net
    assert not found.used
    assert found.reason == "compiling failed: OSError: no compiler here"
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_trying_leaves_no_trace_in_the_net(monkeypatch):
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda net, **more: compile_(net, backend="eager", **more))
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    module, found = compiled_if_it_works(net, WANTED, lambda module: module(torch.rand(2, 3, 8, 8)).sum().backward())
    assert module is not net
    assert found == WANTED
    assert all(p.grad is None for p in net.parameters())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


SCRIPT = """
import json
import torch
torch.set_num_threads(1)
from raysuite.training.loop import train
from tests.training.test_loop import TINY, stripes, with_training
trained = train(with_training(compile="on", steps=2), stripes(), seed=0, device=torch.device("cpu"))
alike = train(with_training(compile="off", steps=2), stripes(), seed=0, device=torch.device("cpu"))
state, other = trained.net.state_dict(), alike.net.state_dict()
print(json.dumps([trained.compilation.used, trained.compilation.reason, list(state) == list(other),
                  all(torch.equal(state[name], other[name]) for name in state)]))
"""


def test_without_a_compiler_a_training_that_wants_one_goes_on_and_says_why(tmp_path):
    env = {**os.environ, "CXX": str(tmp_path / "nothing"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=True)
    used, reason, same_names, same_values = json.loads(done.stdout.splitlines()[-1])
    assert not used
    assert reason.startswith("compiling failed: InvalidCxxCompiler")
    assert same_names
    assert same_values


@pytest.mark.parametrize("steps", [1, 10**6])
def test_a_reason_is_always_given(steps):
    assert all(choose_compilation(asked(word, steps), CUDA).reason for word in ("on", "off", "auto"))
