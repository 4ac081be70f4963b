"""Results that others published on the data set of a run, to be read beside the run's own."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from raysuite.reporting.definitions import METRICS
from raysuite.reporting.summary import CategorySummary, Summary

CAUTION = (
    "Published figures were measured with other code, mostly at other resolutions, and are not to be read to the last "
    "decimal.",
    "raysuite learns from the good images of a category, and from texture photographs where its settings name some; it "
    "has no pretrained features, makes no choice by test labels, and its pixel metrics are over all pixels at the "
    "masks' own resolution. Methods without pretrained features are its peers.",
)
"""What is said beside every such table."""


@dataclass(frozen=True, slots=True)
class Method:
    """One published method with its figures over the categories of a run.

    Attributes:
        name: Its name, and whose run if not the authors' own.
        reference: Where it was published.
        features: What the net knows from other images.
        size: Side of the images in pixels; None = not stated.
        test_labels: What was chosen by them; None = nothing that the source states.
        note: How it works, and what else sets it apart.
        source: Where the figures were read.
        means: Fractions in [0, 1] by metric key, means over the same categories as the run's own.
        figures: By metric key, then by category; empty where only the mean is known.
    """

    name: str
    reference: str
    features: str
    size: int | None
    test_labels: str | None
    note: str
    source: str
    means: Mapping[str, float]
    figures: Mapping[str, Mapping[str, float]]

    @property
    def pretrained(self) -> bool:
        """Whether the net knows more than the good images of the category."""
        return self.features != "none"


@dataclass(frozen=True, slots=True)
class Published:
    """What is known of the data set that a run, or some of its categories, is of.

    Attributes:
        data_set: Its name.
        reference: Where that was published.
        categories: Those of the run that are of it, sorted.
        of: How many categories it has in all.
        own: Means of the run over `categories` by metric key; None where a category lacks it.
        methods: Those with a figure for these categories.
        metrics: Keys of the metrics that any method has, in the order in which metrics are printed.
        notes: In what the run's test images differ from the official split, a sentence each.
    """

    data_set: str
    reference: str
    categories: tuple[str, ...]
    of: int
    own: Mapping[str, float | None]
    methods: tuple[Method, ...]
    metrics: tuple[str, ...]
    notes: tuple[str, ...]


def published_beside(summary: Summary) -> tuple[Published, ...]:
    """Published results for the categories of a run that are those of a known data set; usually none or one.

    A category is taken for that of the data set if it has its name and as many defective test images; a name alone
    proves nothing. Categories without a figure of their own are left out.
    """
    found = []
    for data_set in _known():
        there = [c for c in summary.categories if not c.failed and _is_of(c, data_set)]
        if there:
            found.append(_beside(data_set, there))
    return tuple(one for one in found if one.methods)


@cache
def _known() -> tuple[Mapping[str, Any], ...]:
    text = (files("raysuite.reporting") / "data" / "published.yaml").read_text(encoding="utf-8")
    return tuple(yaml.safe_load(text)["data_sets"])


def _is_of(category: CategorySummary, data_set: Mapping[str, Any]) -> bool:
    official, ours = data_set["categories"].get(category.category), category.counts["n_defect"]
    if official is None or ours is None:
        return False
    # Images that could not be read were there all the same.
    unread = category.counts["n_failed"] or (0, 0)
    return bool(ours[1] <= official[1] <= ours[1] + unread[1])


def _beside(data_set: Mapping[str, Any], there: Sequence[CategorySummary]) -> Published:
    names = tuple(category.category for category in there)
    methods = tuple(
        method for card in data_set["methods"] if (method := _method(card, list(data_set["categories"]), names)).means
    )
    keys = [metric.key for metric in METRICS]
    notes = []
    for category in there:
        good, official = category.counts["n_good"], data_set["categories"][category.category][0]
        if good is not None and good[1] != official:
            notes.append(
                f"{category.category}: {good[1]} good test images here, {official} in the official split, so that its "
                "figures are comparable but not of the same test."
            )
    return Published(
        data_set["name"],
        data_set["reference"],
        names,
        len(data_set["categories"]),
        {key: _mean([category.metrics[key].mean for category in there]) for key in keys},
        methods,
        tuple(key for key in keys if any(key in method.means for method in methods)),
        tuple(notes),
    )


def _method(card: Mapping[str, Any], order: Sequence[str], names: Sequence[str]) -> Method:
    figures = {
        key: {name: value / 100 for name, value in zip(order, values, strict=True) if name in names}
        for key, values in card.get("figures", {}).items()
    }
    means = {key: statistics.fmean(some.values()) for key, some in figures.items()}
    if len(names) == len(order):
        # The printed mean was rounded once, that of rounded figures twice.
        means |= {key: value / 100 for key, value in card["mean"].items()}
    kept = ("name", "reference", "features", "size", "test_labels", "note", "source")
    return Method(**{name: card[name] for name in kept}, means=means, figures=figures)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known and len(known) == len(values) else None
