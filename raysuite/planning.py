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
        cpus: CPUs for each.
        gpus: GPUs for each, 0 or 1.
    """

    runs: int
    at_once: int
    cpus: int
    gpus: int

    def sentence(self) -> str:
        """The plan in words."""
        if self.gpus:
            each = f"1 GPU and {self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        else:
            each = f"{self.cpus} CPU{'s' if self.cpus > 1 else ''}"
        return f"{self.runs} training{'s' if self.runs != 1 else ''}, {self.at_once} at once, {each} each"


def plan_trainings(runs: int, cpus: float, gpus: float) -> Plan:
    """Place equal single-worker trainings.

    With GPUs, each training gets one. Without, as many go on at once as there are CPUs, so that their start-ups
    overlap, which take longer than a small training; CPUs left over are shared out, up to eight each.

    Args:
        runs: How many trainings there are.
        cpus: CPUs of the cluster.
        gpus: GPUs of the cluster.

    Raises:
        ClusterError: The cluster has no CPU.
    """
    if cpus < 1:
        raise ClusterError(f"the cluster has {cpus:g} CPUs, a training needs at least 1")
    whole_cpus, whole_gpus = int(cpus), int(gpus)
    if whole_gpus:
        at_once = max(1, min(runs, whole_gpus, whole_cpus))
        return Plan(runs, at_once, max(1, min(4, whole_cpus // at_once)), 1)
    each = max(1, min(8, whole_cpus // max(1, runs)))
    return Plan(runs, max(1, min(runs, whole_cpus // each)), each, 0)
