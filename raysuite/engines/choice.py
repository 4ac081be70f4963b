"""Which engine and batch size a worker process scores with: found out by a short measurement, on an image of its own.

An engine is used only if its scores and maps of some images are those of torch's eager pass, within `TOLERANCE`.
Building and trying one costs seconds, compiling about a minute, so that one is tried only once scoring has taken about
as long: a short scan is over by then, and of a long one it is a small part.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

import torch
from torch import Tensor

from raysuite.detection.detector import Detector
from raysuite.engines.runtimes import Error, build, check, is_there

_log = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Of scores, relative, and of maps, in units of the highest value of all."""
BATCHES = {"cpu": (4, 8, 16), "cuda": (32, 64, 128, 256)}
"""Batch sizes that are tried: with larger ones nothing is gained."""
COMPILED_BATCH = {"cpu": 8, "cuda": 64}
PASSES = 2
TRY_AFTER = {"openvino": 5.0, "onnx": 10.0, "compiled": 60.0}
"""Seconds of scoring after which ``auto`` tries an engine, in this order: it costs about as many. The first that is
faster than torch as it is ends the search, as OpenVINO was the fastest of all wherever it was measured."""


class Engine:
    """A detector's forward pass in one process.

    Attributes:
        name: What computes: one of `raysuite.engines.runtimes.NAMES`.
        batch_size: Images that are best given to it at once.
    """

    def __init__(self, detector: Detector, wanted: str, batch_size: int | None, sample_CHW: Tensor) -> None:
        """Choose.

        Args:
            detector: The detector.
            wanted: An engine's name, or ``auto`` to begin with torch as it is and try the others later (`TRY_AFTER`).
            batch_size: Images a pass; None for the smallest that is within 5 % of the fastest.
            sample_CHW: An image such as will be scored: uint8, of the detector's size.

        Raises:
            ConfigError: The engine that is wanted is not installed here.
        """
        self.name = "eager"
        self._compute: Error = detector.error
        self._detector, self._wanted = detector, wanted
        self._device = detector.device.type
        self._sizes: Sequence[int] = (batch_size,) if batch_size else BATCHES[self._device]
        self._use("eager", detector.error, *self._measured(detector.error, sample_CHW, self._sizes))
        # On GPUs compiling takes minutes and must be asked for; the others compute on CPUs.
        searches = wanted == "auto" and self._device == "cpu"
        self._untried = [name for name in TRY_AFTER if searches and is_there(name)]
        if wanted not in {"auto", "eager"}:
            check(wanted)
            self._try(wanted, sample_CHW)
        self._since = time.monotonic()

    def error(self, inputs_NCHW: Tensor) -> Tensor:
        """As `Detector.error`; an engine that raises is given up, and torch's eager pass takes over."""
        is_time = self._untried and time.monotonic() - self._since > TRY_AFTER[self._untried[0]]
        if is_time and self._try(self._untried.pop(0), inputs_NCHW[0]):
            self._untried = []
        if self.name == "eager":
            return self._detector.error(inputs_NCHW)
        try:
            return self._compute(inputs_NCHW)
        except Exception as failure:  # what a runtime cannot do, torch may: in halves, if it was memory
            _log.warning("%s fails, eager takes over: %s", self.name, failure)
            self.name, self._compute = "eager", self._detector.error
        return self._detector.error(inputs_NCHW)

    def _use(self, name: str, error: Error, batch_size: int, seconds: float) -> None:
        self.name, self._compute, self.batch_size, self._seconds = name, error, batch_size, seconds

    def _try(self, name: str, sample_CHW: Tensor) -> bool:
        """Use another engine if it computes the same and, unless it was asked for by name, faster."""
        fixed = len(self._sizes) == 1
        sizes = self._sizes if name != "compiled" or fixed else (COMPILED_BATCH[self._device],)
        try:
            error = build(name, self._detector, sizes[-1])
            if (off := deviation(self._detector, error, sample_CHW)) > TOLERANCE:
                _log.warning("%s is not used: what it computes is off by %.1e", name, off)
                return False
            found = self._measured(error, sample_CHW, sizes)
        except Exception as failure:  # runtimes raise errors of many kinds, and scoring goes on without them
            _log.warning("%s is not used: %s: %s", name, type(failure).__name__, str(failure)[:500])
            return False
        _log.info("%s: %.1f ms an image; %s: %.1f", name, 1e3 * found[1], self.name, 1e3 * self._seconds)
        if self._wanted != name and found[1] >= self._seconds:
            return False
        self._use(name, error, *found)
        return True

    def _measured(self, error: Error, sample_CHW: Tensor, sizes: Sequence[int]) -> tuple[int, float]:
        """The smallest batch size that is within 5 % of the fastest, and its seconds an image."""
        if len(sizes) == 1 and self._wanted != "auto":
            return sizes[0], 0.0
        per_image = {}
        for size in sizes:
            inputs_NCHW = sample_CHW.expand(size, -1, -1, -1).contiguous()
            for _ in range(PASSES):
                start = time.perf_counter()
                self._detector.scores(error(inputs_NCHW)).cpu()
                per_image[size] = (time.perf_counter() - start) / size
        best = next(size for size in sizes if per_image[size] <= 1.05 * min(per_image.values()))
        return best, per_image[best]


def deviation(detector: Detector, error: Error, sample_CHW: Tensor) -> float:
    """How far an engine is off: the largest relative deviation of scores, or of maps in units of their highest value.

    Args:
        detector: The detector, whose own pass is the reference.
        error: The engine's pass.
        sample_CHW: An image, uint8, of the detector's size.

    Returns:
        0 or more; infinity if anything is not finite.
    """
    inputs_NCHW = trial_images(sample_CHW)
    wanted_NHW, found_NHW = detector.error(inputs_NCHW), error(inputs_NCHW)
    if found_NHW.shape != wanted_NHW.shape or found_NHW.dtype != torch.float32:
        return float("inf")
    return apart(
        (detector.scores(wanted_NHW), detector.maps(wanted_NHW)),
        (detector.scores(found_NHW), detector.maps(found_NHW)),
    )


def apart(wanted: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor]) -> float:
    """Deviation of scores (N,) and maps (N, H, W) from what they should be, as in `deviation`."""
    scores = ((found[0] - wanted[0]).abs() / wanted[0].abs().clamp(min=1e-12)).max()
    highest_N = wanted[1].flatten(1).amax(1).clamp(min=1e-12)
    maps = ((found[1] - wanted[1]).abs().flatten(1).amax(1) / highest_N).max()
    both = torch.stack([scores, maps])
    return float(both.max()) if bool(torch.isfinite(both).all()) else float("inf")


def trial_images(sample_CHW: Tensor) -> Tensor:
    """An image as it is, mirrored, darker, and with a bright patch: (4, 3, H, W) uint8."""
    patched = sample_CHW.clone()
    height, width = sample_CHW.shape[1:]
    patched[:, height // 3 : height // 2, width // 3 : width // 2] = 230
    return torch.stack([sample_CHW, sample_CHW.flip(2), sample_CHW // 2, patched])
