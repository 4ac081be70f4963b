"""The forward pass in runtimes other than torch as it is: each builds a function like `Detector.error`.

A scoring task owns a number of threads, torch's own setting in its process, and no runtime may take more: beside it
other tasks have the other cores. For the same reason none may bind its threads to cores: all tasks would bind to the
first ones.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram

from raysuite.detection.detector import Detector
from raysuite.engines.graph import ErrorGraph, traced
from raysuite.errors import ConfigError

Error = Callable[[Tensor], Tensor]

EXTRAS = {"onnx": ("onnxruntime", "onnx", "onnxscript"), "openvino": ("openvino",)}
"""Engines that an optional extra brings, with the modules they need."""
NAMES = ("eager", "compiled", "onnx", "openvino")


def is_there(name: str) -> bool:
    """Whether this machine has what an engine needs."""
    if name == "compiled":
        return any(shutil.which(word) for word in ("g++", "clang++", "c++"))
    return all(importlib.util.find_spec(module) for module in EXTRAS.get(name, ()))


def check(name: str) -> None:
    """See whether an engine or a format can be had here.

    Raises:
        ConfigError: Something must be installed first.
    """
    if is_there(name):
        return
    if name == "compiled":
        raise ConfigError("the engine compiled needs a C++ compiler, g++ or clang++, and there is none on the PATH")
    missing = next(module for module in EXTRAS[name] if importlib.util.find_spec(module) is None)
    raise ConfigError(f"{name} needs the module {missing}, which is not installed: pip install 'raysuite[{name}]'")


def build(name: str, detector: Detector, batch_size: int) -> Error:
    """`Detector.error` by another engine, for batches of any size; the fastest for ``batch_size``.

    Args:
        name: One of `NAMES`.
        detector: On the CPU, but for ``eager`` and ``compiled``.
        batch_size: What is mostly given to it.

    Raises:
        ConfigError: Something must be installed first.
        Exception: Whatever a runtime raises that cannot take this net.
    """
    check(name)
    if name == "eager":
        return detector.error
    if name == "compiled":
        return _compiled(detector, batch_size)
    program = traced(ErrorGraph(detector), detector.size)
    return _onnx(program) if name == "onnx" else _openvino(program, detector.size)


def _compiled(detector: Detector, batch_size: int) -> Error:
    """Compiled for one batch size, as each further one would be compiled anew; smaller batches are filled up."""
    net: Any = torch.compile(detector.net, dynamic=False)
    compiled = replace(detector, net=net)

    def error(inputs_NCHW: Tensor) -> Tensor:
        found = []
        for part in torch.split(inputs_NCHW, batch_size):
            missing = batch_size - len(part)
            full = torch.cat([part, part[:1].expand(missing, -1, -1, -1)]) if missing else part
            found.append(compiled.error(full)[: len(part)])
        return torch.cat(found)

    return error


def _onnx(program: ExportedProgram) -> Error:
    import onnxruntime  # noqa: PLC0415 -- an optional extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Threads that spin while they wait take the time of the tasks beside.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    data = to_onnx(program, ("images",), ("errors",)).SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])

    def error(inputs_NCHW: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"images": inputs_NCHW.contiguous().numpy()})[0])

    return error


def to_onnx(program: ExportedProgram, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Any:
    """A traced graph as an ``onnx.ModelProto``, weights within."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            program, (), dynamo=True, verbose=False, external_data=False, input_names=inputs, output_names=outputs
        )
    if made is None:
        raise RuntimeError("torch.onnx.export gave nothing back")
    return made.model_proto


def _openvino(program: ExportedProgram, size: tuple[int, int]) -> Error:
    import openvino  # noqa: PLC0415 -- an optional extra

    model = to_openvino(program, (-1, 3, *size), ("errors",))
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        # By itself it takes bfloat16 where the processor has it, in which small errors, differences, are lost first.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()

    def error(inputs_NCHW: Tensor) -> Tensor:
        found = request.infer([inputs_NCHW.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(found[0])

    return error


def _no_decoder(record: logging.LogRecord) -> bool:
    """OpenVINO tells the root logger of operators that this torch has no more, with tracebacks."""
    return record.filename != "fx_decoder.py"


def to_openvino(program: ExportedProgram, shape: tuple[int, ...], outputs: tuple[str, ...]) -> Any:
    """A traced graph as an ``openvino.Model`` with the input ``images`` of a shape; -1 is any number.

    Built with the front end itself: ``openvino.convert_model`` around it may report its use over the network.
    """
    from openvino.frontend import FrontEndManager  # noqa: PLC0415 -- an optional extra
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder  # noqa: PLC0415

    frontend, root = FrontEndManager().load_by_framework("pytorch"), logging.getLogger()
    root.addFilter(_no_decoder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Each must outlive the call: OpenVINO keeps no hold of what Python made.
            decoder = TorchFXPythonDecoder.from_exported_program(program)
            loaded = frontend.load(decoder)
            model = frontend.convert(loaded)
    finally:
        root.removeFilter(_no_decoder)
    model.inputs[0].get_tensor().set_names({"images"})
    for place, name in zip(model.outputs, outputs, strict=True):
        place.get_tensor().set_names({name})
    model.reshape(list(shape))
    return model
