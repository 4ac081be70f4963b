"""The ``raysuite`` command: its groups, and how errors reach a person."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click

from raysuite import __version__
from raysuite.cli.cluster import cluster
from raysuite.cli.data import data
from raysuite.cli.demo import demo
from raysuite.cli.export import export
from raysuite.cli.jobs import jobs
from raysuite.cli.model import model
from raysuite.cli.report import compare, report
from raysuite.cli.runs import benchmark, evaluate, train
from raysuite.cli.score import score
from raysuite.cli.status import status
from raysuite.cli.stopping import code_of, terminable
from raysuite.cli.submit import submit
from raysuite.cli.tune import tune
from raysuite.errors import RaysuiteError
from raysuite.printing import printable


class _Group(click.Group):
    """Turns errors raised on purpose into one sentence and an exit code; ``--debug`` shows where they came from."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with terminable():
                return super().invoke(ctx)
        except RaysuiteError as error:
            if ctx.params.get("debug"):
                raise
            click.echo("Error: " + printable(str(error), keep="\n"), err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt as stop:
            click.echo("\nStopped. Finished steps are kept; the same command goes on from there.", err=True)
            ctx.exit(code_of(stop))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="raysuite")
@click.option("--debug", is_flag=True, help="Show tracebacks and what workers print.")
@click.pass_context
def main(ctx: click.Context, debug: bool) -> None:
    """Visual anomaly detection: one self-supervised autoencoder a category, on a laptop or a Ray cluster.

    \b
    Try it:            raysuite demo
    Your own images:   raysuite data inspect DATA
                       raysuite benchmark DATA --run RUN --preset small
    """
    ctx.obj = {"debug": debug, "arguments": tuple(sys.argv[1:])}
    logging.basicConfig(level=logging.INFO if debug else logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


for command in (
    demo,
    benchmark,
    train,
    evaluate,
    report,
    compare,
    status,
    score,
    export,
    tune,
    submit,
    jobs,
    cluster,
    data,
    model,
):
    main.add_command(command)

if __name__ == "__main__":
    main()
