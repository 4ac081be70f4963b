"""Where the page's template, style and script lie."""

from __future__ import annotations

from pathlib import Path

import jinja2


def assets_folder() -> Path:
    """The packaged copy if there is one (a wheel), else the checkout's ``dashboards/report``."""
    here = Path(__file__).resolve()
    packaged = here.parent / "assets"
    return packaged if packaged.is_dir() else here.parents[2] / "dashboards" / "report"


def environment() -> jinja2.Environment:
    """Templates that escape whatever they print and refuse names they do not know."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(assets_folder()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Browsers' JSON has no NaN; an unnoticed one would break every chart of the page.
    made.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return made
