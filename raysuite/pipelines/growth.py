"""Clusters that grow by themselves: what they may become, and asking their autoscaler for room.

What Ray tells depends on who runs the autoscaler. Some managed services report the node types and how many of each
there may be; Ray's own autoscalers do not. Of these the newer one (v2, the default of ``ray up`` and KubeRay) says
whether it could ever fulfil what it was asked for, all of it or nothing; the older one just does what it can.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Container, Sequence
from types import TracebackType
from typing import Any

import ray

# None of these is for the public, and Ray's version is pinned. The coordinator is what Ray's own libraries ask through:
# a request beside it would overwrite theirs, and be overwritten.
from ray._private.ray_constants import DEBUG_AUTOSCALING_STATUS
from ray._private.state import state
from ray.autoscaler.v2.utils import is_autoscaler_v2
from ray.core.generated import autoscaler_pb2
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import DefaultAutoscalingCoordinator
from ray.experimental.internal_kv import _internal_kv_get, internal_kv_get_gcs_client

from raysuite.errors import ClusterError
from raysuite.pipelines.session import cluster_nodes
from raysuite.planning import Growth, Job, Node, Planner

RENEW_SECONDS = 5.0
EXPIRE_SECONDS = 60.0
"""A driver that was killed asks for nothing any more after this time."""

VERDICT_SECONDS = 15.0
"""How long an autoscaler is given to say that it can never do what it was asked for; it looks every 5 seconds."""

Worker = dict[str, float]
"""What a worker takes: ``CPU`` and ``GPU``."""


def growth() -> Growth | None:
    """What the cluster may become; None if it does not grow by itself."""
    config = state.get_cluster_config()
    if config is not None and config.node_group_configs:
        heads = {
            node["NodeID"]
            for node in ray.nodes()  # type: ignore[no-untyped-call]
            if "node:__internal_head__" in node["Resources"]
        }
        return limits(config, cluster_nodes(), heads)
    if is_autoscaler_v2(fetch_from_server=True):
        return Growth()
    told = _internal_kv_get(DEBUG_AUTOSCALING_STATUS)
    report = json.loads(told).get("autoscaler_report", {}) if told else {}
    kinds = {*report.get("active_nodes", {}), *report.get("pending_launches", {})}
    # On a cluster that was started by hand, Ray makes up a type of its own for each node.
    return Growth() if any(not kind.startswith("node_") for kind in kinds) else None


def limits(config: Any, nodes: Sequence[Node], heads: Container[str] = ()) -> Growth:
    """What a cluster may become by its own word.

    Args:
        config: Ray's ``ClusterConfig``: the types of nodes, and how many there may be of each; -1 is for no limit.
        nodes: Those that it has.
        heads: Names of those that are the head, of which there is one and no more, whatever its type.
    """
    most = {name: config.max_resources[name] for name in config.max_resources}
    grown, counted = list(nodes), list(nodes)
    for group in config.node_group_configs:
        if group.max_count < 0:
            return Growth()
        shape = (int(group.resources.get("CPU", 0)), int(group.resources.get("GPU", 0)))
        for number in range(group.max_count):
            here = next(
                (
                    node
                    for node in counted
                    if (node.cpus, node.gpus) == shape and (group.max_count == 1 or node.name not in heads)
                ),
                None,
            )
            if here is not None:
                counted.remove(here)
                continue
            cpus, gpus = (sum(getattr(node, what) for node in grown) for what in ("cpus", "gpus"))
            if cpus + shape[0] <= most.get("CPU", cpus + shape[0]) and gpus + shape[1] <= most.get(
                "GPU", gpus + shape[1]
            ):
                grown.append(Node(f"{group.name} {number + 1}", *shape))
    return Growth(tuple(grown))


class Room:
    """Asks the cluster's autoscaler for room, again and again; what was asked for is withdrawn at the end.

    Attributes:
        refused: The autoscaler says that it could never make room for even one.
    """

    def __init__(self) -> None:
        self.refused = False
        self._coordinator = DefaultAutoscalingCoordinator(f"raysuite-{ray.get_runtime_context().get_job_id()}")
        self._most: int | None = None
        self._beside = 0
        self._asked, self._asked_at, self._changed_at = 0, 0.0, 0.0

    def ask(self, gang: Sequence[Worker], count: int, beside: int = 0) -> None:
        """Ask for room for so many trainings beside those that go on; to be called every few seconds.

        Args:
            gang: What each of a training's workers takes at least.
            count: Trainings that wait.
            beside: Trainings that go on: the autoscaler judges all together, and a full cluster refuses nothing for
                good.
        """
        now = time.monotonic()
        if beside != self._beside:
            self._beside, self._most, self.refused, self._changed_at = beside, None, False, now
        elif self._asked and now - self._changed_at > RENEW_SECONDS and _never():
            # All or nothing: it may do with less, and says so at the next turn.
            self._most = self._asked // 2
            self.refused = self._most == 0 and not beside
        if self._most is not None:
            count = min(count, self._most)
        if count != self._asked:
            self._changed_at = now
        elif now - self._asked_at < RENEW_SECONDS:
            return
        if count:
            bundles = [dict(worker) for _ in range(count) for worker in gang]
            self._coordinator.request_resources(bundles, EXPIRE_SECONDS)
        elif self._asked:
            self._coordinator.cancel_request()
        self._asked, self._asked_at = count, now

    def __enter__(self) -> Room:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._asked:
            self._coordinator.cancel_request()


def _never() -> bool:
    """Whether the autoscaler says of what it is asked for now that it can never be."""
    try:
        told = internal_kv_get_gcs_client().get_cluster_status(timeout_s=VERDICT_SECONDS)  # type: ignore[no-untyped-call]
    except Exception:  # Whatever keeps it from being asked: no verdict is no refusal.
        return False
    reply = autoscaler_pb2.GetClusterStatusReply.FromString(told)  # type: ignore[attr-defined]
    asked = reply.cluster_resource_state.cluster_resource_constraints
    never = reply.autoscaling_state.infeasible_cluster_resource_constraints
    return bool(asked) and list(asked) == list(never)


def planner_for(
    jobs: Sequence[Job], workers: int, gpu_share: float, tell: Callable[[str], None] = lambda _: None
) -> Planner:
    """A planner for the cluster as it is and may become.

    A cluster of unknown limits is asked for room here, if it has none, and given a moment to say that it never will.

    Args:
        jobs: What is to be trained.
        workers: Workers of each training.
        gpu_share: Share of a GPU for each worker, where the cluster has GPUs, or could have.
        tell: Told in words what is waited for, if anything.

    Raises:
        ClusterError: The cluster can never hold a training, however it grows.
    """
    may_become = growth()
    planner = Planner(jobs, cluster_nodes(), workers, gpu_share, may_become)
    if planner.lack is not None and may_become is not None and not may_become.nodes:
        gang, _ = planner.wants()
        tell(f"the cluster's autoscaler is asked for room: {planner.lack}")
        until = time.monotonic() + VERDICT_SECONDS
        with Room() as room:
            while time.monotonic() < until and not planner.start(cluster_nodes()):
                room.ask(gang, 1)
                if room.refused:
                    raise ClusterError(
                        f"the cluster's autoscaler says that it can never hold a training: {planner.lack}"
                    )
                time.sleep(0.5)
        planner = Planner(jobs, cluster_nodes(), workers, gpu_share, may_become)
    return planner
