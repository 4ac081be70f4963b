"""Configs from and to mappings, YAML and ``key=value`` words; presets."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import yaml

from raysuite.config import Config, ModelConfig, TrainingConfig
from raysuite.config.root import NEED_A_BOTTLENECK
from raysuite.errors import ConfigError, TextError
from raysuite.storage import Location

T = TypeVar("T")
ONLY_ERROR = {"error": "squared"}
"""What the settings ``detection`` lack in files of before there was a choice."""
FIRST_WITH_ERRORS = 4
"""Format of the first run folders in which they have it."""
_WANTED = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}

PRESETS: dict[str, Config] = {
    "tiny": Config(
        preset="tiny",
        model=ModelConfig(width=16, blocks=2, branch_width=8),
        training=TrainingConfig(steps=400, learning_rate=4e-3, ema=0.98),
    ),
    "small": Config(),
    "base": Config(
        preset="base",
        model=ModelConfig(depth=3, stem=1, blocks=4, kernel=5),
        training=TrainingConfig(steps=6000, batch_size=16, learning_rate=1e-3, ema=0.999),
    ),
    "full": Config(
        preset="full",
        model=ModelConfig(width=64, depth=3, stem=1, blocks=4, kernel=5),
        training=TrainingConfig(steps=15000, batch_size=32, learning_rate=1e-3, ema=0.999),
    ),
}


def preset(name: str) -> Config:
    """The settings of a named preset.

    Raises:
        ConfigError: There is no such preset.
    """
    if name not in PRESETS:
        raise ConfigError(f"there is no preset {name!r}; take one of {', '.join(PRESETS)}")
    return PRESETS[name]


def for_objective(config: Config, kind: str) -> Config:
    """The same settings with another objective, and with what it needs of the net.

    Objectives that would be solved by copying lose the skips and give their output directly, and a bottleneck that is
    not set by itself becomes a quarter of the coarsest width; nothing else changes, so that a comparison is one of
    objectives.

    Raises:
        ConfigError: There is no such objective.
    """
    changes: dict[str, Any] = {"objective": {"kind": kind}}
    if kind in NEED_A_BOTTLENECK:
        narrow = config.model.bottleneck or max(1, config.model.level_widths[-1] // 4)
        changes["model"] = {"skip": "none", "output": "direct", "bottleneck": narrow}
    return _merge(config, changes, "")


def to_mapping(config: Config) -> dict[str, Any]:
    """The config as nested plain values, tuples as lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, tuple) else value

    return typing.cast("dict[str, Any]", plain(dataclasses.asdict(config)))


def to_yaml(config: Config) -> str:
    """The config as YAML that `from_yaml` reads back to an equal config."""
    return yaml.safe_dump(to_mapping(config), sort_keys=False, allow_unicode=True)


def from_mapping(mapping: Mapping[str, Any]) -> Config:
    """Build a config; settings that are not named keep their preset's value.

    Raises:
        ConfigError: A key is unknown (the nearest known one is named), or a value is of the wrong type or range.
    """
    name = mapping.get("preset", "small")
    return _merge(preset(name if isinstance(name, str) else repr(name)), mapping, "")


