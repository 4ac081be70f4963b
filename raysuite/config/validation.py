"""How a setting says no: one sentence with the key, the value and what it may be."""

from __future__ import annotations

from raysuite.errors import ConfigError


def require(condition: bool, key: str, value: object, allowed: str) -> None:
    """Raise a `ConfigError` that names the key and what it may be, unless the condition holds."""
    if not condition:
        raise ConfigError(f"{key} is {value!r}, but it must be {allowed}")


def require_word(value: str, key: str, *words: str) -> None:
    """Raise a `ConfigError` unless the value is one of the words."""
    require(value in words, key, value, f"one of {', '.join(words)}")


def require_share(value: float, key: str) -> None:
    """Raise a `ConfigError` unless the value lies in [0, 1]."""
    require(0 <= value <= 1, key, value, "from 0 to 1")
