"""``raysuite submit``: any command of raysuite as a job on a cluster that somebody else runs."""

from __future__ import annotations

import getpass
import json
import os
import shlex
import socket
from dataclasses import replace
from typing import Any

import click

from raysuite.cli import kuberay
from raysuite.cli.commands import Command, read
from raysuite.cli.jobs import watching
from raysuite.cli.options import Duration, jobs_address_option
from raysuite.cli.runs import FINISHED_WITH_FAILURES
from raysuite.errors import ConfigError
from raysuite.forecast import in_words
from raysuite.settings import text_of
from raysuite.storage import Location
from raysuite.submission.places import seen_by_all
from raysuite.submission.spec import JobSpec
from raysuite.submission.specfile import spec_from_words, spec_from_yaml


@click.command()
@click.argument("words", nargs=-1, required=True, metavar="SPEC|-- COMMAND...")
@click.option(
    "--set", "given", multiple=True, metavar="PARAMETER=VALUE",
    help="A value for a parameter of the spec; the same one again makes a list.",
)  # fmt: skip
@jobs_address_option
@click.option(
    "--watch/--detach", default=True, show_default=True,
    help="Show its log until it ends, and send it again if it fails, as often as the spec says; or leave it alone.",
)  # fmt: skip
@click.option("--shared", multiple=True, metavar="FOLDER", help="All nodes see this folder under this name.")
@click.option("--upload", metavar="URI", help="Copy local inputs that the cluster does not see to here.")
@click.option("--ship", is_flag=True, help="Send the raysuite of this machine along, for a cluster that has another.")
@click.option("--python", metavar="PYTHON", help="The cluster's Python that has raysuite.  [default: python]")
@click.option("--allow-command", is_flag=True, help="Let the spec run any program, not only raysuite.")
@click.option(
    "--patience", type=Duration(), default="5m", show_default=True, metavar="TIME",
    help="How long a cluster that does not answer is asked again.",
)  # fmt: skip
@kuberay.kuberay_options
@click.option("--dry-run", is_flag=True, help="Print what would be sent; ask no cluster, copy nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON; its log goes to standard error.")
@click.pass_context
def submit(
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    given: tuple[str, ...],
    address: str,
    watch: bool,
    dry_run: bool,
    as_json: bool,
    patience: float,
    **options: Any,
) -> None:
    """Send a command to a cluster as a job, and show its log and its result.

    The command is the one that would be given here, in a spec of YAML or behind --. What is wrong with it is said
    before anything is sent. The same job again follows the one that is at work, or goes on where it was. The exit code
    is the job's; Ctrl-C leaves the job at work.

    \b
    Examples:
      raysuite submit jobs/benchmark.yaml --set data=s3://bucket/parts --set run=s3://bucket/runs/parts
      raysuite submit jobs/score.yaml --set input=/mnt/photos … --shared /mnt --address http://head:8265 --detach
      raysuite submit -- benchmark s3://bucket/parts --run s3://bucket/runs/parts --preset tiny
      raysuite submit jobs/report.yaml --set run=s3://bucket/runs/parts --dry-run
      raysuite submit jobs/benchmark.yaml … --kuberay parts --kuberay-cluster gpu --image registry/raysuite:TAG
    """
    kubernetes = kuberay.target(options)
    spec = _spec(words, given, options)
    command = read(ctx.find_root().command, spec.command) if spec.is_raysuite else Command((), "")  # type: ignore[arg-type]
    if not dry_run or not options["upload"]:
        target = Location.of(options["upload"]) if options["upload"] else None
        spec = replace(spec, command=seen_by_all(spec.command, command.places, spec.shared, target))
    if options["ship"]:
        from raysuite.submission.shipping import build_wheel  # noqa: PLC0415

        spec = replace(spec, wheel=str(build_wheel()))
    if kubernetes:
        kuberay.send(spec, kubernetes, dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        _show_plan(spec, command.results, as_json=as_json)
        return
    _send(spec, command.results, address, watch=watch, as_json=as_json, patience=patience)


def _spec(words: tuple[str, ...], given: tuple[str, ...], options: dict[str, Any]) -> JobSpec:
    first, allow = words[0], options["allow_command"]
    if first.endswith((".yaml", ".yml")):
        text = text_of(first)
        spec = spec_from_yaml(text, first, given=given, more=words[1:], allow_command=allow)
    elif given:
        raise ConfigError("--set before -- is for the parameters of a spec; settings of the command stand behind --")
    else:
        spec = spec_from_words(words, allow_command=allow)
    return replace(
        spec, shared=(*spec.shared, *map(os.path.abspath, options["shared"])), python=options["python"] or spec.python
    )


def _send(spec: JobSpec, results: str, address: str, *, watch: bool, as_json: bool, patience: float) -> None:
    from raysuite.submission import attempts  # noqa: PLC0415 -- Ray takes seconds to import
    from raysuite.submission.client import Jobs, described  # noqa: PLC0415

    jobs = Jobs(address)
    metadata = described(spec, f"{getpass.getuser()}@{socket.gethostname()}", results)
    sent = attempts.send(jobs, spec, metadata)
    name = sent.job.id
    if sent.is_new:
        click.echo(f"Sent {name} to {jobs.address}", err=True)
    else:
        click.echo(f"This job is {sent.job.state} already, as {name}; nothing was sent", err=True)
    if not watch:
        if as_json:
            click.echo(json.dumps({**sent.job.as_row(), "sent": sent.is_new}, indent=2, ensure_ascii=False))
        else:
            click.echo(f"Next: raysuite jobs logs {name} --follow --address {jobs.address}")
        return
    with watching(name):
        job, why = attempts.see_through(
            jobs, spec, metadata, sent,
            show=lambda text: click.echo(text, nl=False, err=as_json),
            say=lambda text: click.echo(text, err=True),
            patience=patience,
        )  # fmt: skip
    if as_json:
        row = {**job.as_row(), "sent": sent.is_new, "reason": why.sentence if why else None}
        click.echo(json.dumps(row, indent=2, ensure_ascii=False))
    took = f" after {in_words(job.ended - job.started)}" if job.started and job.ended else ""
    click.echo(f"{job.id} {job.state}{took}{f': {why.sentence}' if why else ''}", err=True)
    if results and not as_json and job.code in {0, FINISHED_WITH_FAILURES}:
        click.echo(f"Results: {results}; to bring them here: raysuite jobs fetch {job.id} --to FOLDER", err=True)
    raise SystemExit(job.code)


def _show_plan(spec: JobSpec, results: str, *, as_json: bool) -> None:
    card = {
        "id": spec.submission_id(1),
        "command": list(spec.command),
        "entrypoint": spec.entrypoint(),
        "resources": {name: getattr(spec.resources, name) for name in ("num_cpus", "num_gpus", "memory")},
        "runtime_env": spec.ray_runtime_env(),
        "wheel": spec.wheel or None,
        "retries": spec.retries,
        "timeout": spec.timeout,
        "metadata": dict(spec.metadata),
        "results": results or None,
    }
    if as_json:
        click.echo(json.dumps(card, indent=2, ensure_ascii=False))
        return
    limit = "never stopped" if spec.timeout is None else f"stopped after {in_words(spec.timeout)}"
    lines = {
        "Id": f"{card['id']}, and so on with each attempt",
        "Command": shlex.join(("raysuite", *spec.command) if spec.is_raysuite else spec.command),
        "Runs": spec.entrypoint(),
        "Takes": f"{spec.resources.num_cpus:g} CPUs, {spec.resources.num_gpus:g} GPUs, "
        f"{spec.resources.memory / 2**30:.3g} GiB for itself, beside what its work takes",
        "Wheel": spec.wheel or "none; the cluster has raysuite",
        "Retries": f"{spec.retries}, while it is watched; {limit}",
        "Results": results or "none that are known of",
    }
    for name, text in lines.items():
        click.echo(f"{name + ':':<10}{text}")
