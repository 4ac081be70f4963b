"""All parts of a scored archive → counts, distributions, drift and the worst images, in one pass and little memory."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from raysuite.credentials import shown
from raysuite.metrics.conformal import Decision, drift
from raysuite.scoring.models import Model
from raysuite.scoring.pace import Pace
from raysuite.storage import Location

_COLUMNS = ["id", "uri", "score", "p_value", "anomalous", "error", "model", "ms", "tiles", "engine", "scored_at"]
EDGES = tuple(round(10 ** (k / 8), 6) for k in range(-24, 25))
"""Of the histogram of scores, in units of the threshold."""
MOST_ANOMALOUS = 0.5
"""Beyond this share it is rather the model or the archive that is wrong than the objects."""
EXAMPLES = 3
KINDS = 50


@dataclass(slots=True)
class OfModel:
    """What one detector found.

    Attributes:
        decision: How it decides.
        scored: Images with a score.
        anomalous: Those called anomalous.
        tiled: Those scored in tiles, which have no p-value.
        engines: Images by the engine and batch size that scored them.
        ranks: The others by the numerator of their p-values, int64, 0 to n + 1.
        histogram: Images by score over threshold: below the first of `EDGES`, between them, above the last.
        low: Smallest score.
        high: Largest score.
    """

    decision: Decision
    scored: int = 0
    anomalous: int = 0
    tiled: int = 0
    engines: Counter[str] = field(default_factory=Counter)
    ranks: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    histogram: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(EDGES) + 1, np.int64))
    low: float = math.inf
    high: float = -math.inf

    def add(self, scores: NDArray[np.float64], anomalous: NDArray[np.bool_], tiled: NDArray[np.bool_]) -> None:
        """Count some images."""
        self.scored += len(scores)
        self.anomalous += int(anomalous.sum())
        self.tiled += int(tiled.sum())
        counted = np.bincount(self.decision.ranks(scores[~tiled]), minlength=len(self.decision.good_N) + 2)
        self.ranks = counted if len(self.ranks) == 0 else self.ranks + counted
        self.histogram += self._binned(scores)
        if len(scores):
            self.low, self.high = min(self.low, float(scores.min())), max(self.high, float(scores.max()))

    def _binned(self, scores: NDArray[np.float64]) -> NDArray[np.int64]:
        place = np.searchsorted(EDGES, scores / (self.decision.threshold or 1.0), side="right")
        return np.bincount(place, minlength=len(EDGES) + 1).astype(np.int64)

    def as_mapping(self) -> dict[str, Any]:
        """Counts, the promise, and drift."""
        band = self.decision.band()
        found = drift(self.ranks, self.decision.rank) if band is not None and self.scored else None
        return {
            "scored": self.scored,
            "anomalous": self.anomalous,
            "tiled": self.tiled,
            "engines": dict(self.engines.most_common()),
            "false_alarm_rate": self.decision.rate,
            "false_alarm_band_95": None if band is None else list(band),
            "smallest_rate": self.decision.smallest_rate,
            "calibration_images": len(self.decision.good_N),
            "threshold": self.decision.threshold,
            "score_min": self.low if self.scored else None,
            "score_max": self.high if self.scored else None,
            "histogram_edges": [edge * self.decision.threshold for edge in EDGES],
            "histogram": self.histogram.tolist(),
            "calibration_histogram": self._binned(self.decision.good_N).tolist(),
            "drift": None if found is None else {**asdict(found), "is_drift": found.is_drift},
        }

    def warnings(self, name: str) -> list[str]:
        """What an operator should know, a sentence each."""
        told = []
        if len(self.decision.good_N) == 0:
            told.append(f"{name} keeps no scores of good images (older format): no p-values, no check for drift")
        elif self.scored and (found := drift(self.ranks, self.decision.rank)) is not None and found.is_drift:
            told.append(
                f"what looks good to {name} scores {'higher' if found.is_higher else 'lower'} than the good images it "
                f"was calibrated on (distance {found.distance:.2f}, p = {found.p_value:.1g}): the promised rate of "
                "false alarms does not hold for other images; calibrate on images like these"
            )
        if self.tiled and len(self.decision.good_N):
            told.append(
                f"{self.tiled} images were scored in tiles by {name}: the promised rate of false alarms is of images "
                f"of one tile and does not hold for them, and they have no p-value; a good image of many tiles is "
                "called anomalous more often"
            )
        if self.scored and self.anomalous > MOST_ANOMALOUS * self.scored:
            told.append(
                f"{name} calls {self.anomalous} of {self.scored} images anomalous: is it the right model for them?"
            )
        return told


class Tally:
    """Counts all rows of an archive."""

    def __init__(self, models: Mapping[str, Model], worst: int) -> None:
        """Count for these detectors, and keep the ``worst`` images."""
        self.models = {name: OfModel(model.decision) for name, model in models.items()}
        self.rows = self.failed = 0
        self.errors: Counter[str] = Counter()
        self.examples: dict[str, list[str]] = {}
        self.milliseconds = 0.0
        self.pace = Pace()
        self._most = worst
        self._worst: list[tuple[float, str, int, dict[str, Any]]] = []

    @property
    def scored(self) -> int:
        """Images with a score."""
        return sum(model.scored for model in self.models.values())

    def add(self, part: Location) -> None:
        """Count the rows of one part.

        Raises:
            StorageError: It cannot be read.
        """
        table = part.read_table(_COLUMNS)
        self.rows += len(table)
        self.milliseconds += float(np.nansum(table["ms"].to_numpy()))
        good = table["error"].is_null().to_numpy()
        at_ms = table["scored_at"].cast(pa.int64()).fill_null(-1).to_numpy()
        self.pace.add(at_ms[at_ms >= 0], ~good[at_ms >= 0])
        scores = table["score"].to_numpy().astype(np.float64)
        flags = table["anomalous"].fill_null(False).to_numpy()
        tiled = table["tiles"].fill_null(0).to_numpy() > 1
        thresholds = np.ones(len(table))
        for name, model in self.models.items():
            of_model = pc.equal(table["model"], name).fill_null(False).to_numpy()
            mine = good & of_model
            model.add(scores[mine], flags[mine], tiled[mine])
            for found in pc.value_counts(table["engine"].filter(pa.array(mine))).to_pylist():
                model.engines[found["values"]] += found["counts"]
            thresholds[of_model] = model.decision.threshold
        for text in table["error"].drop_null().to_pylist():
            self.failed += 1
            kind = text.partition(":")[0]
            if kind in self.errors or len(self.errors) < KINDS:
                self.errors[kind] += 1
                if len(told := self.examples.setdefault(kind, [])) < EXAMPLES:
                    told.append(text)
        excess = np.where(good, scores / np.where(thresholds > 0, thresholds, 1.0), -np.inf)
        self._keep_worst(table, excess, part)

    def _keep_worst(self, table: pa.Table, excess: NDArray[np.float64], part: Location) -> None:
        """Worst by score over threshold, so that detectors compare."""
        if self._most == 0 or len(excess) == 0:
            return
        worst = np.argpartition(-excess, min(self._most, len(excess)) - 1)[: self._most]
        for row in worst[np.argsort(-excess[worst])]:
            if excess[row] == -np.inf:
                break
            if len(self._worst) == self._most and excess[row] <= self._worst[0][0]:
                break
            found = {name: table[name][int(row)].as_py() for name in ("id", "uri", "model", "score", "p_value")}
            entry = (float(excess[row]), part.uri, int(row), found)
            push = heapq.heappush if len(self._worst) < self._most else heapq.heappushpop
            push(self._worst, entry)

    def worst(self) -> list[dict[str, Any]]:
        """The worst images, worst first: ``id``, ``uri``, ``model``, ``score``, ``p_value``, ``part`` and ``row``."""
        return [{**found, "part": part, "row": row} for _, part, row, found in sorted(self._worst, reverse=True)]

    def warnings(self) -> list[str]:
        """What an operator should know, a sentence each."""
        return [told for name, model in self.models.items() for told in model.warnings(name)]

    def as_mapping(self) -> dict[str, Any]:
        """All counts, for JSON."""
        return {
            "rows": self.rows,
            "scored": self.scored,
            "failed": self.failed,
            "anomalous": sum(model.anomalous for model in self.models.values()),
            "errors": {
                kind: {"count": count, "examples": self.examples[kind]} for kind, count in self.errors.most_common()
            },
            "ms_per_image": self.milliseconds / self.rows if self.rows else None,
            "pace": self.pace.as_mapping(),
            "models": {name: model.as_mapping() for name, model in self.models.items()},
            "warnings": self.warnings(),
            "worst": [{**one, "part": shown(one["part"])} for one in self.worst()],
        }
