"""Which settings mattered: permutation importance in a random forest that predicts scores from settings.

Source: Breiman, "Random forests", Machine Learning 45 (2001), section 10. The forest is asked about trials that it has
not learned from, so that a setting which only looks important in the trials at hand gets nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import KFold

from raysuite.tuning.domains import Choice, label_of
from raysuite.tuning.space import Space

LEAST_TRIALS = 20
FOLDS = 5
REPEATS = 10
"""So often each setting is shuffled among the trials of a fold."""

INACTIVE = -1.0
"""Of a range that is not searched in a trial; those that are lie in [0, 1]."""


@dataclass(frozen=True, slots=True)
class Importances:
    """What came out.

    Attributes:
        shares: By key, falling, of all settings that took different values; their sum is 1. Empty if nothing can be
            said.
        explained: R² of the forest on trials it has not learned from; ``None`` if there is no forest.
        reason: Why `shares` is empty; ``None`` if it is not.
    """

    shares: dict[str, float]
    explained: float | None
    reason: str | None


def importances(
    space: Space, values: Sequence[Mapping[str, Any]], scores: Sequence[float | None], seed: int = 0
) -> Importances:
    """How much worse scores are predicted when a setting is shuffled among the trials.

    Args:
        space: What was searched.
        values: Of each trial, those that were active.
        scores: Of each trial, all reached after equally many steps, or they would not be comparable; trials without one
            (``None``, or no finite number) are left out.
        seed: Equal seeds give equal importances.

    Returns:
        An honest nothing, with its reason, if there are fewer than `LEAST_TRIALS`, all scores are equal, or the forest
        predicts other trials no better than their mean.
    """
    known = [i for i, score in enumerate(scores) if score is not None and np.isfinite(score)]
    if len(known) < LEAST_TRIALS:
        return Importances({}, None, f"{len(known)} trials have a score; that takes {LEAST_TRIALS} or more")
    scores_T = np.array([scores[i] for i in known], dtype=np.float64)
    if np.ptp(scores_T) == 0:
        return Importances({}, None, "all trials have the same score")
    columns: dict[str, NDArray[np.float64]] = {}
    for dimension in space.dimensions:
        encoded_TC = _encoded(dimension.domain, [values[i].get(dimension.key) for i in known])
        if np.ptp(encoded_TC, axis=0).any():
            columns[dimension.key] = encoded_TC
    if not columns:
        return Importances({}, None, "no setting took different values")
    table_TC = np.concatenate(list(columns.values()), axis=1)
    rng = np.random.default_rng(seed)
    rises = dict.fromkeys(columns, 0.0)
    error, spread = 0.0, 0.0
    for fit, held in KFold(FOLDS, shuffle=True, random_state=seed).split(table_TC):
        forest = RandomForestRegressor(n_estimators=100, min_samples_leaf=2, random_state=seed, n_jobs=1)
        forest.fit(table_TC[fit], scores_T[fit])
        base = float(np.square(forest.predict(table_TC[held]) - scores_T[held]).sum())
        error += base
        spread += float(np.square(scores_T[fit].mean() - scores_T[held]).sum())
        # All shuffled copies in one call, for a forest's cost is in the call: (settings, repeats, trials, columns).
        shuffled = np.tile(table_TC[held], (len(columns), REPEATS, 1, 1))
        first = 0
        for copies, encoded_TC in zip(shuffled, columns.values(), strict=True):
            own = slice(first, first + encoded_TC.shape[1])
            first = own.stop
            for copy in copies:
                # The columns of a choice move together.
                copy[:, own] = copy[rng.permutation(len(held)), own]
        predicted = forest.predict(shuffled.reshape(-1, table_TC.shape[1])).reshape(shuffled.shape[:-1])
        rise_K = np.square(predicted - scores_T[held]).sum(-1).mean(-1) - base
        for key, rise in zip(columns, rise_K, strict=True):
            rises[key] += float(rise)
    explained = 1 - error / spread
    total = sum(max(rise, 0.0) for rise in rises.values())
    if explained <= 0 or total == 0:
        return Importances(
            {}, explained, "a forest predicts the score of other trials no better than their mean: too few or too alike"
        )
    shares = {key: max(rise, 0.0) / total for key, rise in rises.items()}
    return Importances(dict(sorted(shares.items(), key=lambda item: -item[1])), explained, None)


def _encoded(domain: Any, values: Sequence[Any]) -> NDArray[np.float64]:
    """(T, 1) for a range, on its scale; (T, choices) of 0 and 1 for a choice, all 0 where it was not searched."""
    if isinstance(domain, Choice):
        labels = [None if value is None else label_of(value) for value in values]
        return np.array([[label == own for own in domain.labels] for label in labels], dtype=np.float64)
    return np.array([[INACTIVE if value is None else domain.share(value)] for value in values], dtype=np.float64)
