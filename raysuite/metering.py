"""What a piece of work costs: time, peak memory and, where the machine tells, energy. Never an estimate."""

from __future__ import annotations

import contextlib
import ctypes
import re
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the energy counters of processors (RAPL); root alone may read them on most machines."""

_RESET_PEAK = "5"
"""Written to ``clear_refs``, it sets the peak of the resident memory back to what is resident now."""


class Meter:
    """Measures from its making on; `read` says what it has seen.

    Energy counters wrap around, those of a busy processor within an hour: `look` must be called every few minutes.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        """Begin to measure.

        Args:
            device: Where the work is done.
            powercap: The folder of the processor's energy counters.
        """
        self._device, self._started = device, time.time()
        self._is_own_peak = _reset_peak()
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        self._processor = _Counter(processor_energy(powercap))
        self._gpu = _Counter(gpu_energy(device))

    def look(self) -> None:
        """Read the energy counters, before they wrap around for a second time."""
        self._processor.look()
        self._gpu.look()

    def read(self) -> dict[str, Any]:
        """What was measured so far.

        ``node``; ``started`` and ``ended``, seconds since 1970; ``peak_memory``, bytes that the process had resident at
        most, and whether that is the work's ``own_peak`` or that of all the process did before, too;
        ``peak_gpu_memory``, bytes that torch had allocated at most; ``processor_joules`` and ``gpu_joules``, of the
        whole processor and the whole GPU, whoever used them. None is what this machine does not tell.
        """
        self.look()
        on_gpu = self._device.type == "cuda"
        return {
            "node": socket.gethostname(),
            "started": self._started,
            "ended": time.time(),
            "peak_memory": peak_memory(),
            "own_peak": self._is_own_peak,
            "peak_gpu_memory": torch.cuda.max_memory_allocated(self._device) if on_gpu else None,
            "processor_joules": self._processor.joules,
            "gpu_joules": self._gpu.joules,
        }


class _Counter:
    """Sums up what counters that wrap around have counted; ``joules`` is None if there are none."""

    def __init__(self, read: Callable[[], Mapping[str, tuple[float, float]]] | None) -> None:
        self._read = read
        self._last = read() if read else {}
        self.joules = 0.0 if self._last else None

    def look(self) -> None:
        if self._read is None or self.joules is None:
            return
        now = self._read()
        for name, (value, span) in now.items():
            before = self._last.get(name, (value, span))[0]
            self.joules += value - before if value >= before else value - before + span
        self._last = now


def processor_energy(powercap: Path = POWERCAP) -> Callable[[], Mapping[str, tuple[float, float]]] | None:
    """How to read the energy of all processor packages: name → joules, and those at which the counter wraps around.

    None if the machine does not tell, or not us. Packages alone are read: their parts are counted in them.
    """
    packages = [] if not powercap.is_dir() else sorted(
        where for where in powercap.iterdir() if re.fullmatch(r"intel-rapl:\d+", where.name)
    )  # fmt: skip

    def read() -> Mapping[str, tuple[float, float]]:
        found = {}
        for where in packages:
            with contextlib.suppress(OSError, ValueError):
                value, span = (int((where / name).read_text()) / 1e6 for name in ("energy_uj", "max_energy_range_uj"))
                found[where.name] = (value, span)
        return found

    return read if read() else None


def gpu_energy(device: torch.device) -> Callable[[], Mapping[str, tuple[float, float]]] | None:
    """How to read the energy of one GPU from its driver, as `processor_energy`; None if it does not tell."""
    if device.type != "cuda":
        return None
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        consumed = library.nvmlDeviceGetTotalEnergyConsumption
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        handle, millijoules = ctypes.c_void_p(), ctypes.c_ulonglong()
        if library.nvmlInit_v2() or library.nvmlDeviceGetHandleByUUID(uuid, ctypes.byref(handle)):
            return None
    except (OSError, AttributeError):
        return None

    def read() -> Mapping[str, tuple[float, float]]:
        if consumed(handle, ctypes.byref(millijoules)):
            return {}
        # A counter of 64 bits does not wrap around.
        return {"gpu": (millijoules.value / 1000, 0.0)}

    return read if read() else None


def peak_memory() -> int | None:
    """Bytes that this process had resident at most, since it began or since the peak was last set back."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return False
    return True
