"""An engine is used if it computes what torch computes; whatever it does else, scoring goes on."""

from __future__ import annotations

import importlib.util
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from raysuite.config import ERRORS
from raysuite.config.detection import Error
from raysuite.detection.detector import Detector
from raysuite.engines import choice, runtimes
from raysuite.engines.choice import TOLERANCE, Engine, deviation, trial_images
from raysuite.errors import ConfigError


def needs(name: str) -> None:
    for module in runtimes.EXTRAS.get(name, ()):
        pytest.importorskip(module, reason=f"the extra {name} is not installed")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_an_engine_computes_what_torch_does_for_batches_of_any_size(
    detector: Detector, sample_CHW: Tensor, name: str, error: Error
) -> None:
    needs(name)
    # All symmetries at once would be eight nets in one graph, and slow to trace.
    detection = replace(detector.detection, flips=True, error=error)
    detector = replace(detector, symmetries=("flip",), detection=detection)
    compute = runtimes.build(name, detector, 4)
    assert deviation(detector, compute, sample_CHW) < TOLERANCE / 10
    inputs_NCHW = trial_images(sample_CHW)
    for count in (1, 2, 3):
        torch.testing.assert_close(
            compute(inputs_NCHW[:count]), detector.error(inputs_NCHW[:count]), rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_an_engine_asked_for_is_used(detector: Detector, sample_CHW: Tensor, name: str) -> None:
    needs(name)
    engine = Engine(detector, name, 4, sample_CHW)
    assert (engine.name, engine.batch_size) == (name, 4)


def test_a_missing_extra_is_refused_with_the_command_that_brings_it(
    detector: Detector, sample_CHW: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    for name in runtimes.EXTRAS:
        with pytest.raises(ConfigError, match=rf"pip install 'raysuite\[{name}\]'"):
            Engine(detector, name, 4, sample_CHW)
    # auto takes what there is.
    assert Engine(detector, "auto", 4, sample_CHW).name == "eager"


def off(error_NHW: Tensor) -> Tensor:
    return error_NHW * 1.01


def broken(error_NHW: Tensor) -> Tensor:
    raise ValueError("no such operator")


@pytest.mark.parametrize(("change", "told"), [(off, "off by"), (broken, "no such operator")])
def test_an_engine_that_deviates_or_raises_is_dropped_with_a_word(
    detector: Detector,
    sample_CHW: Tensor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    change: runtimes.Error,
    told: str,
) -> None:
    monkeypatch.setattr(choice, "is_there", lambda _: True)
    monkeypatch.setattr(choice, "check", lambda _: None)
    monkeypatch.setattr(choice, "build", lambda _name, own, _size: lambda inputs: change(own.error(inputs)))
    monkeypatch.setattr(choice, "TRY_AFTER", {"openvino": 0.0, "onnx": 0.0})
    for wanted in ("auto", "openvino"):
        engine = Engine(detector, wanted, 4, sample_CHW)
        inputs_NCHW = trial_images(sample_CHW)
        for _ in range(3):
            engine.error(inputs_NCHW)
        assert engine.name == "eager"
        assert torch.equal(engine.error(inputs_NCHW), detector.error(inputs_NCHW))
    assert told in caplog.text


def test_an_engine_that_fails_later_is_given_up_for_eager(
    detector: Detector, sample_CHW: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = []

    def failing(inputs_NCHW: Tensor) -> Tensor:
        passes.append(len(inputs_NCHW))
        if len(passes) > 1:
            raise RuntimeError("out of memory")
        return detector.error(inputs_NCHW)

    monkeypatch.setattr(choice, "check", lambda _: None)
    monkeypatch.setattr(choice, "build", lambda *_: failing)
    engine = Engine(detector, "onnx", 4, sample_CHW)
    assert engine.name == "onnx"
    inputs_NCHW = trial_images(sample_CHW)
    assert torch.equal(engine.error(inputs_NCHW), detector.error(inputs_NCHW))
    assert engine.name == "eager"
    assert len(passes) == 2


def test_auto_tries_others_once_scoring_has_lasted_and_takes_a_faster_one(
    detector: Detector, sample_CHW: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, built = [100.0], []
    cached = {}

    def quick(inputs_NCHW: Tensor) -> Tensor:
        key = inputs_NCHW.numpy().tobytes()
        if key not in cached:
            cached[key] = detector.error(inputs_NCHW)
        return cached[key]

    def build(name: str, *_: object) -> runtimes.Error:
        built.append(name)
        return quick

    monkeypatch.setattr(choice, "is_there", lambda _: True)
    monkeypatch.setattr(choice, "build", build)
    monkeypatch.setattr(choice.time, "monotonic", lambda: now[0])
    engine = Engine(detector, "auto", 4, sample_CHW)
    inputs_NCHW = trial_images(sample_CHW)
    engine.error(inputs_NCHW)
    assert (engine.name, built) == ("eager", [])
    now[0] += choice.TRY_AFTER["openvino"] + 1
    engine.error(inputs_NCHW)
    now[0] += 1000
    engine.error(inputs_NCHW)
    assert (engine.name, built) == ("openvino", ["openvino"])


def test_not_a_number_is_never_near_enough(detector: Detector, sample_CHW: Tensor) -> None:
    assert deviation(detector, lambda inputs: detector.error(inputs) * float("nan"), sample_CHW) == float("inf")
    assert deviation(detector, detector.error, sample_CHW) == 0
