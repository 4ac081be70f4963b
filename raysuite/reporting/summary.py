"""Means over seeds and categories that say what they lack."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.results import COUNTS, RunResults, SeedResult


@dataclass(frozen=True, slots=True)
class Statistic:
    """A mean of fractions in [0, 1].

    Attributes:
        mean: None where nothing is defined.
        std: Sample standard deviation; None with fewer than two values.
        n: How many values went in.
        incomplete: Whether a value that should be in the mean is not. False where the mean itself is not defined.
    """

    mean: float | None
    std: float | None
    n: int
    incomplete: bool

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Statistic:
        """Mean and spread of the values that are defined."""
        defined = [value for value in values if value is not None]
        return cls(_mean(defined), _std(defined), len(defined), 0 < len(defined) < len(values))


@dataclass(frozen=True, slots=True)
class CategorySummary:
    """One category over its seeds, all of one objective.

    Attributes:
        category: The category.
        runs: Its runs, by seed.
        metrics: By metric key; a failed seed counts as a missing value.
        low: Mean over seeds of the lower 95 % bound of image AUROC.
        high: The same of the upper bound.
        counts: Smallest and largest over the seeds that are done, by name; None where not known.
    """

    category: str
    runs: tuple[SeedResult, ...]
    metrics: Mapping[str, Statistic]
    low: float | None
    high: float | None
    counts: Mapping[str, tuple[int, int] | None]

    @property
    def failed(self) -> bool:
        """Whether no seed came through."""
        return not any(run.done for run in self.runs)

    @property
    def failures(self) -> tuple[SeedResult, ...]:
        """The seeds that did not come through."""
        return tuple(run for run in self.runs if not run.done)


@dataclass(frozen=True, slots=True)
class Summary:
    """A whole run, as far as it has one objective.

    Attributes:
        name: The run's name.
        objective: The kind of objective.
        seeds: The seeds, sorted.
        categories: One entry a category, sorted.
        macro: Mean over categories by metric key; ``n`` counts categories. Incomplete if a category is missing or is
            itself incomplete.
        oracle: Whether the settings were chosen with the labels of the test images.
    """

    name: str
    objective: str
    seeds: tuple[int, ...]
    categories: tuple[CategorySummary, ...]
    macro: Mapping[str, Statistic]
    oracle: bool

    @property
    def failures(self) -> tuple[SeedResult, ...]:
        """All runs that did not come through."""
        return tuple(run for category in self.categories for run in category.failures)

    @property
    def runs_done(self) -> int:
        """How many trainings came through; ``len(categories) * len(seeds)`` is all of them."""
        return sum(run.done for category in self.categories for run in category.runs)

    def of(self, category: str) -> CategorySummary | None:
        """One category, if it was trained with this objective."""
        return next((known for known in self.categories if known.category == category), None)

    @property
    def incomplete(self) -> bool:
        """Whether a category, or a seed of one, is missing."""
        return self.runs_done < len(self.categories) * len(self.seeds)

    def worst(self, key: str) -> CategorySummary | None:
        """The category with the lowest mean; None unless two categories or more have one."""
        ranked = [(mean, c) for c in self.categories if (mean := c.metrics[key].mean) is not None]
        return min(ranked, key=lambda pair: pair[0])[1] if len(ranked) > 1 else None


def summarise(results: RunResults) -> tuple[Summary, ...]:
    """Aggregate a run, each objective by itself and in the order of the results.

    Over seeds within a category, then over categories, each counting the same.
    """
    return tuple(_summary(results, objective) for objective in results.objectives)


def _summary(results: RunResults, objective: str) -> Summary:
    runs = {name: tuple(run for run in results.of(name) if run.objective == objective) for name in results.categories}
    seeds = tuple(sorted({run.seed for some in runs.values() for run in some}))
    categories = tuple(_category(name, some, len(seeds)) for name, some in runs.items() if some)
    means = {metric.key: macro(categories, metric.key, seeds) for metric in METRICS}
    return Summary(results.name, objective, seeds, categories, means, results.oracle)


def failure_sentences(category: CategorySummary) -> list[str]:
    """``seeds 0, 2: failed: the reason``, one sentence for all seeds that ended alike."""
    alike: dict[str, list[str]] = {}
    for run in category.failures:
        alike.setdefault(f"{run.status}: {run.reason or 'no reason was recorded'}", []).append(str(run.seed))
    return [f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}: {why}" for why, seeds in alike.items()]


def _category(category: str, runs: tuple[SeedResult, ...], n_seeds: int) -> CategorySummary:
    done = [run for run in runs if run.done]
    # A seed that failed, or left no trace of this category, is a missing value.
    absent: list[float | None] = [None] * (n_seeds - len(done))
    metrics = {m.key: Statistic.of([run.values.get(m.key) for run in done] + absent) for m in METRICS}
    return CategorySummary(
        category,
        runs,
        metrics,
        low=Statistic.of([run.values.get("image_auroc_low") for run in done]).mean,
        high=Statistic.of([run.values.get("image_auroc_high") for run in done]).mean,
        counts={name: _span([run.counts.get(name) for run in done]) for name in COUNTS},
    )


def macro(categories: Sequence[CategorySummary], key: str, seeds: Sequence[int]) -> Statistic:
    """Mean of a metric over categories, each counting the same, and its spread from seed to seed.

    Args:
        categories: All that should be in the mean.
        key: The metric.
        seeds: All seeds.
    """
    means = [mean for c in categories if (mean := c.metrics[key].mean) is not None]
    lacking = len(means) < len(categories) or any(c.metrics[key].incomplete for c in categories)
    # The spread that a reader would see on repeating the whole benchmark: one mean over categories a seed. It needs the
    # same categories at each seed, so those where the metric is nowhere defined are left out, and seeds with gaps too.
    by_seed = []
    for seed in seeds:
        values = [run.values.get(key) for c in categories for run in c.runs if run.done and run.seed == seed]
        defined = [value for value in values if value is not None]
        if means and len(defined) == len(means):
            by_seed.append(statistics.fmean(defined))
    return Statistic(_mean(means), _std(by_seed), len(means), bool(means) and lacking)


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _std(values: Sequence[float]) -> float | None:
    return statistics.stdev(values) if len(values) > 1 else None


def _span(values: Sequence[int | None]) -> tuple[int, int] | None:
    known = [value for value in values if value is not None]
    return (min(known), max(known)) if known else None
