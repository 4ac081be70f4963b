"""Mergeable histograms and exact image metrics."""
