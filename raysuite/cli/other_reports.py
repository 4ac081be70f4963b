"""``raysuite report`` on what is no run of trainings: the folder of a search, and a scored archive."""

from __future__ import annotations

import json

import click

from raysuite.errors import RunError
from raysuite.scoring.scan import SCAN, SUMMARY
from raysuite.storage import Location
from raysuite.tuning.standing import is_search

STANDARD_OUTPUT = "-"


def report_other(place: Location, output: str | None, *, is_plain: bool, as_json: bool) -> bool:
    """Write the page of a search or of a scored archive, if the folder is one.

    Args:
        place: The folder.
        output: Where to, instead of into the folder; ``-`` for standard output.
        is_plain: Whether nothing but the page is asked for: these folders have no other form.
        as_json: Print the summary in full, and not in words.

    Returns:
        Whether it was one.

    Raises:
        RunError: It is, but damaged or without what a page shows.
        click.UsageError: Something else than the page is asked for.
    """
    search = is_search(place)
    if not search and not (place / SCAN).is_file():
        return False
    what = "a search" if search else "a scored archive"
    if not is_plain:
        raise click.UsageError(f"{place} is {what}: it has a page, and neither --format nor --compare")
    if as_json and output == STANDARD_OUTPUT:
        raise click.UsageError("--json prints the summary to standard output, where --output - puts the page")
    page = _page(place, search=search)
    name = "report.html" if search else "summary.html"
    if output == STANDARD_OUTPUT:
        click.echo(page.encode("utf-8"), nl=False)
        return True
    target = place / name if output is None else Location.of(output)
    target.write_text(page)
    if as_json:
        click.echo(json.dumps(_summary(place), indent=2, ensure_ascii=False))
    else:
        click.echo(f"Report: {target}")
    return True


def _page(place: Location, *, search: bool) -> str:
    if search:
        from raysuite.reporting.search_page import render_search_report  # noqa: PLC0415 -- slow imports

        return render_search_report(place)
    from raysuite.reporting.archive_page import render_archive_page  # noqa: PLC0415

    return render_archive_page(place)


def _summary(place: Location) -> object:
    file = place / SUMMARY
    if not file.is_file():
        raise RunError(f"{place} has no {SUMMARY} yet: it is not over")
    try:
        return json.loads(file.read_text())
    except ValueError as error:
        raise RunError(f"{file} is damaged ({error})") from error
