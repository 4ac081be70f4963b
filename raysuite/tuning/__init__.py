"""Tuning without labels and without Ray: search spaces, the objective, trials, and what follows from them."""
