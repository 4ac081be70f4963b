"""``raysuite data``: look at a data set, shard it, or draw the built-in one."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from raysuite.cli.display import Display
from raysuite.cli.options import (
    LAST_SEED,
    address_option,
    build_config,
    category_option,
    data_argument,
    json_option,
    layout_option,
    settings_options,
)
from raysuite.printing import printable
from raysuite.storage import Location

FINISHED_WITH_FAILURES = 3
MOST_LISTED = 10


@click.group()
def data() -> None:
    """Look at a data set, shard it, or draw the built-in one."""


@data.command()
@data_argument
@layout_option
@category_option
@json_option
def inspect(data: tuple[str, ...], layout: str, categories: tuple[str, ...], as_json: bool) -> None:
    """Read every file of DATA and print what is there and what is wrong.

    Exit code 3 means that files cannot be used, or that training and test images are the same.

    \b
    Example:
      raysuite data inspect mvtec_ad
    """
    from raysuite.datasets.inspection import inspect as look  # noqa: PLC0415
    from raysuite.datasets.layouts import find_all  # noqa: PLC0415

    listings = find_all([Location.of(one) for one in data], layout, categories)
    reports = [report for listing in listings for report in look(listing)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(report) for report in reports], indent=2, ensure_ascii=False))
    else:
        console = Console(highlight=False)
        if not console.is_terminal:
            console = Console(highlight=False, width=160)
        for name, listing in zip(data, listings, strict=True):
            console.print(Text(f"{name}: layout {listing.layout}, {len(listing.entries)} images"))
        console.print(_table(reports))
        for report in reports:
            _list(f"{report.category}: unreadable", [f"{name} ({why})" for name, why in report.failures])
            _list(f"{report.category}: defects without a mask", list(report.missing_masks))
            _list(f"{report.category}: the same in train and test", [" = ".join(ids) for ids in report.leaks])
            _list(f"{report.category}: the same twice", [" = ".join(ids) for ids in report.duplicates])
    if any(report.failures or report.leaks for report in reports):
        raise SystemExit(FINISHED_WITH_FAILURES)


@data.command()
@data_argument
@click.argument("output")
@layout_option
@category_option
@address_option
@click.pass_obj
def shard(
    obj: dict[str, Any],
    data: tuple[str, ...],
    output: str,
    layout: str,
    categories: tuple[str, ...],
    address: str | None,
) -> None:
    """Write DATA as Parquet shards below OUTPUT, one folder a category; both may be URIs.

    \b
    Example:
      raysuite data shard mvtec_ad s3://bucket/mvtec-shards
    """
    from raysuite.datasets.layouts import find_all  # noqa: PLC0415
    from raysuite.pipelines.ingest import shard as write  # noqa: PLC0415
    from raysuite.pipelines.session import ray_session  # noqa: PLC0415

    listings = find_all([Location.of(one) for one in data], layout, categories)
    with Display() as display, ray_session(address, worker_logs=obj["debug"]):
        manifest = write(listings, Location.of(output), display)
    failed = sum(counts["failed"] for counts in manifest.categories.values())
    total = sum(counts["train"] + counts["test"] for counts in manifest.categories.values())
    click.echo(f"{output}: {total} images of {len(manifest.categories)} categories, {failed} of them unreadable")
    if failed:
        raise SystemExit(FINISHED_WITH_FAILURES)


@data.command()
@click.argument("output")
@click.option(
    "--seed", type=click.IntRange(0, LAST_SEED), default=0, show_default=True, help="Another seed, other images."
)
@click.option("--image-size", type=int, default=128, show_default=True, help="Pixels a side.")
@click.option("--train", type=click.IntRange(2), default=60, show_default=True, help="Good training images a category.")
@click.option("--good", type=click.IntRange(0), default=20, show_default=True, help="Good test images a category.")
@click.option(
    "--defects", type=click.IntRange(0), default=5, show_default=True, help="Test images of each kind of defect."
)
@category_option
def synth(
    output: str, categories: tuple[str, ...], seed: int, image_size: int, train: int, good: int, defects: int
) -> None:
    """Draw the built-in benchmark below OUTPUT: three categories with exact masks, in the MVTec layout.

    \b
    Example:
      raysuite data synth demo/data --seed 1
    """
    from raysuite.datasets.procedural import write_benchmark  # noqa: PLC0415

    count = write_benchmark(
        output, seed=seed, image_size=image_size, train=train, good=good, defect_per_kind=defects, categories=categories
    )
    click.echo(f"{output}: {count} images")


@data.command("preview-corruption")
@click.argument("data")
@click.argument("category")
@click.option("--out", required=True, metavar="SHEET.png", help="The PNG to write, local or a URI.")
@click.option("--count", type=click.IntRange(1, 64), default=6, show_default=True, help="Good images, one a column.")
@click.option(
    "--seed", type=click.IntRange(0, LAST_SEED), default=0, show_default=True, help="Another seed, other spots."
)
@layout_option
@settings_options
def preview_corruption(data: str, category: str, out: str, count: int, seed: int, layout: str, **given: Any) -> None:
    """Draw what training pastes over the good images of a CATEGORY of DATA, and what each family of it does.

    \b
    Example:
      raysuite data preview-corruption mvtec_ad grid --out sheet.png --set corruption.fills.texture.folder=dtd/images
    """
    from raysuite.datasets.layouts import find_entries  # noqa: PLC0415
    from raysuite.reporting.contact_sheet import contact_sheet, load_crops  # noqa: PLC0415

    config = build_config(**given)
    listing = find_entries(Location.of(data), layout, (category,))
    images_NCHW = load_crops(listing, category, config, count=count, seed=seed)
    Location.of(out).write_bytes(contact_sheet(config.corruption, images_NCHW, seed=seed))
    click.echo(f"{out}: {len(images_NCHW)} images of {category}")


def _table(reports: list[Any]) -> Table:
    table = Table()
    for name in ("category", "train good", "test good", "test defects", "sizes", "modes"):
        table.add_column(name, justify="right" if name in {"train good", "test good"} else "left")
    for name in ("no mask", "unreadable", "in train and test", "twice"):
        table.add_column(name, justify="right")
    for report in reports:
        sizes = [f"{width}×{height}: {count}" for height, width, count in report.sizes[:3]]
        if len(report.sizes) > 3:
            sizes.append(f"and {len(report.sizes) - 3} more")
        cells = (
            report.category,
            str(report.train_good),
            str(report.test_good),
            "\n".join(f"{kind}: {count}" for kind, count in report.test_defects.items()) or "–",
            "\n".join(sizes),
            "\n".join(f"{mode}: {count}" for mode, count in report.modes.items()),
            *(str(len(some)) for some in (report.missing_masks, report.failures, report.leaks, report.duplicates)),
        )
        table.add_row(*(Text(cell) for cell in cells))
    return table


def _list(title: str, names: list[str]) -> None:
    if not names:
        return
    click.echo(f"{title}:")
    for name in names[:MOST_LISTED]:
        click.echo(f"  {printable(name)}")
    if len(names) > MOST_LISTED:
        click.echo(f"  and {len(names) - MOST_LISTED} more (--json lists all)")
