"""Where a detector fails: its recall by kind of defect and by size of defect, at its own threshold."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raysuite.reporting.results import Score, SeedResult
from raysuite.reporting.summary import Statistic

SIZES = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Where one size of defect ends and the next begins, as shares of the image."""

NO_MASK = "without a mask"
UNNAMED = "not named"


@dataclass(frozen=True, slots=True)
class Group:
    """Defective test images of one kind or size.

    Attributes:
        name: Of the kind or size, in words.
        images: How many have a score; with several seeds, the most of them.
        recall: Share of them above the threshold, over seeds.
        by_seed: Seed, images above the threshold, and all of them.
        ratio: Median of score over threshold, over all images and seeds; below 1 most are missed.
    """

    name: str
    images: int
    recall: Statistic
    by_seed: tuple[tuple[int, int, int], ...]
    ratio: float | None


def by_kind(runs: Sequence[SeedResult]) -> tuple[Group, ...]:
    """Recall by kind of defect, the lowest first."""
    found = _groups(runs, lambda score: score.defect or UNNAMED)
    return tuple(sorted(found.values(), key=lambda group: (group.recall.mean or 0.0, group.name)))


def by_size(runs: Sequence[SeedResult]) -> tuple[Group, ...]:
    """Recall by the area of the mask, the smallest first; nothing where no mask was measured."""
    found = _groups(runs, lambda score: _size(score.area))
    names = [*(_name(at) for at in range(len(SIZES) + 1)), NO_MASK]
    return () if found.keys() <= {NO_MASK} else tuple(found[name] for name in names if name in found)


def _groups(runs: Sequence[SeedResult], name_of: Callable[[Score], str]) -> dict[str, Group]:
    caught: defaultdict[str, dict[int, list[bool]]] = defaultdict(lambda: defaultdict(list))
    ratios: defaultdict[str, list[float]] = defaultdict(list)
    for run in runs:
        threshold = run.values.get("threshold")
        for score in run.scores:
            if score.label != 1 or score.score is None or score.anomalous is None:
                continue
            name = name_of(score)
            caught[name][run.seed].append(score.anomalous)
            if threshold:
                ratios[name].append(score.score / threshold)
    return {
        name: Group(
            name,
            max(map(len, seeds.values())),
            Statistic.of([sum(above) / len(above) for above in seeds.values()]),
            tuple((seed, sum(above), len(above)) for seed, above in sorted(seeds.items())),
            statistics.median(ratios[name]) if ratios[name] else None,
        )
        for name, seeds in caught.items()
    }


def _size(area: float | None) -> str:
    return NO_MASK if not area else _name(sum(area >= edge for edge in SIZES))


def _name(at: int) -> str:
    edges = [f"{100 * edge:g}" for edge in SIZES]
    if at == 0:
        return f"below {edges[0]} %"
    return f"{edges[-1]} % and more" if at == len(edges) else f"{edges[at - 1]} to {edges[at]} %"
