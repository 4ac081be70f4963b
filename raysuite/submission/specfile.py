"""Job specs from YAML, with values put in for their parameters (`docs/submitting.md` has the format)."""

from __future__ import annotations

import dataclasses
import difflib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml

from raysuite.errors import ConfigError
from raysuite.submission.spec import JobSpec, Resources, RuntimeEnv

KEYS = (
    "name",
    "command",
    "parameters",
    "resources",
    "runtime_env",
    "retries",
    "timeout",
    "metadata",
    "shared",
    "python",
)
_PLACE = re.compile(r"\$\{([^}]*)\}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?")
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def spec_from_words(words: Sequence[str], *, allow_command: bool = False) -> JobSpec:
    """The spec of a command that was given word by word, with nothing else to it.

    Raises:
        ConfigError: As in `JobSpec`.
    """
    first = re.sub(r"[^a-z0-9-]", "-", words[0].rpartition("/")[2].lower())[:40].strip("-") if words else ""
    return JobSpec(name=first if first[:1].isalpha() else "job", command=tuple(words), allow_command=allow_command)


def spec_from_yaml(
    text: str,
    source: str = "the spec",
    *,
    given: Sequence[str] = (),
    more: Sequence[str] = (),
    allow_command: bool = False,
) -> JobSpec:
    """Read a spec and put values in for its parameters.

    Args:
        text: The YAML.
        source: Its name in errors.
        given: Values as ``parameter=value``; the same one again makes a list.
        more: Words that are put after the spec's command.
        allow_command: Whether the command may be another program than raysuite.

    Raises:
        ConfigError: The text is no YAML mapping; a key, or a parameter, is unknown (the nearest one is named); a value
            is of the wrong type or out of range; a parameter has no value.
    """
    try:
        mapping = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: what looks like a date or a number and is none
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        raise ConfigError(f"{source} is not valid YAML{line}") from error
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{source} must be a mapping with a name and a command")
    try:
        return _spec(mapping, given, tuple(more), allow_command)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def _spec(mapping: Mapping[str, Any], given: Sequence[str], more: tuple[str, ...], allow_command: bool) -> JobSpec:
    _known(mapping, KEYS, "")
    for key in ("name", "command"):
        if mapping.get(key) is None:
            raise ConfigError(f"it has no {key}")
    values = _values(mapping.get("parameters") or {}, given)
    command = tuple(word for one in _words(mapping["command"]) for word in _filled(one, values))
    options: dict[str, Any] = {}
    readers: dict[str, Callable[[Any, str], Any]] = {
        "resources": _resources,
        "runtime_env": _runtime_env,
        "retries": _whole,
        "timeout": _seconds,
        "metadata": _texts,
        "shared": _list,
        "python": _text,
    }
    for key, read in readers.items():
        if mapping.get(key) is not None:
            options[key] = read(mapping[key], key)
    return JobSpec(
        name=_text(mapping["name"], "name"), command=(*command, *more), allow_command=allow_command, **options
    )


def _known(mapping: Mapping[str, Any], keys: Sequence[str], prefix: str) -> None:
    for key in mapping:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1, cutoff=0.0)[0]
            raise ConfigError(f"there is no {prefix}{key}; did you mean {prefix}{near}?")


def _words(command: Any) -> list[str]:
    if isinstance(command, list):
        return [_text(word, "command") for word in command]
    try:
        return shlex.split(_text(command, "command"))
    except ValueError as error:
        raise ConfigError(f"command has a quote that is not closed: {command}") from error


