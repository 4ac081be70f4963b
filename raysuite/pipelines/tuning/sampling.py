"""Where the settings of a search's trials come from: from Optuna, from chance, or from a grid.

Trials are numbered as they begin. The first ones are given: the start's own values, then the best of an earlier search.
What a stopped search had done counts as if this one had done it.
"""

from __future__ import annotations

import itertools
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from raysuite.errors import ConfigError
from raysuite.tuning.domains import Choice, Domain, Int, label_of
from raysuite.tuning.space import Space

SEARCHES = ("tpe", "random", "grid")
GRID_POINTS = 3
"""Values of each range in a grid."""

APART = 1_000_003
"""Seeds of the sampler are so far apart, a step for each trial that was begun before: a prime, so that none meet."""

DIRECTIONS = {"score": "max", "latency_ms": "min", "parameters": "min"}
STUDY = "raysuite"

Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A trial that a stopped search had begun.

    Attributes:
        number: Its number.
        values: Its active values.
        metrics: What it reached last, by the names of `DIRECTIONS`; empty if it has no score.
        is_over: Whether it is done, or failed; else it goes on.
    """

    number: int
    values: Values
    metrics: Mapping[str, float]
    is_over: bool


@dataclass(frozen=True, slots=True)
class Supply:
    """What a search begins with.

    Attributes:
        space: What is searched.
        first: Values of the trials from number 0 on that are given, not drawn.
        known: What was begun before.
        trials: How many there are to be in all.
        seed: Of all draws.
    """

    space: Space
    first: Sequence[Values]
    known: Sequence[Known]
    trials: int
    seed: int

    @property
    def unfinished(self) -> list[Known]:
        """Those that go on."""
        return [one for one in self.known if not one.is_over]

    @property
    def new(self) -> list[int]:
        """Numbers of those that are still to begin.

        A search may have been killed when a later one had its row, and an earlier one did not yet: that is among them.
        """
        begun = {one.number for one in self.known}
        return [number for number in range(self.trials) if number not in begun]


def grid(space: Space, first: Sequence[Values], most: int) -> list[Values]:
    """All combinations of a space behind the given ones; of equal ones the first.

    Raises:
        ConfigError: There are more than ``most``.
    """
    points = {_identity(one): dict(one) for one in first}
    for point in itertools.islice(space.grid(GRID_POINTS), most + 1):
        points.setdefault(_identity(point), point)
    if len(points) > most:
        raise ConfigError(
            f"the grid has more than the {most} trials that --trials allows, with {GRID_POINTS} values of each of "
            f"{len(space)} settings: allow more, fix some with --fix, or take --search tpe"
        )
    return list(points.values())


def _identity(values: Values) -> frozenset[tuple[str, Any]]:
    return frozenset((key, tuple(value) if isinstance(value, list) else value) for key, value in values.items())


def listed(supply: Supply, search: str, most: int) -> list[dict[str, Any]]:
    """The trials that are left of a random search or a grid, as a trial is given them.

    A number and the seed decide what is drawn, so that a search that was stopped draws on as if it had not been.
    """
    going_on = [{"number": one.number, "values": dict(one.values)} for one in supply.unfinished]
    points = grid(supply.space, supply.first, most) if search == "grid" else supply.first
    new = [number for number in supply.new if search != "grid" or number < len(points)]

    def values(number: int) -> Values:
        drawn = supply.space.draw(random.Random(f"{supply.seed} {number}"))
        if number >= len(points):
            return drawn
        return supply.space.active({**drawn, **points[number]})

    return [*going_on, *({"number": number, "values": values(number)} for number in new)]


def tpe(supply: Supply, metrics: Sequence[str]) -> OptunaSearch:
    """A tree of Parzen estimators over all settings together that learns from what was done before.

    Args:
        supply: What to begin with.
        metrics: ``score``, and what is minimised beside it, if anything is.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # Optuna calls what is used here experimental; its version is in our hands.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            # With the same seed a search that goes on would draw again what it drew at its start.
            seed=(supply.seed + APART * len(supply.known)) % 2**32,
            multivariate=True,
            group=True,
            constant_liar=True,
            n_startup_trials=10,
        )
    # The study is filled before it is handed over, as OptunaSearch itself takes no earlier trials of such a space.
    storage = optuna.storages.InMemoryStorage()
    modes = [DIRECTIONS[name] for name in metrics]
    study = optuna.create_study(
        storage=storage,
        study_name=STUDY,
        directions=["maximize" if mode == "max" else "minimize" for mode in modes],
    )
    distributions = {one.key: _distribution(one.domain) for one in supply.space.dimensions}
    for one in supply.known:
        if one.is_over:
            study.add_trial(_past(one, supply.space, distributions, metrics))
    for one in supply.unfinished:
        study.enqueue_trial(_sampled(supply.space, one.values), {"number": one.number})
    for number in (one for one in supply.new if one < len(supply.first)):
        study.enqueue_trial(_sampled(supply.space, supply.first[number]), {"number": number})
    several = len(metrics) > 1
    return _Telling(
        _Drawing(supply.space, [number for number in supply.new if number >= len(supply.first)]),
        metric=list(metrics) if several else metrics[0],
        mode=modes if several else modes[0],
        sampler=sampler,
        storage=storage,
        study_name=STUDY,
    )


class _Telling(OptunaSearch):
    """Tells Optuna of trials that came to no score, which for several objectives it would take for running ones."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if isinstance(self.metric, list) and result and any(result.get(name) is None for name in self.metric):
            result = None
        super().on_trial_complete(trial_id, result, error)


class _Drawing:
    """Asks Optuna for the values of a trial, in the space's order, those that are active alone."""

    def __init__(self, space: Space, numbers: Sequence[int]) -> None:
        self.space, self.numbers = space, list(numbers)

    def __call__(self, trial: Any) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for one in self.space.dimensions:
            if not one.is_active(values):
                continue
            domain = one.domain
            if isinstance(domain, Choice):
                values[one.key] = domain.of_label(trial.suggest_categorical(one.key, domain.labels))
            elif isinstance(domain, Int):
                values[one.key] = trial.suggest_int(one.key, domain.low, domain.high, log=domain.log)
            else:
                values[one.key] = trial.suggest_float(one.key, domain.low, domain.high, log=domain.log)
        number = trial.user_attrs.get("number")
        if number is None:
            number = self.numbers.pop(0)
        return {"trial": {"number": number, "values": values}}


def _distribution(domain: Domain) -> BaseDistribution:
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.labels)
    if isinstance(domain, Int):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(domain.low, domain.high, log=domain.log)


def _sampled(space: Space, values: Values) -> dict[str, Any]:
    """Values as Optuna has them: choices by their labels."""
    domains = {one.key: one.domain for one in space.dimensions}
    return {
        key: label_of(value) if isinstance(domains[key], Choice) else value
        for key, value in values.items() if key in domains
    }  # fmt: skip


def _past(
    one: Known, space: Space, distributions: Mapping[str, BaseDistribution], metrics: Sequence[str]
) -> optuna.trial.FrozenTrial:
    params = _sampled(space, one.values)
    values = [one.metrics[name] for name in metrics] if one.metrics else None
    # A pruned one without any score counts as worse than all, which only a single objective can say.
    lost = TrialState.PRUNED if len(metrics) == 1 else TrialState.FAIL
    return optuna.trial.create_trial(
        state=lost if values is None else TrialState.COMPLETE,
        values=values,
        params=params,
        distributions={key: distributions[key] for key in params},
    )
