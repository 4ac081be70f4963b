"""What a searched setting may be: a range of numbers or a list of choices."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Float:
    """A number from `low` to `high`, both included; with `log` its logarithm is drawn evenly."""

    low: float
    high: float
    log: bool = False

    def problem(self) -> str | None:
        """What is wrong with it, or ``None``."""
        return _range_problem(self)

    def contains(self, value: Any) -> bool:
        """Whether the value lies in it."""
        return _is_number(value) and self.low <= value <= self.high

    def draw(self, rng: random.Random) -> float:
        """A value at random."""
        return self._at(rng.random())

    def spread(self, count: int) -> list[float]:
        """So many values from end to end, two at least, evenly spaced on its scale."""
        steps = max(count, 2) - 1
        return [self.low, *(self._at(step / steps) for step in range(1, steps)), self.high]

    def share(self, value: float) -> float:
        """Where in the range a value lies, on its scale: 0 at `low`, 1 at `high`."""
        low, high, at = (math.log(end) if self.log else end for end in (self.low, self.high, value))
        return (at - low) / (high - low)

    def as_mapping(self) -> dict[str, Any]:
        """As in a space file."""
        return {"low": self.low, "high": self.high} | ({"log": True} if self.log else {})

    def _at(self, share: float) -> float:
        if self.log:
            value = math.exp(math.log(self.low) + share * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + share * (self.high - self.low)
        # Rounding may lead past an end, and the config may end there.
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Int:
    """A whole number from `low` to `high`, both included; with `log` small ones are as likely as large ones."""

    low: int
    high: int
    log: bool = False

    def problem(self) -> str | None:
        """What is wrong with it, or ``None``."""
        if not all(isinstance(end, int) and not isinstance(end, bool) for end in (self.low, self.high)):
            return f"the ends of a range of whole numbers must be whole, not {self.low!r} and {self.high!r}"
        return _range_problem(self)

    def contains(self, value: Any) -> bool:
        """Whether the value lies in it."""
        return _is_number(value) and float(value).is_integer() and self.low <= value <= self.high

    def draw(self, rng: random.Random) -> int:
        """A value at random."""
        return self._at(rng.random())

    def spread(self, count: int) -> list[int]:
        """Up to so many different values from end to end, about evenly spaced on its scale."""
        steps = max(min(count, self.high - self.low + 1), 2) - 1
        return sorted({self.low, *(self._at(step / steps) for step in range(1, steps)), self.high})

    def share(self, value: float) -> float:
        """Where in the range a value lies, on its scale: 0 at `low`, 1 at `high`."""
        return Float(self.low, self.high, self.log).share(value)

    def as_mapping(self) -> dict[str, Any]:
        """As in a space file."""
        return {"low": self.low, "high": self.high} | ({"log": True} if self.log else {})

    def _at(self, share: float) -> int:
        # Each whole number has the width of one about it, so that both ends are as likely as the rest.
        value = Float(self.low - 0.5, self.high + 0.5, self.log)._at(share)
        return min(max(math.floor(value + 0.5), self.low), self.high)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values; of settings that are lists, such as ``model.dilations``, each value is a tuple."""

    values: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(_plain(value) for value in self.values))

    @property
    def labels(self) -> tuple[str, ...]:
        """A text for each value, in their order, for samplers and axes that know no tuples."""
        return tuple(label_of(value) for value in self.values)

    def problem(self) -> str | None:
        """What is wrong with it, or ``None``."""
        if not self.values:
            return "it has no choices"
        twice = [label for index, label in enumerate(self.labels) if label in self.labels[:index]]
        return f"the choice {twice[0]} is there twice" if twice else None

    def contains(self, value: Any) -> bool:
        """Whether it is one of the choices."""
        return label_of(value) in self.labels

    def of_label(self, label: str) -> Any:
        """The value of a label of `labels`."""
        return self.values[self.labels.index(label)]

    def draw(self, rng: random.Random) -> Any:
        """A value at random."""
        return rng.choice(self.values)

    def spread(self, count: int) -> list[Any]:  # noqa: ARG002 - all choices are tried, however few values are asked for
        """All values."""
        return list(self.values)

    def as_mapping(self) -> dict[str, Any]:
        """As in a space file."""
        return {"choices": [list(value) if isinstance(value, tuple) else value for value in self.values]}


Domain = Float | Int | Choice


def label_of(value: Any) -> str:
    """A short text that tells a value of a setting from all others: ``0.5``, ``convex``, ``true``, ``1, 2, 4``."""
    value = _plain(value)
    if isinstance(value, tuple):
        return ", ".join(map(label_of, value)) or "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _plain(value: Any) -> Any:
    return tuple(_plain(inner) for inner in value) if isinstance(value, list | tuple) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range_problem(domain: Float | Int) -> str | None:
    low, high = domain.low, domain.high
    if not (_is_number(low) and _is_number(high) and math.isfinite(low) and math.isfinite(high)):
        return f"the ends of a range must be numbers, not {low!r} and {high!r}"
    if low >= high:
        return f"the range from {low:g} to {high:g} is empty: low must be below high"
    if domain.log and low <= 0:
        return f"a range with log must start above 0, not at {low:g}"
    return None
