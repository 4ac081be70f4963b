"""The detector: net, preprocessing, map, score and threshold, saved and loaded as one thing.

A detector is a folder of two files: ``detector.json`` says what it is, ``weights.safetensors`` has the numbers. The
JSON file is written last, so a folder that has one is whole. Neither can run code.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from os import PathLike
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from raysuite.config import DetectionConfig, ModelConfig
from raysuite.detection.difference import difference
from raysuite.detection.flips import averaged
from raysuite.detection.maps import pool, smooth
from raysuite.detection.preprocessing import to_input
from raysuite.errors import ConfigError, DetectorError, StorageError
from raysuite.memory import in_parts, told_as
from raysuite.models.autoencoder import Autoencoder, build
from raysuite.settings import ONLY_ERROR, section_from_mapping
from raysuite.storage import Location

FORMAT = "raysuite-detector"
VERSION = 5
FIRST_WITH_ERRORS = 5
OLDEST_READ = 2
"""It holds no scores of good images: no p-values can be had from it, and no other threshold than its own."""


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores and maps of a batch of pictures.

    Attributes:
        scores: (N,) float32, 0 or more; larger is more anomalous.
        maps: One (height, width) float32 map a picture, at the picture's own size, 0 or more; 1 is about the largest
            error that good images show at that place.
        anomalous: (N,) bool: the score is above the threshold.
    """

    scores: NDArray[np.float32]
    maps: list[NDArray[np.float32]]
    anomalous: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Detector:
    """A trained and calibrated detector of one category.

    Attributes:
        category: What it was trained on.
        size: Height and width of the net's input, in pixels.
        net: The repairing net, in evaluation mode.
        detection: How maps and scores are computed.
        map_spread_HW: What good images show at each place, for the map; float32, size ``size``.
        score_spread_HW: The same for the image score.
        threshold: Scores above it are called anomalous.
        symmetries: Flips and turns that leave the category in kind (`raysuite.detection.flips`).
        provenance: What it came from: free-form, JSON.
        good_scores_N: Scores of the held-out good images that the threshold is from, float64, ascending; none in a
            detector that was saved in format 2.
    """

    category: str
    size: tuple[int, int]
    net: Autoencoder
    detection: DetectionConfig
    map_spread_HW: Tensor
    score_spread_HW: Tensor
    threshold: float
    symmetries: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    good_scores_N: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    @property
    def device(self) -> torch.device:
        """Where the net computes."""
        return self.map_spread_HW.device

    @classmethod
    def load(cls, path: str | PathLike[str] | Location, device: str | torch.device = "cpu") -> Detector:
        """Load a saved detector.

        Args:
            path: The detector's folder, local or a URI.
            device: Where it shall compute.

        Raises:
            DetectorError: The folder holds no detector, a damaged one, or one of a newer format.
        """
        where = path if isinstance(path, Location) else Location.of(path)
        if not (where / "detector.json").is_file():
            raise DetectorError(f"{where} holds no detector: there is no detector.json in it")
        try:
            card = json.loads((where / "detector.json").read_text())
            if card["format"] != FORMAT:
                raise DetectorError(f"{where}/detector.json is no {FORMAT}")
            if card["version"] < OLDEST_READ:
                raise DetectorError(
                    f"{where} has format version {card['version']}, which this raysuite no longer reads: train it anew"
                )
            if card["version"] > VERSION:
                raise DetectorError(
                    f"{where} has format version {card['version']}, this raysuite reads up to {VERSION}: upgrade it"
                )
            tensors = safetensors.torch.load((where / "weights.safetensors").read_bytes())
            model = section_from_mapping(ModelConfig, card["model"], "model")
            net = build(model, seed=0, template_CHW=tensors.get("net.template_CHW"))
            net.load_state_dict({k.removeprefix("net."): v for k, v in tensors.items() if k.startswith("net.")})
            detection = {**(ONLY_ERROR if card["version"] < FIRST_WITH_ERRORS else {}), **card["detection"]}
            size, threshold = (int(card["size"][0]), int(card["size"][1])), float(card["threshold"])
            if any(tuple(tensors[name].shape) != size for name in ("map_spread", "score_spread")):
                raise ValueError(f"its size is {size}, its spreads are of another")
            if net.has_template and tuple(net.template_CHW.shape) != (3, *size):
                raise ValueError(f"its size is {size}, its template is of another")
            good_scores_N = np.sort(tensors["good_scores"].double().numpy()) if card["version"] > 2 else np.empty(0)
            if good_scores_N.ndim != 1 or not np.isfinite(good_scores_N).all():
                raise ValueError("its scores of good images are not finite numbers")
            if not math.isfinite(threshold):
                raise ValueError(f"its threshold is {threshold}")
            return cls(
                category=str(card["category"]),
                size=size,
                net=net.eval(),
                detection=section_from_mapping(DetectionConfig, detection, "detection"),
                map_spread_HW=tensors["map_spread"],
                score_spread_HW=tensors["score_spread"],
                threshold=threshold,
                symmetries=tuple(str(name) for name in card["symmetries"]),
                provenance=dict(card["provenance"]),
                good_scores_N=good_scores_N,
            ).to(device)
        except (KeyError, TypeError, ValueError, IndexError, RuntimeError) as error:
            raise DetectorError(f"the detector in {where} is damaged: {type(error).__name__}: {error}") from error
        except (SafetensorError, ConfigError, StorageError) as error:
            raise DetectorError(f"the detector in {where} is damaged: {error}") from error

    def save(self, path: str | PathLike[str] | Location) -> None:
        """Write the two files; ``detector.json`` comes last and atomically.

        Raises:
            StorageError: The place may not be written.
        """
        where = path if isinstance(path, Location) else Location.of(path)
        tensors = {f"net.{name}": value.cpu().contiguous() for name, value in self.net.state_dict().items()}
        tensors["map_spread"] = self.map_spread_HW.cpu().contiguous()
        tensors["score_spread"] = self.score_spread_HW.cpu().contiguous()
        tensors["good_scores"] = torch.from_numpy(np.ascontiguousarray(self.good_scores_N, dtype=np.float64))
        card = {
            "format": FORMAT,
            "version": VERSION,
            "category": self.category,
            "size": list(self.size),
            "model": asdict(self.net.config),
            "detection": asdict(self.detection),
            "threshold": self.threshold,
            "symmetries": list(self.symmetries),
            "provenance": dict(self.provenance),
        }
        (where / "weights.safetensors").write_bytes(safetensors.torch.save(tensors))
        (where / "detector.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")

    def to(self, device: str | torch.device) -> Detector:
        """The same detector on another device."""
        net = self.net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return replace(
            self, net=net, map_spread_HW=self.map_spread_HW.to(device), score_spread_HW=self.score_spread_HW.to(device)
        )

    def score(self, images: Sequence[NDArray[np.uint8]]) -> Scored:
        """Score pictures of any sizes.

        Args:
            images: (height, width, 3) uint8 RGB each.

        Raises:
            DetectorError: An image is of another shape or dtype.
        """
        if not images:
            return Scored(np.empty(0, np.float32), [], np.empty(0, np.bool_))
        inputs_NCHW = torch.stack([to_input(image, self.size) for image in images])
        error_NHW = self.error(inputs_NCHW)
        scores = self.scores(error_NHW).cpu().numpy()
        maps_NHW = self.maps(error_NHW)
        maps = [
            F.interpolate(one[None, None], size=image.shape[:2], mode="bilinear")[0, 0].cpu().numpy()
            for one, image in zip(maps_NHW, images, strict=True)
        ]
        return Scored(scores, maps, scores > self.threshold)

    @torch.inference_mode()
    def repair(self, inputs_NCHW: Tensor) -> Tensor:
        """The net's reconstruction of (N, 3, H, W) uint8 inputs of the detector's size: float32, about [0, 1]."""
        return self._repaired(inputs_NCHW.to(self.device).float() / 255)

    @torch.inference_mode()
    def error(self, inputs_NCHW: Tensor) -> Tensor:
        """Unsmoothed differences (`detection.error`) of (N, 3, H, W) uint8 inputs: (N, H, W) float32.

        With ``detection.flips`` they are the mean over all flips and turns that the symmetries allow.
        """
        images_NCHW = inputs_NCHW.to(self.device).float() / 255
        return averaged(self._error, images_NCHW, self.symmetries if self.detection.flips else ())

    def _repaired(self, images_NCHW: Tensor) -> Tensor:
        return self._in_parts(self._pass, images_NCHW)

    def _error(self, images_NCHW: Tensor) -> Tensor:
        return self._in_parts(lambda part: difference(part, self._pass(part), self.detection.error), images_NCHW)

    def _pass(self, images_NCHW: Tensor) -> Tensor:
        repaired_NCHW: Tensor = self.net(images_NCHW.contiguous(memory_format=torch.channels_last))
        return repaired_NCHW

    def _in_parts(self, compute: Callable[[Tensor], Tensor], images_NCHW: Tensor) -> Tensor:
        height, width = self.size
        with told_as(DetectorError, f"one image of {height} × {width} pixels does not fit into memory"):
            return in_parts(compute, images_NCHW)

    @torch.inference_mode()
    def maps(self, error_NHW: Tensor) -> Tensor:
        """Anomaly maps, (N, H, W) float32, from unsmoothed errors."""
        return smooth(error_NHW, self.detection.map_kernel, self.detection.map_passes) / self.map_spread_HW

    @torch.inference_mode()
    def scores(self, error_NHW: Tensor) -> Tensor:
        """Image scores, (N,) float32, from unsmoothed errors."""
        narrow_NHW = smooth(error_NHW, self.detection.score_kernel, self.detection.score_passes)
        return pool(narrow_NHW / self.score_spread_HW, self.detection.pooling, self.detection.score_share)
