"""The built-in benchmark: procedural categories with exact masks, for trials without a data set."""

from raysuite.datasets.procedural.benchmark import CATEGORIES, draw_defect, draw_good, write_benchmark

__all__ = ["CATEGORIES", "draw_defect", "draw_good", "write_benchmark"]
