"""Connecting to a Ray cluster, or starting one on this machine, and leaving it."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import torch

# Not for the public, and Ray's version is pinned: the first has Ray's handler of SIGTERM, the second prints what no
# setting silences, the third is what Ray itself counts by (quotas of containers too).
from ray._private import utils, worker
from ray._private.utils import get_num_cpus

from raysuite.errors import ClusterError
from raysuite.pipelines.reach import reach
from raysuite.planning import Node


def cluster_resources() -> dict[str, float]:
    """What the cluster has in all: name → amount, such as ``CPU`` and ``GPU``."""
    return dict(ray.cluster_resources())  # type: ignore[no-untyped-call]


def cluster_nodes() -> list[Node]:
    """The nodes that the cluster has at this moment, by name."""
    return sorted(
        (
            Node(node["NodeID"], int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)))
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if node["Alive"]
        ),
        key=lambda node: node.name,
    )


def this_machine() -> list[Node]:
    """The one node that Ray would have if it were started here; Ray is not started."""
    return [Node("this machine", int(get_num_cpus()), torch.cuda.device_count())]


def _say_nothing(*_args: object, **_more: object) -> None:
    pass


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep the command's way of ending on SIGTERM, if it has one: Ray's is an exit code, or a stack trace."""
    stop = signal.getsignal(signal.SIGTERM)
    if not callable(stop) or threading.current_thread() is not threading.main_thread():
        yield
        return
    set_handler = utils.set_sigterm_handler
    utils.set_sigterm_handler = _say_nothing
    try:
        yield
    finally:
        utils.set_sigterm_handler = set_handler
        # Ray's core has taken it all the same.
        signal.signal(signal.SIGTERM, stop)


@contextmanager
def ray_session(address: str | None, *, worker_logs: bool = False) -> Iterator[dict[str, float]]:
    """Be connected to Ray, and hand back the connection, and with it all that it runs, at the end.

    If this process is connected already, that connection is used and kept.

    Args:
        address: A cluster's address; None starts Ray on this machine alone.
        worker_logs: Show what workers print.

    Yields:
        The cluster's resources: name → amount.

    Raises:
        ClusterError: The cluster cannot be reached.
    """
    if ray.is_initialized():
        yield cluster_resources()
        return
    if not worker_logs:
        for name in ("ray", "ray.data", "ray.train", "ray.tune"):
            logging.getLogger(name).setLevel(logging.ERROR)
        for name in ("ray.data._internal.execution", "ray.data.exceptions"):
            # They log the traceback of a task's error, which is raised as well.
            logging.getLogger(name).setLevel(logging.CRITICAL)
    if address:
        # Ray itself tries for 20 seconds, and then logs a screenful.
        reach(address)
    try:
        with _own_sigterm():
            ray.init(
                address=address or "local",
                include_dashboard=None if address else False,
                log_to_driver=worker_logs,
                logging_level=logging.INFO if worker_logs else logging.ERROR,
            )
    except Exception as error:  # A node that is too slow to start is told by a bare one.
        told = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ClusterError(f"cannot connect to Ray at {address or 'this machine'}: {told}") from error
    printer: Any = worker.print_to_stdstream
    if not worker_logs:
        # Ray prints a wall of text for each worker that dies, whatever its logging level; the fleet says it in a line.
        worker.print_to_stdstream = _say_nothing
    try:
        yield cluster_resources()
    finally:
        ray.shutdown()
        worker.print_to_stdstream = printer
