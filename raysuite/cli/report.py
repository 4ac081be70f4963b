"""``report``, which writes the results of a run in many forms, and ``compare``, which sets runs side by side."""

from __future__ import annotations

import json

import click
from rich.console import Console

from raysuite.cli.display import Display
from raysuite.cli.options import json_option
from raysuite.cli.other_reports import report_other
from raysuite.cli.runs import FINISHED_WITH_FAILURES, name_failures, show_results

FORMATS = ("html", "csv", "parquet", "json", "markdown", "latex")
STANDARD_OUTPUT = "-"


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(FORMATS),
    help="What to write; may be given again.  [default: html]",
)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Where to, instead of into RUN; - is standard output. With one --format.",
)
@click.option("--compare", "baseline", metavar="RUN2", help="Show by how much RUN differs from this run. With html.")
@json_option
def report(run: str, formats: tuple[str, ...], output: str | None, baseline: str | None, as_json: bool) -> None:
    """Write the results of RUN: as a page, RUN/report.html, with the table printed; or in a form for other programs.

    RUN may also be the folder of a search, over or not, or a scored archive: these have a page alone, report.html and
    summary.html.

    Figures in the other forms are those of RUN/metrics.parquet: fractions from 0 to 1, in full, in CSV, Parquet and
    JSON; percent with one decimal in Markdown and LaTeX, which has tables for booktabs.

    \b
    Examples:
      raysuite report runs/mvtec
      raysuite report runs/mvtec --compare runs/before
      raysuite report runs/mvtec --format csv --format latex
      raysuite report runs/mvtec --format json --output - | jq .mean
      raysuite report tuned/grid
    """
    from raysuite.storage import Location  # noqa: PLC0415

    is_plain = not formats and baseline is None
    if report_other(Location.of(run), output, is_plain=is_plain, as_json=as_json):
        return
    from raysuite.pipelines import reports  # noqa: PLC0415 -- torch takes seconds to import
    from raysuite.runs import Run  # noqa: PLC0415

    chosen = tuple(dict.fromkeys(formats)) or ("html",)
    if output is not None and len(chosen) > 1:
        raise click.UsageError("--output is for one --format: leave it out to have all of them in the run folder")
    if baseline is not None and "html" not in chosen:
        raise click.UsageError("--compare is for the page: for other programs, raysuite compare --json")
    if as_json and (chosen != ("html",) or output == STANDARD_OUTPUT):
        raise click.UsageError("--json prints the table that goes with the page: it does not go with these options")
    opened = Run.open(run)
    if output == STANDARD_OUTPUT:
        rows, files = reports.gather(opened, chosen, baseline)
        click.echo(files[chosen[0]], nl=False)
        name_failures(rows)
        return
    with Display() as display:
        rows, places = reports.report(opened, display, chosen, baseline, output)
    if chosen == ("html",):
        show_results(opened.root, rows, as_json=as_json, report=places["html"])
        return
    for place in places.values():
        click.echo(f"Written: {place}")
    name_failures(rows)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN1 RUN2 [RUN3]...")
@json_option
def compare(runs: tuple[str, ...], as_json: bool) -> None:
    """Set runs side by side: their metrics, by how much they differ from RUN1, and which settings differ.

    A star marks a difference that is more than chance, given the test images: both runs must have the same. Exit code
    3 means that a training failed in one of the runs, so that something is missing.

    \b
    Example:
      raysuite compare runs/before runs/after
    """
    from raysuite.reporting.contrast_table import Beside  # noqa: PLC0415
    from raysuite.reporting.loaded import LoadedRun  # noqa: PLC0415

    if len(runs) < 2:
        raise click.UsageError("compare takes two runs or more: raysuite compare RUN1 RUN2")
    beside = Beside([LoadedRun.at(run) for run in runs])
    if as_json:
        click.echo(json.dumps(beside.records(), indent=2, ensure_ascii=False, allow_nan=False))
    else:
        console = Console(highlight=False)
        if console.is_terminal:
            console.print(beside.rich())
        else:
            click.echo(beside.plain(), nl=False)
    for warning in beside.warnings():
        click.echo(f"Warning: {warning}", err=True)
    if beside.incomplete:
        raise SystemExit(FINISHED_WITH_FAILURES)
