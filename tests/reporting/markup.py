"""A strict enough HTML reader for tests: every tag with its attributes, every text with where it stands."""

import json
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "img", "input", "br", "hr", "link"}


class Page(HTMLParser):
    """``tags``: (name, attributes) in order; ``scripts``: (attributes, text); ``rows``: the cells of all table rows."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.styles: list[str] = []
        self.rows: list[list[str]] = []
        self.text: list[str] = []
        self.unbalanced: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1] == tag:
            self._open.pop()
        else:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            attributes, before = self.scripts[-1]
            self.scripts[-1] = (attributes, before + data)
        elif inside == "style":
            self.styles.append(data)
        else:
            self.text.append(data)
            if self.rows and ({"td", "th"} & set(self._open)):
                self.rows[-1][-1] += data

    @property
    def still_open(self) -> list[str]:
        return self._open

    @property
    def visible(self) -> str:
        return " ".join(" ".join(self.text).split())

    def figures(self) -> list[dict[str, Any]]:
        return [json.loads(text) for attributes, text in self.scripts if attributes.get("type") == "application/json"]

    def row(self, first: str) -> list[str]:
        """The first table row whose heading is ``first``, with white space made plain."""
        return next(cells for row in self.rows if (cells := [" ".join(c.split()) for c in row]) and cells[0] == first)
