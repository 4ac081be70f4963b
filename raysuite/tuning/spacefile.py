"""Search spaces from YAML (`docs/tuning.md` has the format)."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from raysuite.errors import ConfigError
from raysuite.tuning.domains import Choice, Domain, Float, Int
from raysuite.tuning.keys import require_key, types
from raysuite.tuning.space import Condition, Dimension, Space

RANGE, LIST, WHEN = ("low", "high", "log"), "choices", "when"


def space_from_yaml(text: str, source: str = "the space") -> Space:
    """Build a space from YAML text; ``source`` names it in errors.

    Raises:
        ConfigError: The text is no YAML mapping of settings to ranges and choices, or names a setting that is none.
    """
    try:
        mapping = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date or a number and is none
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{source} is not valid YAML{line}") from error
    if not isinstance(mapping, Mapping):
        raise ConfigError(
            f"{source} must be a mapping of settings to what they may be, such as model.width: {{low: 16, high: 64}}"
        )
    try:
        return space_from_mapping(mapping)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def space_from_mapping(mapping: Mapping[str, Any]) -> Space:
    """Build a space from plain values; `Space.as_mapping` gives such.

    Raises:
        ConfigError: As in `space_from_yaml`.
    """
    return Space(tuple(_dimensions(mapping, "")))


def _dimensions(mapping: Mapping[str, Any], prefix: str) -> Iterator[Dimension]:
    sections = {key[:end] for key in types() for end in range(len(key)) if key[end] == "."}
    for name, given in mapping.items():
        key = f"{prefix}{name}"
        if key in sections and isinstance(given, Mapping):
            yield from _dimensions(given, f"{key}.")
            continue
        require_key(key)
        yield _dimension(key, given)


def _dimension(key: str, given: Any) -> Dimension:
    if isinstance(given, list):
        return Dimension(key, Choice(tuple(given)))
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"{key} is {given!r}, but a space says what it may be: {{low: …, high: …}} or a list of choices; "
            f"to fix it, --fix {key}=…"
        )
    for name in given:
        if name not in {*RANGE, LIST, WHEN}:
            near = difflib.get_close_matches(str(name), [*RANGE, LIST, WHEN], n=1, cutoff=0.0)[0]
            raise ConfigError(f"{key} has {name!r}, which says nothing; did you mean {near}?")
    when = _condition(key, given[WHEN]) if WHEN in given else None
    if LIST not in given:
        return Dimension(key, _range(key, given), when)
    if any(name in given for name in RANGE):
        raise ConfigError(f"{key} has choices and a range; give it one of them")
    if not isinstance(given[LIST], list):
        raise ConfigError(f"{key}: choices must be a list, not {given[LIST]!r}")
    return Dimension(key, Choice(tuple(given[LIST])), when)


def _range(key: str, given: Mapping[str, Any]) -> Domain:
    if missing := [name for name in ("low", "high") if name not in given]:
        raise ConfigError(f"{key} has no {missing[0]}: a range is {{low: …, high: …}}, and log: true if so wanted")
    low, high = (_number(key, given[name]) for name in ("low", "high"))
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise ConfigError(f"{key}: log must be true or false, not {log!r}")
    if types()[key] is not int:
        return Float(low, high, log)
    if not (low.is_integer() and high.is_integer()):
        raise ConfigError(f"{key} is a whole number, but its range goes from {low:g} to {high:g}")
    return Int(int(low), int(high), log)


def _number(key: str, value: Any) -> float:
    # Text too: YAML 1.1 takes 1e-3 for text, because it has no dot.
    try:
        if not isinstance(value, bool) and isinstance(value, int | float | str):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"{key}: the end of a range must be a number, not {value!r}")


def _condition(key: str, given: Any) -> Condition:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ConfigError(f"{key}: when names one other setting and its values, such as {{model.skip: [convex]}}")
    ((other, values),) = given.items()
    return Condition(str(other), tuple(values) if isinstance(values, list) else (values,))
