"""Settings by dotted key: which there are, of what type, and what a config has."""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

from raysuite.config import Config
from raysuite.errors import ConfigError

NOT_SEARCHED = {
    "preset": "it only gives the settings a start: choose it with --preset",
    "data.image_size": "all trials must be judged on the same images",
    "data.held_out_share": "all trials must be judged on the same images",
    "data.validation_share": "all trials must be judged on the same images",
    "training.steps": "it is what trials are given by the search, and compared at",
    "training.log_every": "it changes nothing in the detector",
    "training.checkpoint_every": "it changes nothing in the detector",
    "detection.false_alarm_rate": "it only sets the threshold, which the objective does not look at",
}
"""Settings that a search must leave alone, each with the reason."""


@cache
def types() -> dict[str, Any]:
    """The type of every setting, by dotted key, in the order of the config."""
    return dict(_types(Config, ""))


def flat(config: Config) -> dict[str, Any]:
    """The value of every setting, by dotted key; lists are tuples."""
    return {key: value_at(config, key) for key in types()}


def value_at(config: Config, key: str) -> Any:
    """The value of one setting that exists."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def require_key(key: str) -> None:
    """Raise a `ConfigError` unless the key is that of a setting that may be searched."""
    if key in types():
        if key in NOT_SEARCHED:
            raise ConfigError(f"{key} cannot be searched: {NOT_SEARCHED[key]}")
        return
    below = [other for other in types() if other.startswith(f"{key}.")]
    if below:
        raise ConfigError(f"{key} is a section; name a setting in it, such as {below[0]}")
    # Of equal names in several sections the whole key decides; a bare name is enough to be understood.
    names = {other.rpartition(".")[2]: other for other in types()}
    near = difflib.get_close_matches(key, types(), n=1, cutoff=0.6)
    bare = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    guess = near[0] if near else names[bare[0]] if bare else difflib.get_close_matches(key, types(), cutoff=0.0)[0]
    raise ConfigError(f"there is no setting {key!r}; did you mean {guess}?")


def _types(section: type, prefix: str) -> Iterator[tuple[str, Any]]:
    hints = typing.get_type_hints(section)
    for field in dataclasses.fields(section):
        kind = hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from _types(typing.cast("type", kind), f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", kind
