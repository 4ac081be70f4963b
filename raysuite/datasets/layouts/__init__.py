"""Finds the images of a data set, whatever its layout."""

from raysuite.datasets.entries import Entry, Listing, Source
from raysuite.datasets.layouts.finding import LAYOUTS, find_all, find_entries

__all__ = ["LAYOUTS", "Entry", "Listing", "Source", "find_all", "find_entries"]
