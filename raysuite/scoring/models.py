"""Which detectors score an archive: found in run folders, each with its decision and what tells it from others."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from raysuite.detection.detector import Detector
from raysuite.errors import ConfigError, DetectorError
from raysuite.metrics.conformal import Decision
from raysuite.storage import Location


@dataclass(frozen=True, slots=True)
class Model:
    """A detector to score with.

    Attributes:
        name: Its category.
        uri: Its folder.
        digest: SHA-256 of its files.
        decision: How it calls images anomalous.
    """

    name: str
    uri: str
    digest: str
    decision: Decision


def find_models(words: Sequence[str], false_alarm_rate: float | None) -> tuple[Model, ...]:
    """The detectors that are named, in order.

    Args:
        words: Paths or URIs, each of a detector's folder, of a member or a category of a run, or of a whole run.
        false_alarm_rate: Share of good images that may be called anomalous; None for each detector's own.

    Raises:
        DetectorError: There is none at a place, or a damaged one.
        ConfigError: Two are of one category, or the rate cannot be promised.
    """
    found: dict[str, Model] = {}
    for word in words:
        for folder in _folders(Location.of(word), word):
            detector = Detector.load(folder)
            name = detector.category
            if name in found:
                raise ConfigError(
                    f"{folder} and {found[name].uri} are both of category {name!r}: give one model a category"
                )
            usual = detector.detection.false_alarm_rate
            decision = Decision.of(detector.good_scores_N, detector.threshold, false_alarm_rate, usual, name)
            digest = hashlib.sha256()
            for file in ("detector.json", "weights.safetensors"):
                digest.update((folder / file).read_bytes())
            found[name] = Model(name, folder.uri, digest.hexdigest(), decision)
    return tuple(found.values())


def _folders(where: Location, word: str) -> list[Location]:
    if (one := _of_category(where)) is not None:
        return [one]
    if where.is_dir():
        names = [name for name, is_dir in where.children() if is_dir and name != "shards" and name[0] != "."]
        if some := [one for name in names if (one := _of_category(where / name)) is not None]:
            return some
    raise DetectorError(f"{word} holds no trained detector: name RUN/category, RUN/category/seed-N, or a whole run")


def _of_category(where: Location) -> Location | None:
    """The detector of a category's folder: that of the run's own objective with the lowest seed."""
    for folder in (where, where / "detector"):
        if (folder / "detector.json").is_file():
            return folder
    if not where.is_dir():
        return None
    seeds = [int(m[1]) for name, is_dir in where.children() if is_dir and (m := re.fullmatch(r"seed-(\d+)", name))]
    for seed in sorted(seeds):
        folder = where / f"seed-{seed}" / "detector"
        if (folder / "detector.json").is_file():
            return folder
    return None
