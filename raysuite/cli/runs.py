"""``benchmark`` and its single steps ``train`` and ``evaluate``; ``report`` has a file of its own."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console

from raysuite.cli.display import Display
from raysuite.cli.options import (
    Seeds,
    address_option,
    build_config,
    category_option,
    data_argument,
    from_oracle,
    json_option,
    layout_option,
    objective_option,
    settings_options,
)
from raysuite.forecast import Outlook, in_words
from raysuite.storage import Location

FINISHED_WITH_FAILURES = 3

run_option = click.option("--run", required=True, metavar="RUN", help="The run folder, local or a URI.")
seeds_option = click.option(
    "--seeds", type=Seeds(), default="0", show_default=True, help="One training each: 0,1,2 or 0-2."
)
workers_option = click.option(
    "--workers-per-category",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="Workers that train each detector together; they share training.batch_size, on a GPU each where there are.",
)

gpu_share_option = click.option(
    "--gpu-share",
    type=click.FloatRange(min=0, max=1, min_open=True),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of a GPU for each training, where there are GPUs: with 0.25 four run on each. Their memory must do.",
)
retries_option = click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="How often a training that failed is tried again, from its last checkpoint; lost nodes do not count.",
)
wait_option = click.option(
    "--wait-for-nodes",
    "wait_minutes",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    metavar="MINUTES",
    help="How long a cluster that can hold no training now, but grows or has lost nodes, is given to get some.",
)
dry_run_option = click.option(
    "--dry-run",
    is_flag=True,
    help="Print how the trainings would be placed, and how long they take by a trial of some seconds; do nothing else.",
)


@click.command()
@data_argument
@run_option
@category_option
@seeds_option
@objective_option
@layout_option
@settings_options
@workers_option
@gpu_share_option
@retries_option
@wait_option
@address_option
@dry_run_option
@json_option
@click.pass_obj
def benchmark(
    obj: dict[str, Any], /, data: tuple[str, ...], run: str, as_json: bool, dry_run: bool, **given: Any
) -> None:
    """Shard DATA, train each category, seed and objective, score the test images, and write RUN/report.html.

    DATA is the folder of a data set, or several of them whose categories have different names. The same command again
    does only what is missing. Exit code 3 means that something failed and is listed.

    \b
    Examples:
      raysuite benchmark mvtec_ad --run runs/mvtec --preset small --seeds 0-2
      raysuite benchmark mvtec_ad kolektor_sdd --run runs/both
      raysuite benchmark parts --run runs/parts --category screw --set training.steps=800
      raysuite benchmark parts --run runs/parts --objective filter --objective plain
    """
    from raysuite.pipelines import benchmark as pipeline  # noqa: PLC0415 -- Ray and torch take seconds to import

    if dry_run:
        show_plan(pipeline.plan(_request(obj, data, run, **given)), as_json=as_json)
        return
    with Display() as display:
        opened, rows = pipeline.benchmark(_request(obj, data, run, **given), display)
    show_results(opened.root, rows, as_json=as_json, report=opened.root / "report.html")


@click.command()
@data_argument
@run_option
@category_option
@seeds_option
@objective_option
@layout_option
@settings_options
@workers_option
@gpu_share_option
@retries_option
@wait_option
@address_option
@dry_run_option
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print the plan as JSON.")
@click.pass_obj
def train(obj: dict[str, Any], /, data: tuple[str, ...], run: str, as_json: bool, dry_run: bool, **given: Any) -> None:
    """Shard DATA and train each category, seed and objective; detectors are left in RUN.

    \b
    Example:
      raysuite train mvtec_ad --run runs/mvtec --category grid --seeds 0,1,2
    """
    from raysuite.pipelines import benchmark as pipeline  # noqa: PLC0415

    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run: train prints no table")
    if dry_run:
        show_plan(pipeline.plan(_request(obj, data, run, **given)), as_json=as_json)
        return
    with Display() as display:
        opened, failed = pipeline.train(_request(obj, data, run, **given), display)
    if failed:
        for member in failed:
            click.echo(f"{member.title} failed: {member.status()['reason']}", err=True)
        raise SystemExit(FINISHED_WITH_FAILURES)
    click.echo(f"Trained. Next: raysuite evaluate {opened.root}")


@click.command()
@click.argument("run")
@address_option
@json_option
@click.pass_obj
def evaluate(obj: dict[str, Any], run: str, address: str | None, as_json: bool) -> None:
    """Score the test images of a trained RUN and compute its metrics.

    \b
    Example:
      raysuite evaluate runs/mvtec
    """
    from raysuite.pipelines import benchmark as pipeline  # noqa: PLC0415

    with Display() as display:
        rows = pipeline.evaluate(run, address, display, worker_logs=obj["debug"])
    show_results(Location.of(run), rows, as_json=as_json)


def show_plan(plan: Outlook | None, *, as_json: bool) -> None:
    """Print a plan: what each training takes, what the nodes hold, which starts when, and how long it takes."""
    if as_json:
        click.echo(json.dumps(plan.as_mapping() if plan else None, indent=2, ensure_ascii=False))
        return
    if plan is None:
        click.echo("Nothing is left to train.")
        return
    card = plan.as_mapping()
    click.echo(f"{plan.sentence()}\n\nNodes")
    for node in card["nodes"]:
        workers = node["workers"]
        holds = f"holds {workers} worker{'s' if workers != 1 else ''}" if workers else "holds no worker of this size"
        click.echo(f"  {node['name']}: {node['cpus']} CPUs, {node['gpus']} GPUs, {holds}")
    if card["estimate"] is None:
        click.echo("\nIn this order, longest first; the share is of all work, by estimate")
        for row in card["order"]:
            click.echo(f"  {row['starts']:<5}  {row['length']:>6.1%}  {row['run']}")
        return
    click.echo("\nIn this order, longest first: when it starts, and how long it takes, by the trial")
    for row in card["order"]:
        starts = f"in {in_words(row['begins'])}" if row["begins"] else "now"
        click.echo(f"  {starts:<14} {in_words(row['seconds']):>10}  {row['run']}")


def show_results(root: Location, rows: list[dict[str, Any]], *, as_json: bool, report: Location | None = None) -> None:
    """Print the table of results, what failed, and where the report is or how to get it; exit code 3 after failures."""
    from raysuite.reporting.quality import inspect_shards, leaks  # noqa: PLC0415
    from raysuite.reporting.results import load_results  # noqa: PLC0415
    from raysuite.reporting.summary import summarise  # noqa: PLC0415
    from raysuite.reporting.tables import plain_table, records, rich_table  # noqa: PLC0415

    summaries = summarise(load_results(root))
    if as_json:
        click.echo(json.dumps(records(summaries), indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        if console.is_terminal:
            console.print(rich_table(summaries))
        else:
            click.echo(plain_table(summaries))
        click.echo(f"\nReport: {report}" if report else f"\nNext: raysuite report {root}")
    for sentence in leaks(inspect_shards(root / "shards")):
        click.echo(f"Warning: {sentence}", err=True)
    name_failures(rows)


def name_failures(rows: list[dict[str, Any]]) -> None:
    """Say which members of a run failed and why, and end with exit code 3 if any did."""
    failed = [row for row in rows if row["status"] != "done"]
    several = len({row["objective"] for row in rows}) > 1
    for row in failed:
        objective = f" {row['objective']}" if several else ""
        click.echo(f"{row['category']} seed {row['seed']}{objective} failed: {row['reason']}", err=True)
    if failed:
        raise SystemExit(FINISHED_WITH_FAILURES)


def _request(obj: dict[str, Any], data: tuple[str, ...], run: str, **given: Any) -> Any:
    from raysuite.pipelines.benchmark import Request  # noqa: PLC0415

    return Request(
        run=run,
        data=data,
        config=build_config(given["name"], given["file"], given["image_size"], given["steps"], given["words"]),
        oracle=from_oracle(given["file"]),
        layout=given["layout"],
        categories=given["categories"],
        seeds=given["seeds"],
        objectives=tuple(dict.fromkeys(given["objectives"])),
        workers_per_category=given["workers_per_category"],
        gpu_share=given["gpu_share"],
        retries=given["retries"],
        wait_minutes=given["wait_minutes"],
        address=given["address"],
        arguments=obj["arguments"],
        worker_logs=obj["debug"],
    )
