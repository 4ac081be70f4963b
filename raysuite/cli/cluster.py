"""``raysuite cluster``: what a cluster is, and whether work can be done on it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from raysuite.cli.options import LAYOUT_NAMES, Seeds, address_option

if TYPE_CHECKING:
    from raysuite.pipelines.check import NodeReport, Report

FAILED = 1
HEADS = ("node", "address", "CPUs", "GPUs", "memory", "object store", "round trip")


@click.group()
def cluster() -> None:
    """Look at a Ray cluster."""


@cluster.command()
@address_option
@click.option(
    "--storage", multiple=True, metavar="URI", help="A folder that all nodes must read and write; may be given again."
)
@click.option("--plan", "data", multiple=True, metavar="DATA", help="Would trainings on DATA fit? May be given again.")
@click.option(
    "--layout", type=click.Choice(LAYOUT_NAMES), default="auto", show_default=True, help="How DATA is laid out."
)
@click.option("--seeds", type=Seeds(), default="0", show_default=True, help="With --plan: a training each.")
@click.option(
    "--workers-per-category", "workers", type=click.IntRange(min=1), default=1, show_default=True, metavar="N",
    help="With --plan: workers of each training.",
)  # fmt: skip
@click.option(
    "--gpu-share", type=click.FloatRange(min=0, max=1, min_open=True), default=1.0, show_default=True, metavar="SHARE",
    help="With --plan: share of a GPU for each worker, where there are GPUs.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
@click.pass_obj
def check(
    obj: dict[str, Any],
    address: str | None,
    storage: tuple[str, ...],
    data: tuple[str, ...],
    layout: str,
    seeds: tuple[int, ...],
    workers: int,
    gpu_share: float,
    as_json: bool,
) -> None:
    """Connect to a cluster, ask every node of it, and say what is wrong.

    A task on each node tells its versions, and reads, writes and deletes a small file in each --storage folder. Nothing
    else is written. With --plan it is said how many trainings would go on at once, as --dry-run of benchmark does, but
    without a trial of how long they take. The exit code is 1 if something is wrong.

    \b
    Examples:
      raysuite cluster check --address auto
      raysuite cluster check --address auto --storage s3://bucket/runs --storage /mnt/data --plan /mnt/data/parts
    """
    from raysuite.pipelines.check import Wish  # noqa: PLC0415 -- Ray takes seconds to import
    from raysuite.pipelines.check import check as look  # noqa: PLC0415

    wish = Wish(data, layout, len(seeds), workers, gpu_share) if data else None
    report = look(address, storage, wish, worker_logs=obj["debug"])
    if as_json:
        click.echo(json.dumps(report.as_mapping(), indent=2, ensure_ascii=False))
    else:
        click.echo(_words(report, address))
    for problem in report.problems:
        click.echo(f"Error: {problem}", err=True)
    if report.problems:
        raise SystemExit(FAILED)


def _words(report: Report, address: str | None) -> str:
    """The report for people, without its problems."""
    nodes = report.nodes
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    store = sum(node.object_store for node in nodes)
    mine = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    is_same = all(node.versions == report.versions for node in nodes)
    lines = [
        f"{_count(len(nodes), 'node')} at {address or 'this machine'}: {cpus:g} CPUs, {gpus:g} GPUs, "
        f"{_gib(store)} object store",
        f"{'here and on all nodes' if is_same else 'here'}: {mine}",
        "",
        *_table(nodes),
        "",
    ]
    for folder in {folder: None for node in nodes for folder in node.storage_ms}:
        took = [node.storage_ms[folder] for node in nodes if folder in node.storage_ms]
        lines.append(
            f"storage {folder}: read and written from {len(took)} of {_count(len(nodes), 'node')}, "
            f"{max(took):g} ms at most"
        )
    if report.plan is not None:
        lines.append(f"plan: {report.plan}")
    if not report.problems:
        lines.append("Nothing is wrong.")
    return "\n".join(lines)


def _table(nodes: Sequence[NodeReport]) -> list[str]:
    rows = [HEADS, *(_cells(node) for node in nodes)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(node: NodeReport) -> tuple[str, ...]:
    models = f" {', '.join(node.models)}" if node.models else ""
    return (
        f"{node.host}{', head' if node.is_head else ''}",
        node.address,
        f"{node.cpus:g}",
        f"{node.gpus:g}{models}",
        _gib(node.memory),
        _gib(node.object_store),
        "none" if node.round_trip_ms is None else f"{node.round_trip_ms:g} ms",
    )


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
