"""What every printed figure is: its column, its name, its definition, and whether test labels chose anything in it."""

from __future__ import annotations

from dataclasses import dataclass

ORACLE = "†"
"""Marks a figure whose threshold was chosen on test labels."""

INCOMPLETE = "‡"
"""Marks a mean that lacks a category or a seed."""

UNDEFINED = "n/d"
"""Stands where a metric is not defined. Never a number: 0 would be a claim."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One column of the results.

    Attributes:
        key: The column in ``metrics.parquet``; values are fractions in [0, 1].
        label: The name that people read, with the oracle mark where it belongs.
        definition: One footnote.
        needs_masks: Whether it is defined only where defects have masks.
    """

    key: str
    label: str
    definition: str
    needs_masks: bool = False


METRICS = (
    Metric(
        "image_auroc",
        "Image AUROC",
        "Area under the ROC curve of the image scores: the chance that a defective image scores above a good one, "
        "ties counting one half. In brackets the 95 % bootstrap interval over test images; with several seeds, "
        "the mean of the seeds' bounds.",
    ),
    Metric(
        "image_ap",
        "Image AP",
        "Average precision of the image scores, defects being the positive class. Depends on the share of defects in "
        "the test set.",
    ),
    Metric(
        "image_f1_max",
        f"Image F1-max{ORACLE}",
        "The highest F1 over all thresholds on the image score.",
    ),
    Metric(
        "pixel_auroc",
        "Pixel AUROC",
        "Area under the ROC curve of the anomaly map, over all pixels of all test images at the mask's resolution. "
        "Large good areas make it look high; read it beside AUPRO.",
        needs_masks=True,
    ),
    Metric(
        "pixel_ap",
        "Pixel AP",
        "Average precision over the same pixels.",
        needs_masks=True,
    ),
    Metric(
        "pixel_f1_max",
        f"Pixel F1-max{ORACLE}",
        "The highest F1 over all thresholds on the anomaly map, over the same pixels.",
        needs_masks=True,
    ),
    Metric(
        "aupro",
        "AUPRO",
        "Area under the per-region overlap curve for false positive rates up to 0.3, divided by 0.3. Every 8-connected "
        "defect region counts the same, small or large; the curve is interpolated at the limit.",
        needs_masks=True,
    ),
)
"""All metrics, in the order in which they are printed."""

ORACLE_SETTINGS = (
    "ORACLE: the settings were chosen with the labels of these test images (raysuite tune --objective oracle), so no "
    "figure here is an honest one."
)
"""Goes with every figure of a run whose provenance says so."""

PRO_LIMIT = 0.3
"""The false positive rate at which AUPRO stops."""

FOOTNOTES = (
    "All metrics are percentages. mean ± std: over seeds, with the sample standard deviation. The bottom row is the "
    "mean over categories, each counting the same; its std is that of the seeds' means.",
    f"{ORACLE} Oracle: the threshold is chosen on the test labels, so the figure is an upper bound, "
    "not what a user would meet.",
    f"{INCOMPLETE} Incomplete: a category or a seed failed, or the metric is not defined there; "
    "the mean is over the rest.",
    f"{UNDEFINED}: not defined, for want of good images, of defects, or of masks. It is not zero.",
)
"""Notes that go under every table of results."""
