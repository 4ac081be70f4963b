"""A Ray cluster of several nodes on this machine, in a process of its own: its environment is not that of the tests.

As a program it starts a head, prints its address, and then does what it reads: ``add`` a node, ``kill`` the last one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import TracebackType
from typing import Any

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": "a-token-of-the-tests-alone-0123456789",
    # A lost node is missed after 3 seconds instead of 30, and workers compete with what else the machine does.
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_worker_niceness": "0",
}
NODE: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 100 * 2**20}


class Nodes:
    """A head with one CPU, and nodes with one each. Use it as a context manager."""

    def __init__(self) -> None:
        self.environment = {**os.environ, **ENVIRONMENT}

    def __enter__(self) -> Nodes:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=self.environment
        )
        self.address = self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It ends all nodes when there is nothing more to read.
        self._process.communicate(timeout=60)

    @property
    def pid(self) -> int:
        """Of the process that has started all others."""
        return self._process.pid

    def add(self) -> None:
        """Let a node join."""
        self._say("add")

    def kill(self) -> None:
        """Kill the node that joined last, and all that runs on it."""
        self._say("kill")

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)
        assert self._answer() == word

    def _answer(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("nodes: "):
                return line.removeprefix("nodes: ").strip()
        raise AssertionError("the cluster ended")


def main() -> None:
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    print("nodes:", cluster.address, flush=True)
    nodes: list[Any] = []
    added = 0
    for line in sys.stdin:
        if line.strip() == "add":
            # An address of its own, so that drivers connect to the head, and not to a node that will be killed.
            added += 1
            nodes.append(cluster.add_node(**NODE, node_ip_address=f"127.0.0.{1 + added}"))
        else:
            cluster.remove_node(nodes.pop(), allow_graceful=False)
        print("nodes:", line.strip(), flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main()
