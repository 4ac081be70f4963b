"""Credentials that a URI carries: found, so that they are refused, and concealed, so that no file repeats them."""

from __future__ import annotations

import re
from typing import Any

_USER = re.compile(r"://[^/?#\s]*@")
_OPTION = re.compile(
    r"(?i)([?&](?:access_key|secret_key|client_secret|session_token|sig|signature|token|password)=)[^&\s'\"]*"
)


def reveals(text: str) -> bool:
    """Whether a text has a URI with a user and password before its host, or with a key among its options."""
    return bool(_USER.search(text) or _OPTION.search(text))


def concealed(text: str) -> str:
    """The text with three stars in place of every credential that `reveals` sees."""
    return _OPTION.sub(r"\1***", _USER.sub("://***@", text))


def shown(place: str) -> str:
    """A URI `concealed`; a path as it is, as its name may look as if it had credentials."""
    return concealed(place) if "://" in place else place


def concealed_in(value: Any) -> Any:
    """Plain values, such as those of a JSON file, with every text in them `concealed`."""
    if isinstance(value, dict):
        return {name: concealed_in(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [concealed_in(inner) for inner in value]
    return concealed(value) if isinstance(value, str) else value
