"""One torch loop with its objective and schedule; runs without Ray."""
