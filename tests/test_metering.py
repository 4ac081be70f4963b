import time
from types import SimpleNamespace

import numpy as np
import torch

from raysuite.metering import Meter, gpu_energy, processor_energy

CPU = torch.device("cpu")


def counters(folder, **microjoules):
    for name, value in microjoules.items():
        where = folder / name.replace("_", ":")
        where.mkdir(exist_ok=True)
        (where / "energy_uj").write_text(f"{value}\n")
        (where / "max_energy_range_uj").write_text("1000000000\n")


def test_a_meter_knows_node_time_and_the_memory_that_was_in_use(tmp_path):
    before = time.time()
    meter = Meter(CPU, tmp_path)
    held = np.ones(30_000_000)
    read = meter.read()
    assert before <= read["started"] <= read["ended"] <= time.time()
    assert read["node"]
    assert read["peak_memory"] > held.nbytes
    assert read["peak_gpu_memory"] is None


def test_energy_is_none_where_the_machine_does_not_tell(tmp_path):
    read = Meter(CPU, tmp_path / "nowhere").read()
    assert read["processor_joules"] is None
    assert read["gpu_joules"] is None
    assert gpu_energy(CPU) is None
    assert processor_energy(tmp_path) is None


def test_energy_of_all_packages_adds_up_and_survives_a_counter_that_wraps_around(tmp_path):
    counters(tmp_path, **{"intel-rapl_0": 999_000_000, "intel-rapl_1": 5_000_000, "intel-rapl_0_0": 1})
    meter = Meter(CPU, tmp_path)
    counters(tmp_path, **{"intel-rapl_0": 500_000_000, "intel-rapl_1": 6_000_000})
    meter.look()
    counters(tmp_path, **{"intel-rapl_0": 501_000_000, "intel-rapl_1": 6_500_000, "intel-rapl_0_0": 900_000_000})
    assert meter.read()["processor_joules"] == 501 + 1 + 1 + 0.5


def test_a_gpus_energy_is_what_its_driver_counted(monkeypatch):
    """The driver's library, as its header has it: every function returns 0 for success, results come by reference."""
    library = SimpleNamespace(
        nvmlInit_v2=lambda: 0,
        nvmlDeviceGetHandleByUUID=lambda uuid, _handle: int(uuid != b"GPU-1-2"),
        nvmlDeviceGetTotalEnergyConsumption=lambda _handle, found: setattr(found._obj, "value", next(counted)) or 0,
    )
    counted = iter((5_000, 5_500, 8_000))
    monkeypatch.setattr("ctypes.CDLL", lambda _name: library)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _device: SimpleNamespace(uuid="1-2"))
    read = gpu_energy(torch.device("cuda"))
    assert [read()["gpu"][0], read()["gpu"][0]] == [5.5, 8.0]


def test_a_driver_that_does_not_count_energy_is_not_asked_again(monkeypatch):
    library = SimpleNamespace(nvmlInit_v2=lambda: 9, nvmlDeviceGetTotalEnergyConsumption=lambda *_: 9)
    monkeypatch.setattr("ctypes.CDLL", lambda _name: library)
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda _device: SimpleNamespace(uuid="1-2"))
    assert gpu_energy(torch.device("cuda")) is None
    monkeypatch.setattr("ctypes.CDLL", lambda _name: SimpleNamespace())
    assert gpu_energy(torch.device("cuda")) is None
