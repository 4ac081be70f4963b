"""What fits where: how many trainings run at once, and what each is given. Pure arithmetic on a cluster's resources."""

from __future__ import annotations

from dataclasses import dataclass

from raysuite.errors import ClusterError


@dataclass(frozen=True, slots=True)
class Plan:
    """How trainings are placed.

    Attributes:
        runs: Trainings to do.
        at_once: How many go on at the same time.
        cpus: CPUs for each worker.
        gpus: GPUs for each worker, 0 or 1.
        workers: Workers of each training.
    """

    runs: int
    at_once: int
    cpus: int
    gpus: int
    workers: int = 1

    def sentence(self) -> str:
        """The plan in words."""
        if self.gpus:
            each = f"1 GPU and {self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        else:
            each = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        if self.workers > 1:
            each = f"{self.workers} workers of {each}"
        return f"{self.runs} training{'s' if self.runs != 1 else ''}, {self.at_once} at once, {each} each"


def plan_trainings(runs: int, cpus: float, gpus: float, workers: int = 1) -> Plan:
    """Place equal trainings.

    With GPUs, each worker gets one. Without, as many go on at once as there are CPUs, so that their start-ups
    overlap, which take longer than a small training; CPUs left over are shared out, up to eight each.

    Args:
        runs: How many trainings there are.
        cpus: CPUs of the cluster.
        gpus: GPUs of the cluster.
        workers: Workers of each training.

    Raises:
        ClusterError: The cluster has no CPU, or too few CPUs or GPUs for the workers of one training.
    """
    if cpus < 1:
        raise ClusterError(f"the cluster has {cpus:g} CPUs, a training needs at least 1")
    whole_cpus, whole_gpus = int(cpus), int(gpus)
    for amount, name in ((whole_cpus, "CPU"), (whole_gpus or workers, "GPU")):
        if amount < workers:
            raise ClusterError(
                f"{workers} workers for each training take {workers} {name}s, the cluster has {amount}; "
                f"lower --workers-per-category"
            )
    if whole_gpus:
        at_once = max(1, min(runs, whole_gpus // workers, whole_cpus // workers))
        return Plan(runs, at_once, max(1, min(4, whole_cpus // (at_once * workers))), 1, workers)
    each = max(1, min(8, whole_cpus // (max(1, runs) * workers)))
    return Plan(runs, max(1, min(runs, whole_cpus // (each * workers))), each, 0, workers)
