"""A search space: which settings are searched, what each may be, and when it matters.

A space is checked against the settings that a search starts from before any trial does: every key exists, and the
config accepts what each setting may become. What settings ask of one another is asked of each trial, in `Space.config`.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from raysuite import settings
from raysuite.config import Config
from raysuite.errors import ConfigError
from raysuite.tuning.domains import Choice, Domain, Float, Int, label_of
from raysuite.tuning.keys import flat, require_key, types, value_at

__all__ = ["Choice", "Condition", "Dimension", "Domain", "Float", "Int", "Space"]

PROBES = 64
"""A value that the start's other settings forbid is tried among so many draws of the others before it is refused."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Another setting has one of some values; if it is searched, its own condition must hold too.

    Attributes:
        key: The other setting.
        values: One or more.
    """

    key: str
    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", Choice(self.values).values)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it holds for values by key; not if the other setting is not among them."""
        return self.key in values and Choice(self.values).contains(values[self.key])


@dataclass(frozen=True, slots=True)
class Dimension:
    """A setting that is searched.

    Attributes:
        key: Its dotted key.
        domain: What it may be.
        when: It is searched only if this holds; else it keeps the value of the start.
    """

    key: str
    domain: Domain
    when: Condition | None = None

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether it is searched, given the active values before it."""
        return self.when is None or self.when.holds(values)


@dataclass(frozen=True, slots=True)
class Space:
    """All dimensions of a search. What `validated` returns has those that others depend on before these.

    A sampler goes through `dimensions` in their order and asks each whether it `is_active` for the values so far.
    """

    dimensions: tuple[Dimension, ...]

    def __len__(self) -> int:
        return len(self.dimensions)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of all dimensions."""
        return tuple(dimension.key for dimension in self.dimensions)

    def joined(self, other: Space) -> Space:
        """The dimensions of both; where both have a key, the other's counts."""
        return Space((*(one for one in self.dimensions if one.key not in other.keys), *other.dimensions))

    def validated(self, base: Config, fixed: Collection[str] = ()) -> Space:
        """The space as it can be searched, from some settings on.

        Args:
            base: What a search starts from; settings that were fixed are fixed in it already.
            fixed: Keys that are not searched; other dimensions may depend on them.

        Returns:
            The space without what is fixed and without dimensions that cannot become active; in an order in which none
            comes before what it depends on; conditions on settings that are not searched resolved; choices as the
            config has them.

        Raises:
            ConfigError: A key or choice is unknown (the nearest is named), a range is empty or holds what the config
                refuses, conditions contradict the space or go in a circle, or nothing is left.
        """
        for key in fixed:
            if key not in types():
                require_key(key)
        twice = [key for index, key in enumerate(self.keys) if key in self.keys[:index]]
        if twice:
            raise ConfigError(f"{twice[0]} is in the space twice")
        for dimension in self.dimensions:
            _require_sound(dimension)
        free = tuple(one for one in self.dimensions if one.key not in fixed)
        # Conditions are compared to choices as the config has them, so the choices come first.
        free = tuple(replace(one, domain=_as_configured(one, free, base)) for one in free)
        _require_met(free, base)
        space = Space(tuple(_resolved(_sorted(free), base)))
        if not space.dimensions:
            why = " that is not fixed or ruled out by a condition" if self.dimensions else ""
            raise ConfigError(f"the space has nothing to search{why}")
        return space

    def active(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the values that matter: of this space, their conditions holding."""
        kept: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.key in values and dimension.is_active(kept):
                kept[dimension.key] = values[dimension.key]
        return kept

    def config(self, base: Config, values: Mapping[str, Any]) -> Config:
        """The settings of a trial: the start's, with the active values.

        Raises:
            ConfigError: A key is not in the space, or the config refuses the values together. Such a trial is invalid;
                it says nothing about the search.
        """
        strange = [key for key in values if key not in self.keys]
        if strange:
            raise ConfigError(f"{strange[0]} is not in the space, which has {', '.join(self.keys)}")
        return settings.with_values(base, self.active(values))

    def inside(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Those of the values that this space could give: for a warm start from another search."""
        kept: dict[str, Any] = {}
        for dimension in self.dimensions:
            value = values.get(dimension.key)
            if dimension.key in values and dimension.domain.contains(value) and dimension.is_active(kept):
                kept[dimension.key] = value
        return kept

    def default_of(self, base: Config) -> dict[str, Any]:
        """The start's own values, for a warm start; those outside the space are left out, for a sampler to fill in."""
        return self.inside(flat(base))

    def lacking(self, values: Mapping[str, Any]) -> list[str]:
        """Keys of the dimensions that are active with these values and have none among them."""
        return [one.key for one in self.dimensions if one.key not in values and one.is_active(values)]

    def draw(self, rng: random.Random) -> dict[str, Any]:
        """Values at random, of the active dimensions."""
        values: dict[str, Any] = {}
        for dimension in self.dimensions:
            if dimension.is_active(values):
                values[dimension.key] = dimension.domain.draw(rng)
        return values

    def grid(self, count: int) -> Iterator[dict[str, Any]]:
        """All combinations, each once, of ``count`` values of each range (see `Float.spread`) and of all choices."""

        def below(index: int, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
            if index == len(self.dimensions):
                yield values
                return
            dimension = self.dimensions[index]
            if not dimension.is_active(values):
                yield from below(index + 1, values)
                return
            for value in dimension.domain.spread(count):
                yield from below(index + 1, {**values, dimension.key: value})

        return below(0, {})

    def as_mapping(self) -> dict[str, Any]:
        """As in a space file: plain values, for YAML and JSON."""
        mapping: dict[str, Any] = {}
        for one in self.dimensions:
            mapping[one.key] = one.domain.as_mapping()
            if one.when is not None:
                mapping[one.key]["when"] = {one.when.key: Choice(one.when.values).as_mapping()["choices"]}
        return mapping


def _require_sound(dimension: Dimension) -> None:
    """What can be said without the settings of the start."""
    key, domain, when = dimension.key, dimension.domain, dimension.when
    require_key(key)
    if problem := domain.problem():
        raise ConfigError(f"{key}: {problem}")
    kind = types()[key]
    if isinstance(domain, Float | Int) and kind not in {int, float}:
        raise ConfigError(f"{key} is no number, so that it cannot have a range; give a list of choices")
    if isinstance(domain, Float) and kind is int:
        raise ConfigError(f"{key} is a whole number; its range must be an Int, from {domain.low:g} to {domain.high:g}")
    if when is None:
        return
    if when.key not in types():
        require_key(when.key)
    if not when.values:
        raise ConfigError(f"{key} is searched when {when.key} has one of no values; name one or more")
    if when.key == key:
        raise ConfigError(f"{key} is searched when it has some values itself; name another setting")


def _as_configured(dimension: Dimension, free: tuple[Dimension, ...], base: Config) -> Domain:
    """The domain with its choices as the config has them; raises if the config refuses a value in any company."""
    key, domain = dimension.key, dimension.domain
    values = domain.spread(9)
    if not isinstance(domain, Choice):
        # The ends first: they say most in an error.
        values = [values[0], values[-1], *values[1:-1]]
    taken = []
    for value in values:
        config = _tried(key, value, free, base)
        if isinstance(config, str):
            raise ConfigError(f"the space gives {key} the value {label_of(value)}, which no trial could have: {config}")
        taken.append(value_at(config, key))
    if not isinstance(domain, Choice):
        return domain
    choice = Choice(tuple(taken))
    if problem := choice.problem():
        raise ConfigError(f"{key}: {problem}")
    return choice


def _tried(key: str, value: Any, free: tuple[Dimension, ...], base: Config) -> Config | str:
    """Settings with a value, the start's or others of the space; or why the config refuses it in any company."""
    try:
        return settings.with_values(base, {key: value})
    except ConfigError as error:
        refusal = str(error)
    # What the start's other settings forbid, others may allow that are searched too.
    rng = random.Random(0)
    for _ in range(PROBES if len(free) > 1 else 0):
        others = {one.key: one.domain.draw(rng) for one in free if one.key != key}
        try:
            return settings.with_values(base, {**others, key: value})
        except ConfigError:
            continue
    return refusal


def _require_met(free: tuple[Dimension, ...], base: Config) -> None:
    """Raise unless each condition can hold: on a searched setting in the space, on another in some config."""
    domains = {one.key: one.domain for one in free}
    for one in free:
        if one.when is None:
            continue
        if one.when.key not in domains:
            for value in _worded(one.when).values:
                if isinstance(refusal := _tried(one.when.key, value, free, base), str):
                    raise ConfigError(
                        f"{one.key} is searched when {one.when.key} is {label_of(value)}, which it never is: {refusal}"
                    )
            continue
        domain = domains[one.when.key]
        if isinstance(domain, Float):
            raise ConfigError(
                f"{one.key} is searched when {one.when.key} has a certain value, but that is searched over a range; "
                "give it choices"
            )
        never = [label_of(value) for value in _worded(one.when).values if not domain.contains(value)]
        if never:
            spread = ", ".join(map(label_of, domain.spread(9)))
            raise ConfigError(
                f"{one.key} is searched when {one.when.key} is {never[0]}, but the space only gives it {spread}"
            )


def _sorted(free: tuple[Dimension, ...]) -> list[Dimension]:
    """In an order in which none comes before what it depends on; raises if conditions go in a circle."""
    by_key = {one.key: one for one in free}
    depth: dict[str, int] = {}
    for one in free:
        way = [one.key]
        while (when := by_key[way[-1]].when) is not None and when.key in by_key:
            if when.key in way:
                circle = " → ".join([*way[way.index(when.key) :], when.key])
                raise ConfigError(f"the conditions of the space go in a circle: {circle}")
            way.append(when.key)
        depth[one.key] = len(way)
    return sorted(free, key=lambda one: depth[one.key])


def _resolved(dimensions: list[Dimension], base: Config) -> Iterator[Dimension]:
    """Without conditions on what is not searched, and without dimensions that these rule out."""
    searched = {one.key for one in dimensions}
    there: set[str] = set()
    for one in dimensions:
        if one.when is None:
            resolved = one
        elif one.when.key in searched:
            if one.when.key not in there:
                continue
            resolved = replace(one, when=_worded(one.when))
        elif _worded(one.when).holds({one.when.key: value_at(base, one.when.key)}):
            resolved = replace(one, when=None)
        else:
            continue
        there.add(one.key)
        yield resolved


def _worded(when: Condition) -> Condition:
    """YAML 1.1 reads the words on and off as truth values, where only a setting of truth values has these."""
    if types()[when.key] is bool:
        return when
    words = {True: "on", False: "off"}
    return Condition(when.key, tuple(words[value] if isinstance(value, bool) else value for value in when.values))
