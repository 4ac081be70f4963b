"""The results of a run, gathered from its members and written in the forms that are asked for. Needs no Ray."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raysuite.pipelines.outcome import write_metrics
from raysuite.pipelines.progress import Event, Listener
from raysuite.reporting.exports import FORMATS, export
from raysuite.reporting.page import render_report
from raysuite.reporting.tables import write_markdown
from raysuite.runs import Run
from raysuite.storage import Location

Rows = list[dict[str, Any]]

PAGE = "html"


def gather(run: Run, kinds: Sequence[str] = (PAGE,), baseline: str | None = None) -> tuple[Rows, dict[str, bytes]]:
    """Gather the metrics of all members into ``metrics.parquet``, and make of it what is asked for.

    Args:
        run: The run.
        kinds: ``html``, or names of `raysuite.reporting.exports.FORMATS`.
        baseline: Path or URI of a run that the page compares it with.

    Returns:
        The rows of the metrics, and the contents of a file for each kind.

    Raises:
        RunError: Nothing is there to report, or the baseline cannot be compared.
        StorageError: The run folder may not be written.
    """
    rows = write_metrics(run)
    against = None if baseline is None else Location.of(baseline)
    makers: Mapping[str, Callable[[], bytes]] = {PAGE: lambda: render_report(run.root, against).encode("utf-8")}
    return rows, {kind: makers[kind]() if kind in makers else export(run.root, kind) for kind in kinds}


def report(
    run: Run,
    on_event: Listener,
    kinds: Sequence[str] = (PAGE,),
    baseline: str | None = None,
    output: str | None = None,
) -> tuple[Rows, dict[str, Location]]:
    """Write the results; with the page comes ``metrics.md``. Arguments and errors are those of `gather`.

    Args:
        run: The run.
        on_event: Told of each file.
        kinds: What to write.
        baseline: See `gather`.
        output: Path or URI of the file, for a single kind; the run folder if not given.

    Returns:
        The rows of the metrics, and where each kind was written to.
    """
    rows, contents = gather(run, kinds, baseline)
    places = {}
    for kind, content in contents.items():
        name = "report.html" if kind == PAGE else FORMATS[kind][0]
        places[kind] = run.root / name if output is None else Location.of(output)
        places[kind].write_bytes(content)
        on_event(Event("report", "", 1, 1, str(places[kind]), "done"))
    if PAGE in kinds:
        write_markdown(run.root)
    return rows, places