def _values(declared: Any, given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Values by parameter; one without any is not in it."""
    if not isinstance(declared, Mapping):
        raise ConfigError("parameters must be a mapping of names to their defaults; null for none")
    values = {
        str(name): tuple(
            _text(one, f"parameters.{name}") for one in (default if isinstance(default, list) else [default])
        )
        for name, default in declared.items()
        if default is not None
    }
    told: dict[str, tuple[str, ...]] = {}
    for word in given:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(f"--set takes parameter=value, such as data=s3://bucket/parts, not {word!r}")
        if name not in declared:
            if not declared:
                raise ConfigError(f"it has no parameters, so --set {name} says nothing")
            near = difflib.get_close_matches(name, [str(one) for one in declared], n=1, cutoff=0.0)[0]
            raise ConfigError(f"there is no parameter {name}; did you mean {near}?")
        told[name] = (*told.get(name, ()), value)
    if missing := [str(name) for name in declared if name not in {**values, **told}]:
        raise ConfigError(f"it needs {', '.join(f'--set {name}=…' for name in missing)}")
    return values | told


def _filled(word: str, values: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """The word with its parameters' values; several words, if it is nothing but a parameter with several values."""

    def value(name: str) -> tuple[str, ...]:
        if name not in values:
            raise ConfigError(f"command has ${{{name}}}, but parameters has no {name}")
        for one in values[name]:
            # A value is never an option: what a person puts in for a folder must not change what the command does.
            if one.startswith("-") and not re.fullmatch(r"-\d+(\.\d+)?", one):
                raise ConfigError(f"{name} is {one!r}, but a value may not begin with a hyphen")
        return values[name]

    def single(match: re.Match[str]) -> str:
        found = value(match[1])
        if len(found) != 1:
            raise ConfigError(f"{match[1]} has {len(found)} values, but {word} takes one")
        return found[0]

    if whole := _PLACE.fullmatch(word):
        return value(whole[1])
    return (_PLACE.sub(single, word),)


def _resources(value: Any, key: str) -> Resources:
    readers: dict[str, Callable[[Any, str], Any]] = {"num_cpus": _number, "num_gpus": _number, "memory": _bytes}
    return Resources(**{name: readers[name](one, f"{key}.{name}") for name, one in _section(value, key, Resources)})


def _runtime_env(value: Any, key: str) -> RuntimeEnv:
    readers: dict[str, Callable[[Any, str], Any]] = {"env_vars": _texts, "pip": _list, "setup_timeout": _seconds}
    return RuntimeEnv(**{name: readers[name](one, f"{key}.{name}") for name, one in _section(value, key, RuntimeEnv)})


def _section(value: Any, key: str, kind: type) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} must be a mapping, not {value!r}")
    _known(value, [one.name for one in dataclasses.fields(kind)], f"{key}.")
    return [(name, one) for name, one in value.items() if one is not None]


def _text(value: Any, key: str) -> str:
    # Numbers too, as they stand in YAML without quotes; of YAML's other kinds the text is not what was written.
    if isinstance(value, str) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return str(value)
    raise ConfigError(f"{key} is {value!r}, but it must be text; put it in quotes")


def _texts(value: Any, key: str) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{key} must be a mapping of names to texts, not {value!r}")
    return {_text(name, key): _text(one, f"{key}.{name}") for name, one in value.items()}


def _list(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ConfigError(f"{key} must be a list, not {value!r}")
    return tuple(_text(one, key) for one in value)


def _number(value: Any, key: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ConfigError(f"{key} is {value!r}, but it must be a number")


def _whole(value: Any, key: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ConfigError(f"{key} is {value!r}, but it must be a whole number")


def _seconds(value: Any, key: str) -> float:
    text = _text(value, key).replace(" ", "")
    parts = _DURATION.findall(text)
    if "".join(map("".join, parts)) != text or not parts:
        raise ConfigError(f"{key} is {value!r}, but it must be a time, such as 90s, 30m, 12h or 1d12h")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def _bytes(value: Any, key: str) -> int:
    match = _SIZE.fullmatch(_text(value, key).strip())
    if not match:
        raise ConfigError(f"{key} is {value!r}, but it must be a size, such as 2GiB or 500MB")
    unit = match[2] or ""
    base = 1024 if unit.endswith("i") else 1000
    return int(float(match[1]) * base ** _POWERS.get(unit[:1], 0))
