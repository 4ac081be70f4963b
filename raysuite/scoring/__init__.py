"""Scoring an archive: which detectors, one unit of work into one part, and what all parts say together. No Ray."""
