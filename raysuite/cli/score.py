"""``raysuite score``: a large archive of images, one row each."""

from __future__ import annotations

import json
from typing import Any

import click

from raysuite.cli.display import Display
from raysuite.cli.options import address_option
from raysuite.errors import DatasetError
from raysuite.forecast import in_words
from raysuite.printing import printable

FINISHED_WITH_FAILURES = 3


class Route(click.ParamType[tuple[str, str]]):
    """A pattern and a model's name as ``PATTERN=NAME``."""

    name = "route"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Parse the words."""
        if isinstance(value, tuple):
            return value
        pattern, mark, name = str(value).rpartition("=")
        if not mark or not pattern or not name:
            self.fail(f"{value!r} is no route; write PATTERN=NAME, such as 'line-3/**=bottle'", param, ctx)
        from raysuite.archives.folders import matcher  # noqa: PLC0415 -- only for those who give routes

        try:
            matcher(pattern)
        except DatasetError as error:
            self.fail(str(error), param, ctx)
        return pattern, name


class BatchSize(click.ParamType[int | None]):
    """``auto`` or a number."""

    name = "batch size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Parse the word; None is ``auto``."""
        if value is None or value == "auto":
            return None
        if not str(value).isdecimal() or not 1 <= int(value) <= 4096:
            self.fail(f"{value!r} is no batch size; write auto, or a number from 1 to 4096", param, ctx)
        return int(value)


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "--model", "models", multiple=True, required=True, metavar="RUN/CATEGORY",
    help="The detector: a category of a run, one of its seeds, or a whole run; may be given again.",
)  # fmt: skip
@click.option("--output", required=True, metavar="OUT", help="Where the rows go: a folder, local or a URI.")
@click.option(
    "--false-alarm-rate", type=float, metavar="RATE",
    help="Share of good images that may be called anomalous.  [default: what the detector was trained with]",
)  # fmt: skip
@click.option(
    "--route", "patterns", multiple=True, type=Route(), metavar="PATTERN=NAME",
    help="Score images whose id fits, or what follows a slash in it, with the detector of this category; may be given "
    "again, the first one counts.",
)  # fmt: skip
@click.option("--image-column", default="", metavar="NAME", help="Of tables: bytes or paths.  [default: looked for]")
@click.option("--id-column", default="", metavar="NAME", help="Of tables: what becomes the id.  [default: looked for]")
@click.option(
    "--category-column", default="category", show_default=True, metavar="NAME",
    help="Of tables: which detector; where there is none, folders are looked at that are called like a detector.",
)  # fmt: skip
@click.option(
    "--maps", type=click.Choice(("png16", "png8", "float16")), help="Keep the anomaly maps, in the column map."
)
@click.option(
    "--overlays", type=click.IntRange(0, 10_000), default=0, metavar="K", help="Draw the K worst images, maps on top."
)
@click.option(
    "--batch-size", type=BatchSize(), default="auto", show_default=True, metavar="N", help="Images a pass of the net."
)  # fmt: skip
@click.option(
    "--engine", type=click.Choice(("auto", "eager", "compiled", "onnx", "openvino")), default="auto",
    show_default=True, help="What computes the net; auto takes the fastest one that is installed, by a measurement.",
)  # fmt: skip
@click.option(
    "--unit-size", type=click.IntRange(1, 65_536), default=256, show_default=True, metavar="N",
    help="Most images of one task and one file of rows: what a kill may cost. 8 times as many where images lie in a "
    "compressed tar or a Parquet file.",
)  # fmt: skip
@click.option(
    "--tile", is_flag=True,
    help="Score images larger than the net's input in overlapping tiles, at their own resolution: for textures.",
)  # fmt: skip
@click.option(
    "--overlap", type=click.FloatRange(0, 0.75), metavar="SHARE",
    help="Least share of a tile that the next one has in common with it.  [default: 0.25]",
)  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Read again the images that could not be read.")
@address_option
@click.option("--dry-run", is_flag=True, help="List the inputs and say what would be done; score nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_obj
def score(
    obj: dict[str, Any],
    /,
    as_json: bool,
    dry_run: bool,
    image_column: str,
    id_column: str,
    category_column: str,
    maps: str | None,
    tile: bool,
    overlap: float | None,
    **given: Any,
) -> None:
    """Score all images of INPUT..., one row each, into Parquet files below OUT.

    An INPUT is a folder, a pattern in quotes, a tar or zip archive, a Parquet file with images or paths, or a list of
    paths in CSV; local or a URI. What cannot be read is a row with an error. The same command again goes on where it
    was stopped, and scores what is new or has changed since. Exit code 3 means that some images failed.

    \b
    Examples:
      raysuite score photos/ --model runs/parts/screw --output scored/
      raysuite score 'shards/*.tar' --model runs/parts --output scored/ --false-alarm-rate 0.01
      raysuite score s3://bucket/2026/ list.csv --model runs/parts/screw --output s3://bucket/scored --overlays 50
      raysuite score scans/ --model runs/cloth/weave --output scored/ --tile
      raysuite score photos/ --model runs/parts --route 'line-3/**=screw' --route '*_top.jpg=nut' --output scored/
    """
    from raysuite.archives.tables import Columns  # noqa: PLC0415
    from raysuite.pipelines import scoring as pipeline  # noqa: PLC0415 -- Ray and torch take seconds to import

    if overlap is not None and not tile:
        raise click.UsageError("--overlap is of the tiles of --tile: give that too")
    columns = Columns(image_column, id_column, category_column)
    share = (0.25 if overlap is None else overlap) if tile else None
    request = pipeline.Request(columns=columns, maps=maps or "", overlap=share, worker_logs=obj["debug"], **given)
    if dry_run:
        _show_plan(pipeline.plan(request), as_json=as_json)
        return
    with Display() as display:
        summary = pipeline.score(request, display)
    if as_json:
        click.echo(json.dumps(summary, indent=2, ensure_ascii=False))
    else:
        _show(summary, given["output"].rstrip("/") or "/")
    for told in summary["warnings"]:
        click.echo(f"Warning: {printable(told)}", err=True)
    if summary["failed"]:
        raise SystemExit(FINISHED_WITH_FAILURES)


def _show_plan(plan: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(plan, indent=2, ensure_ascii=False))
        return
    click.echo(
        f"{plan['images']} images in {plan['units']} units of work: {plan['done']} are done, {plan['to_score']} are to "
        f"be scored; {plan['bytes'] / 1e6:.1f} MB where sizes are known"
    )
    if plan["skipped"]:
        click.echo(f"Passed over, as they are no images: {_counts(plan['skipped'])}")
    for name, model in plan["models"].items():
        click.echo(f"Model {name}: {model['uri']}; {_promise(model)}")


def _show(summary: dict[str, Any], output: str) -> None:
    now = summary["this_time"]
    click.echo(
        f"{summary['images']} images = {summary['scored']} scored + {summary['failed']} failed; "
        f"{summary['anomalous']} anomalous"
    )
    if now["scored"]:
        took = in_words(now["seconds"])
        click.echo(f"This time: {now['scored']} scored in {took}, {now['kept']} were there, {now['changed']} changed")
    else:
        click.echo(f"This time: nothing to score; all {now['kept']} were there")
    if summary["superseded"]:
        click.echo(f"{summary['superseded']} parts of what is in the input no more were moved to {output}/superseded")
    if summary["skipped"]:
        click.echo(f"Passed over, as they are no images: {_counts(summary['skipped'])}")
    for name, model in summary["models"].items():
        if model["scored"]:
            click.echo(f"{name}: {model['scored']} scored, {model['anomalous']} anomalous; {_promise(model)}")
    for kind, errors in summary["errors"].items():
        click.echo(f"{kind}: {errors['count']}, such as {printable(errors['examples'][0])}", err=True)
    click.echo(f"Rows: {output}/parts; summary: {output}/summary.html, {output}/summary.json")


def _promise(model: dict[str, Any]) -> str:
    rate, images = model["false_alarm_rate"], model["calibration_images"]
    if not images:
        return f"its own threshold, for {rate:.3g} of good images"
    least = model["smallest_rate"]
    return f"at most {rate:.3g} of good images, by {images} held-out ones (they could promise {least:.3g})"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {'.' + kind if kind else 'without a suffix'}" for kind, count in counts.items())
