"""Finds the images of a data set, whatever its layout."""

from raysuite.datasets.entries import Entry, Listing
from raysuite.datasets.layouts.finding import LAYOUTS, find_entries

__all__ = ["LAYOUTS", "Entry", "Listing", "find_entries"]
