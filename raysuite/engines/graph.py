"""A detector as one traced graph, which other runtimes take over: uint8 images in, errors or scores and maps out.

Scaling to [0, 1], the net, the average over flips, smoothing, the division by what good images show, and pooling are
all in it, written with the very functions that the `Detector` computes with.
"""

from __future__ import annotations

import copy
import warnings

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from raysuite.detection.detector import Detector
from raysuite.detection.difference import difference
from raysuite.detection.flips import averaged
from raysuite.detection.maps import pool, smooth

MOST_IMAGES = 65_536
"""Of one batch."""


class ErrorGraph(nn.Module):
    """`Detector.error`: (N, 3, H, W) uint8 → (N, H, W) float32."""

    layout = "NCHW"

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        # Its own, as torch cannot save tensors that lie in others or in another order.
        self.net = copy.deepcopy(detector.net).to(memory_format=torch.contiguous_format)
        self._kind = detector.detection.error
        self._symmetries = detector.symmetries if detector.detection.flips else ()

    def forward(self, images: Tensor) -> Tensor:
        """Unsmoothed differences."""
        return averaged(self._error, images.float() / 255, self._symmetries)

    def _error(self, images_NCHW: Tensor) -> Tensor:
        return difference(images_NCHW, self.net(images_NCHW), self._kind)


class ScoringGraph(nn.Module):
    """`Detector.score` without resizing: (N, H, W, 3) uint8 RGB → scores (N,) and maps (N, H, W), float32."""

    layout = "NHWC"
    map_spread_HW: Tensor
    score_spread_HW: Tensor

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.error = ErrorGraph(detector)
        self._detection = detector.detection
        self.register_buffer("map_spread_HW", detector.map_spread_HW.clone())
        self.register_buffer("score_spread_HW", detector.score_spread_HW.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and maps."""
        how, error_NHW = self._detection, self.error(images.permute(0, 3, 1, 2))
        maps_NHW = smooth(error_NHW, how.map_kernel, how.map_passes) / self.map_spread_HW
        narrow_NHW = smooth(error_NHW, how.score_kernel, how.score_passes) / self.score_spread_HW
        return pool(narrow_NHW, how.pooling, how.score_share), maps_NHW


def traced(graph: ErrorGraph | ScoringGraph, size: tuple[int, int]) -> ExportedProgram:
    """The graph for images of ``size`` (height, width), for any number of them.

    Raises:
        RuntimeError: torch cannot trace it; its own errors are of many kinds.
    """
    sides = (3, *size) if graph.layout == "NCHW" else (*size, 3)
    # Two, as torch takes a batch of one for a fixed size.
    example = torch.zeros((2, *sides), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.export.export(
            graph.eval(), (example,), dynamic_shapes=({0: Dim("images", min=1, max=MOST_IMAGES)},)
        )
