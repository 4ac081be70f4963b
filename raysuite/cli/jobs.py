"""``raysuite jobs``: the jobs of a cluster, from any machine that reaches its dashboard."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from raysuite.cli.options import Duration, jobs_address_option, json_option
from raysuite.cli.stopping import code_of
from raysuite.errors import ConfigError, JobError
from raysuite.forecast import in_words
from raysuite.storage import Location

if TYPE_CHECKING:
    from raysuite.submission.client import Jobs
    from raysuite.submission.job import Job

MOST_SHOWN = 72
HEADS = ("job", "state", "code", "started", "took", "by", "command")
job_argument = click.argument("name", metavar="JOB")
patience_option = click.option(
    "--patience", type=Duration(), default="5m", show_default=True, metavar="TIME",
    help="How long a cluster that does not answer is asked again.",
)  # fmt: skip


@click.group()
def jobs() -> None:
    """List, follow, stop and fetch jobs that raysuite submit has sent.

    JOB is a job's id, without the attempt's number for the latest one, or as much of its beginning as fits one job.
    """


@contextlib.contextmanager
def watching(name: str) -> Iterator[None]:
    """Let Ctrl-C or SIGTERM end the watching of a job, and say that the job itself goes on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        click.echo(
            f"\nThe job goes on. Its log: raysuite jobs logs {name} --follow; to end it: raysuite jobs stop {name}",
            err=True,
        )
        raise SystemExit(code_of(stop)) from None


@jobs.command("list")
@jobs_address_option
@click.option("--all", "everybody", is_flag=True, help="Also those of other programs, and of jobs fetch.")
@json_option
def list_jobs(address: str, everybody: bool, as_json: bool) -> None:
    """List the jobs that the cluster remembers, the latest first.

    \b
    Example:
      raysuite jobs list --address http://head:8265
    """
    found = [job for job in _jobs(address).all() if everybody or job.is_plain]
    if as_json:
        click.echo(json.dumps([job.as_row() for job in found], indent=2, ensure_ascii=False))
    elif found:
        click.echo(_table(found))
    else:
        click.echo("No jobs.")


@jobs.command()
@job_argument
@jobs_address_option
@json_option
def status(name: str, address: str, as_json: bool) -> None:
    """Show how a job stands, and why if it failed. The exit code is 0 all the same.

    \b
    Example:
      raysuite jobs status benchmark
    """
    from raysuite.submission.attempts import reason  # noqa: PLC0415 -- Ray takes seconds to import

    cluster, job = _found(address, name)
    why = reason(cluster, job).sentence if job.is_over and job.state != "succeeded" else None
    if as_json:
        click.echo(json.dumps({**job.as_row(), "reason": why}, indent=2, ensure_ascii=False))
        return
    click.echo(_table([job]))
    if why:
        click.echo(f"\nWhy: {why}")
    if results := job.as_row()["results"]:
        click.echo(f"\nResults: {results}")


@jobs.command()
@job_argument
@jobs_address_option
@click.option("--follow", is_flag=True, help="Go on until the job ends; the exit code is the job's.")
@patience_option
def logs(name: str, address: str, follow: bool, patience: float) -> None:
    """Print what a job has printed.

    \b
    Example:
      raysuite jobs logs benchmark --follow
    """
    from raysuite.submission import following  # noqa: PLC0415

    cluster, job = _found(address, name)
    if not follow:
        click.echo(cluster.log(job.id), nl=False)
        return
    with watching(job.id):
        over = following.follow(cluster, job.id, lambda text: click.echo(text, nl=False), _patience(patience))
    _end(cluster, over)


@jobs.command()
@job_argument
@jobs_address_option
@patience_option
@json_option
def wait(name: str, address: str, patience: float, as_json: bool) -> None:
    """Wait until a job has ended; the exit code is the job's.

    \b
    Example:
      raysuite jobs wait benchmark && raysuite jobs fetch benchmark --to results
    """
    from raysuite.submission import following  # noqa: PLC0415

    cluster, job = _found(address, name)
    with watching(job.id):
        job = following.wait(cluster, job.id, _patience(patience))
    if as_json:
        click.echo(json.dumps(job.as_row(), indent=2, ensure_ascii=False))
    _end(cluster, job)