def section_from_mapping(kind: type[T], mapping: Mapping[str, Any], name: str) -> T:
    """Build one section, such as a `ModelConfig`, from plain values.

    Raises:
        ConfigError: As in `from_mapping`, or it is no mapping.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{name} must be a mapping of settings, not {mapping!r}")
    return _merge(kind(), mapping, f"{name}.")


def text_of(where: str) -> str:
    """The text of a file that a person wrote: settings, a space, a job.

    Raises:
        ConfigError: It is no UTF-8 text.
        StorageError: It is missing, or may not be read.
    """
    try:
        return Location.of(where).read_text()
    except TextError as error:
        raise ConfigError(f"{error}; save it as UTF-8") from error


def is_oracle(text: str) -> bool:
    """Whether YAML text of settings says that they were chosen with the labels of test images.

    Raises:
        yaml.YAMLError: The text is no YAML; `from_yaml` says so in a sentence.
    """
    mapping = yaml.safe_load(text)
    return isinstance(mapping, Mapping) and mapping.get("oracle") is True


def from_yaml(text: str, source: str = "the config") -> Config:
    """Build a config from YAML text; ``source`` names it in errors.

    Raises:
        ConfigError: The text is no YAML mapping, or as in `from_mapping`.
    """
    try:
        mapping = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date or a number and is none
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{source} is not valid YAML{line}") from error
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{source} must be a mapping of settings, such as training: {{steps: 800}}")
    # A run folder's config.yaml has the settings beside the data they were used on.
    return from_card(mapping) if isinstance(mapping.get("settings"), Mapping) else from_mapping(mapping)


def from_card(card: Mapping[str, Any]) -> Config:
    """Build a config from what a run folder's config.yaml says; in old formats, with what had no name then.

    Raises:
        ConfigError: As in `from_mapping`.
        KeyError: It has no settings.
    """
    inner, version = card["settings"], card.get("format")
    # Whoever gives --config may have written anything there.
    if isinstance(inner, Mapping) and isinstance(version, int) and version < FIRST_WITH_ERRORS:
        detection = inner.get("detection", {})
        inner = {**inner, "detection": {**ONLY_ERROR, **detection} if isinstance(detection, Mapping) else detection}
    return from_mapping(inner)


def with_words(config: Config, words: Iterable[str], option: str = "--set") -> Config:
    """Apply ``section.key=value`` words, the value written as in YAML; ``option`` names their origin in errors.

    Raises:
        ConfigError: A word has no ``=``, or as in `from_mapping`.
    """
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key:
            raise ConfigError(f"{option} takes key=value, such as training.steps=800, not {word!r}")
        if key == "preset":
            raise ConfigError(f"the preset is chosen with --preset, not with {option}")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"the value of {option} {word} is not valid") from error
        values.pop(key, None)  # the later one counts, also for the order
        values[key] = value
    return with_values(config, values)


def with_values(config: Config, values: Mapping[str, Any]) -> Config:
    """Apply values by dotted key, all at once: what settings ask of one another is only asked of the outcome.

    Raises:
        ConfigError: A key is given as a value and as a section, or as in `from_mapping`.
    """
    nested: dict[str, Any] = {}
    for key, value in values.items():
        section = nested
        *parents, last = key.split(".")
        for parent in parents:
            inner = section.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{key} is set twice, once as a value and once as a section")
            section = inner
        section[last] = value
    return _merge(config, nested, "")


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Settings in which two configs differ: dotted key → (one's value, other's value)."""

    def flat(value: Any, prefix: str) -> Iterable[tuple[str, Any]]:
        if isinstance(value, dict):
            for key, inner in value.items():
                yield from flat(inner, f"{prefix}.{key}" if prefix else key)
        else:
            yield prefix, value

    first, second = dict(flat(to_mapping(one), "")), dict(flat(to_mapping(other), ""))
    return {key: (first[key], second[key]) for key in first if first[key] != second[key]}


def _merge(base: T, changes: Mapping[str, Any], prefix: str) -> T:
    hints = typing.get_type_hints(type(base))
    values: dict[str, Any] = {}
    for key, value in changes.items():
        path = f"{prefix}{key}"
        if key not in hints:
            near = difflib.get_close_matches(str(key), hints, n=1, cutoff=0.0)
            raise ConfigError(f"there is no setting {path!r}; did you mean {prefix}{near[0]}?")
        current = getattr(base, key)
        if dataclasses.is_dataclass(current):
            if not isinstance(value, Mapping):
                raise ConfigError(
                    f"{path} is a section; name a setting in it, such as {path}.{dataclasses.fields(current)[0].name}"
                )
            values[key] = _merge(current, value, f"{path}.")
        else:
            values[key] = _convert(value, hints[key], path)
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


def _convert(value: Any, kind: Any, path: str) -> Any:
    """Convert a YAML value to the type of the field, strictly: no truth from numbers, no numbers from text."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Literal:
        # YAML 1.1 reads on and off as truth values; here they are words.
        word = {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value
        if word in arguments:
            return word
        raise ConfigError(f"{path} is {value!r}, but it must be one of {', '.join(map(str, arguments))}")
    if origin in {tuple, types.GenericAlias}:
        items = value if isinstance(value, list | tuple) else [value]
        try:
            return tuple(_convert(item, arguments[0], path) for item in items)
        except ConfigError as error:
            raise ConfigError(
                f"{path} is {value!r}, but it must be a list in square brackets, such as [16, 32], "
                f"each item {_WANTED[arguments[0]]}"
            ) from error
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and number and (isinstance(value, int) or value.is_integer()):
        return int(value)
    if kind is float and (number or isinstance(value, str)):
        # Text too: YAML 1.1 takes 1e-3 for text, because it has no dot.
        with contextlib.suppress(ValueError, OverflowError):
            return float(value)
    if kind is str and isinstance(value, str):
        return value
    raise ConfigError(f"{path} is {value!r}, but it must be {_WANTED[kind]}")
