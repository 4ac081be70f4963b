"""Text that comes from files and archives, made safe for a terminal."""

from __future__ import annotations


def printable(text: str, keep: str = "") -> str:
    r"""The text with whatever a terminal would act on, or not show, written as ``\x1b``: names may be a stranger's.

    Args:
        text: Any text.
        keep: Characters that stay as they are all the same, such as a line break.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