@jobs.command()
@job_argument
@jobs_address_option
@json_option
def stop(name: str, address: str, as_json: bool) -> None:
    """Stop a job as Ctrl-C would, and wait until it has ended. The same job, submitted again, goes on.

    \b
    Example:
      raysuite jobs stop benchmark
    """
    from raysuite.submission.spec import STOP_SECONDS  # noqa: PLC0415

    cluster, job = _found(address, name)
    if not job.is_over:
        cluster.stop(job.id)
        deadline = time.monotonic() + STOP_SECONDS + 30
        while not job.is_over and time.monotonic() < deadline:
            time.sleep(0.5)
            job = cluster.get(job.id)
        if not job.is_over:
            raise JobError(f"{job.id} was asked to stop and is {job.state} still")
    if as_json:
        click.echo(json.dumps(job.as_row(), indent=2, ensure_ascii=False))
    else:
        click.echo(f"{job.id} {job.state}")


@jobs.command()
@job_argument
@jobs_address_option
@click.option("--to", "target", required=True, metavar="FOLDER", help="Where on this machine the files go.")
@click.option(
    "--file", "patterns", multiple=True, metavar="PATTERN", help="Only these, such as 'report.html', '*.json'."
)
@click.option("--all", "everything", is_flag=True, help="Also shards and checkpoints.")
@click.option("--through-job", is_flag=True, help="Let a job on the cluster read them, though a path is here too.")
@json_option
def fetch(
    name: str, address: str, target: str, patterns: tuple[str, ...], everything: bool, through_job: bool, as_json: bool
) -> None:
    """Bring a job's results here: the files of its run or output folder, without shards and checkpoints.

    From a URI they are read by this machine. From a path that only the cluster sees, a small job reads them and hands
    them on in its log, up to 32 MiB.

    \b
    Examples:
      raysuite jobs fetch benchmark --to results
      raysuite jobs fetch benchmark --to results --file report.html --file metrics.parquet
    """
    from raysuite.submission import fetching  # noqa: PLC0415
    from raysuite.submission.job import RESULTS  # noqa: PLC0415
    from raysuite.submission.relay import relay  # noqa: PLC0415

    cluster, job = _found(address, name)
    place = job.metadata.get(RESULTS)
    if not place:
        raise ConfigError(f"{job.id} did not say where its results go, so there is nothing to fetch")
    source = Location.of(place)
    if not through_job and (not source.is_local or source.is_dir()):
        how = "storage" if not source.is_local else "this machine's own view of it"
        fetched = fetching.fetch(source, Path(target), patterns, everything=everything)
    else:
        how = "a job on the cluster"
        fetched = relay(cluster, job, place, Path(target), patterns, everything=everything)
    if as_json:
        card = {"from": place, "to": target, "files": fetched.files, "bytes": fetched.bytes}
        click.echo(json.dumps(card, indent=2, ensure_ascii=False))
    else:
        click.echo(f"{target}: {fetched.files} files, {fetched.bytes / 1e6:.1f} MB of {place}, through {how}")
    if not fetched.files:
        raise JobError(f"nothing in {place} is wanted; give --all, or another --file")


def _jobs(address: str) -> Jobs:
    from raysuite.submission.client import Jobs  # noqa: PLC0415 -- Ray takes seconds to import

    return Jobs(address)


def _found(address: str, name: str) -> tuple[Jobs, Job]:
    from raysuite.submission.job import find  # noqa: PLC0415

    cluster = _jobs(address)
    return cluster, find(cluster.all(), name)


def _patience(seconds: float) -> Any:
    from raysuite.submission.following import Patience  # noqa: PLC0415

    return Patience(seconds, lambda text: click.echo(text, err=True))


def _end(cluster: Jobs, job: Job) -> None:
    """Say how a job ended, and end as it did."""
    from raysuite.submission.attempts import reason  # noqa: PLC0415

    why = "" if job.state == "succeeded" else f": {reason(cluster, job).sentence}"
    click.echo(f"{job.id} {job.state}{why}", err=True)
    raise SystemExit(job.code)


def _table(found: list[Job]) -> str:
    now = time.time()
    rows = [HEADS]
    for job in found:
        row = job.as_row()
        took = "" if job.started is None else in_words((job.ended or now) - job.started)
        rows.append(
            (
                job.id,
                job.state,
                "" if job.exit_code is None else str(job.exit_code),
                (row["started"] or "")[:16].replace("T", " "),
                took,
                row["by"] or "",
                job.command if len(job.command) <= MOST_SHOWN else f"{job.command[: MOST_SHOWN - 1]}…",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    return "\n".join(
        "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
