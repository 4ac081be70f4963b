"""How long a plan takes, by a short trial: in this process, or on the cluster that it is for.

A trial never ends a command: without one there is no estimate, and the outlook says why.
"""

from __future__ import annotations

from collections.abc import Iterable

import ray
import torch

from raysuite import settings
from raysuite.config import Config
from raysuite.forecast import Outlook, Pace, outlook
from raysuite.memory import first_line
from raysuite.pipelines.lengths import length
from raysuite.planning import Plan
from raysuite.runs import Member, Run
from raysuite.training.timing import time_steps

LONG = 3e13
"""Work (`Job.length` of all together) that deserves a trial before it begins: about a minute on one core."""

MOST_TRIALS = 8
"""So many workers are tried side by side, as the trainings will share the machines."""

PATIENCE_SECONDS = 20.0
"""How long the cluster is given for a trial, the start of its processes included."""


def deserves_a_trial(plan: Plan) -> bool:
    """Whether there is so much to do that it is worth some seconds to know how long it takes."""
    return sum(job.length for job in plan.order) > LONG


def try_here(plan: Plan, run: Run, members: Iterable[Member]) -> Outlook:
    """The outlook of a plan for this machine, by a trial in this process, with the threads of one training.

    Args:
        plan: What is going to happen.
        run: The run.
        members: Those of the plan, in any order.
    """
    config, threads = _longest(plan, run, members), torch.get_num_threads()
    torch.set_num_threads(plan.need.cpus)
    try:
        steps, seconds = time_steps(config, _device(plan.need.gpus), plan.need.workers)
    except Exception as error:  # Whatever it is: the trainings themselves will say so, if it is theirs too.
        return Outlook(plan, note=f"no estimate, as the trial failed: {first_line(error)}")
    finally:
        torch.set_num_threads(threads)
    return outlook(plan, _pace(config, steps, seconds))


def try_on_cluster(plan: Plan, run: Run, members: Iterable[Member]) -> Outlook:
    """The outlook of a plan for the cluster that this process is connected to, by tasks that take what trainings do.

    Up to `MOST_TRIALS` go on side by side, as many as there will be workers at once. Those that are not done in
    `PATIENCE_SECONDS` do not count: others may hold the machines.

    Args:
        plan: What is going to happen.
        run: The run.
        members: Those of the plan, in any order.
    """
    if plan.lack is not None:
        return Outlook(plan, note="how long it takes is not known before there are nodes")
    need, config = plan.need, _longest(plan, run, members)
    task = ray.remote(_try).options(num_cpus=need.cpus, num_gpus=need.gpus, max_retries=0, scheduling_strategy="SPREAD")
    card = settings.to_mapping(config)
    tasks = [
        task.remote(card, need.cpus, need.gpus, need.workers)
        for _ in range(max(1, min(plan.at_once * need.workers, MOST_TRIALS)))
    ]
    left = tasks
    try:
        done, left = ray.wait(tasks, num_returns=len(tasks), timeout=PATIENCE_SECONDS)
        measured = ray.get(done)
    except Exception as error:  # As above.
        return Outlook(plan, note=f"no estimate, as the trial failed: {first_line(error)}")
    finally:
        for one in left:
            # Never by force: a task that is done in that very moment ends the driver (a failed check within Ray).
            ray.cancel(one)
    if not measured:
        return Outlook(plan, note=f"no estimate, as the cluster had no room for a trial within {PATIENCE_SECONDS:g} s")
    steps = sum(steps for steps, _ in measured)
    return outlook(plan, _pace(config, steps, sum(seconds for _, seconds in measured) / len(measured)))


def _longest(plan: Plan, run: Run, members: Iterable[Member]) -> Config:
    return next(run.config_of(member) for member in members if member.key == plan.order[0].key)


def _pace(config: Config, steps: int, seconds: float) -> Pace:
    return Pace(steps, seconds, seconds * config.training.steps / length(config, 0))


def _device(gpus: float) -> torch.device:
    return torch.device("cuda" if gpus else "cpu")


def _try(card: dict[str, object], threads: int, gpus: float, workers: int) -> tuple[int, float]:
    """One trial, in a process of Ray's."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return time_steps(settings.from_mapping(card), _device(gpus), workers)
    finally:
        # The process may be used again.
        torch.set_num_threads(before)
