"""Lanes: a Ray Train run whose workers train one member after another.

Starting a TorchTrainer takes 15 to 30 seconds on a small machine, as long as a short training. So a lane's workers,
once started, ask for the next member as soon as one is done, until the driver lets them go home.
"""

from __future__ import annotations

import gc
import itertools
import threading
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import ray
import ray.train
import ray.train.torch
import torch

# Not for the public, but the only way to tell what happened, and Ray's version is pinned.
from ray.train.v2._internal.exceptions import (
    InsufficientClusterResourcesError,
    UserExceptionWithTraceback,
    WorkerGroupStartupTimeoutError,
    WorkerHealthCheckFailedError,
)
from ray.train.v2.api.config import FailureConfig

from raysuite.errors import RaysuiteError
from raysuite.pipelines.training import train_member
from raysuite.planning import Need
from raysuite.runs import Member, Run
from raysuite.training.distributed import rank, workers

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class End:
    """How a lane ended.

    Attributes:
        reason: Why its workers are no more; empty if they were let go home.
        told: One of the workers gave the reason itself: they were not killed.
        for_want_of_room: They never began, as the cluster had no room for them.
    """

    reason: str = ""
    told: bool = False
    for_want_of_room: bool = False


@dataclass(slots=True)
class Lane:
    """The driver's side of a lane.

    Attributes:
        name: Unlike any other lane's of this driver.
        need: What its workers hold.
        ended: Set when its Ray Train run has ended.
        member: What it is at work on; None while it has nothing to do.
        handed: How many members it was given so far.
        nodes: The nodes that its workers are on; empty until all have begun.
        began_with: The nodes that the cluster had when it was started.
    """

    name: str
    need: Need
    ended: Future[End]
    member: Member | None = None
    handed: int = 0
    nodes: tuple[str, ...] = ()
    began_with: frozenset[str] = frozenset()

    def hand(self, board: Any, member: Member) -> None:
        """Let it train this member next."""
        self.member = member
        self.handed += 1
        ray.get(board.hand.remote(self.name, member.names))

    def dismiss(self, board: Any) -> None:
        """Let its workers go home, which frees what they hold."""
        ray.get(board.hand.remote(self.name, None))


def open_lane(run: Run, need: Need, board: Any) -> Lane:
    """Start the workers of a new lane, in a thread of its own.

    The thread is a daemon: Ctrl-C ends the command at once, and with it Ray and all that the thread waits for, where a
    pool of threads would wait for the training to finish.
    """
    lane = Lane(f"lane-{next(_numbers)}", need, Future())

    def work() -> None:
        try:
            lane.ended.set_result(_fit(run, lane, board))
        except Exception as error:
            # Unforeseen: the lane is lost, the others are not.
            lane.ended.set_result(End(_sentence(error)))
        except BaseException as error:
            # Raised again where the result is asked for.
            lane.ended.set_exception(error)

    threading.Thread(target=work, name=lane.name, daemon=True).start()
    return lane


def _fit(run: Run, lane: Lane, board: Any) -> End:
    need, notes = lane.need, run.root / ".ray"
    trainer = ray.train.torch.TorchTrainer(
        _work,
        train_loop_config={
            "run": run.root.uri,
            "lane": lane.name,
            "threads": need.cpus,
            "gpus": need.gpus,
            "board": board,
        },
        scaling_config=ray.train.ScalingConfig(
            num_workers=need.workers,
            use_gpu=need.gpus > 0,
            resources_per_worker={"CPU": need.cpus, **({"GPU": need.gpus} if need.gpus else {})},
        ),
        # Ray Train's own notes, removed at the end: what is done is known from the run folder. It must not try again
        # by itself: the driver decides what is done next, and where.
        run_config=ray.train.RunConfig(
            name=f"{lane.name}-{ray.get_runtime_context().get_job_id()}",
            storage_path=notes.path,
            storage_filesystem=notes.fs,
            failure_config=FailureConfig(max_failures=0, max_preemption_failures=0, controller_failure_limit=0),
        ),
    )
    try:
        trainer.fit()
    except ray.train.ControllerError as error:
        room = isinstance(error.controller_failure, WorkerGroupStartupTimeoutError | InsufficientClusterResourcesError)
        return End(_sentence(error.controller_failure), for_want_of_room=room)
    except ray.train.TrainingFailedError as error:
        return _told_by_workers(list(getattr(error, "worker_failures", {}).values()) or [error], need.workers)
    except ray.exceptions.RayError as error:
        return End(_sentence(error))
    return End()


def _told_by_workers(errors: list[BaseException], workers: int) -> End:
    """Of workers that end together one knows why: our own errors say more than others, and those more than Ray's."""
    raised = [error._base_exc for error in errors if isinstance(error, UserExceptionWithTraceback)]
    ours = [error for error in raised if isinstance(error, RaysuiteError)]
    if ours:
        return End(str(ours[0]), told=True)
    dead = [error for error in errors if isinstance(error, WorkerHealthCheckFailedError)]
    if dead:
        # What the others raise is that they miss it.
        return End(_sentence(dead[0]))
    return End(_sentence(raised[0]), told=workers == 1) if raised else End(_sentence(errors[0]))


def _sentence(error: BaseException) -> str:
    if isinstance(error, WorkerHealthCheckFailedError):
        return "its worker died: it was killed, as for want of memory, or crashed"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _work(job: dict[str, Any]) -> None:
    """In each worker of a lane: do what it is given, until it is let go home."""
    torch.set_num_threads(job["threads"])
    run, board, lane = Run.open(job["run"]), job["board"], job["lane"]
    node = ray.get_runtime_context().get_node_id()
    for number in itertools.count():
        task = ray.get(board.take.remote(lane, number, rank(), node))
        if task is None:
            return
        reason = None
        try:
            train_member(run, run.member(**task), ray.train.torch.get_device(), board, job["gpus"])
        except RaysuiteError as error:
            if workers() > 1:
                # Ends the others too, which might wait for this one.
                raise
            reason = str(error)
        if rank() == 0:
            ray.get(board.done.remote(lane, reason))
        gc.collect()
        if torch.cuda.is_available():
            # What the last net needed must not be missing to the next one, or to who shares the GPU.
            torch.cuda.empty_cache()
