"""What all pages share: one file from a template, with style and scripts inside, which loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from raysuite import __version__
from raysuite.reporting.assets import assets_folder, environment


@dataclass(frozen=True, slots=True)
class FigureView:
    """A figure as a template needs it: where it goes, its caption, what it shows in words, and what Plotly draws."""

    id: str
    title: str
    alt: str
    spec: Mapping[str, Any]
    has_fpr: bool = False


def figure_view(name: str, title: str, alt: str, figure: go.Figure | None, has_fpr: bool = False) -> FigureView | None:
    """A figure for a template; None of None."""
    return None if figure is None else FigureView(f"figure-{name}", title, alt, figure.to_plotly_json(), has_fpr)


def commands_of(provenance: Mapping[str, Any]) -> list[str]:
    """What was typed to make a folder, each command once, in order; damaged provenance has none."""
    given = provenance.get("commands")
    entries = given if isinstance(given, list) else []
    return list(dict.fromkeys(str(one["command"]) for one in entries if isinstance(one, dict) and "command" in one))


def render_page(template: str, styles: Sequence[str], scripts: Sequence[str], values: Mapping[str, Any]) -> str:
    """A template that extends ``base.html.j2`` as one HTML document.

    Args:
        template: Its name in `assets_folder`.
        styles: Names of the style sheets there, in order.
        scripts: Names of the scripts there, in order; they come after Plotly's and know it.
        values: What the template prints.
    """
    plotly_js, page_js = get_plotlyjs(), _joined(scripts)
    return (
        environment()
        .get_template(template)
        .render(
            **values,
            version=__version__,
            # The page's own style and scripts are the only text that the template does not escape.
            css=_joined(styles),
            page_js=page_js,
            plotly_js=plotly_js,
            script_hashes=[_csp_hash(plotly_js), _csp_hash(page_js)],
        )
    )


def _joined(names: Sequence[str]) -> str:
    return "\n".join((assets_folder() / name).read_text(encoding="utf-8") for name in names)


def _csp_hash(script: str) -> str:
    """The source expression that lets a browser run exactly this inline script and no other."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
