"""A Ray cluster on this machine that grows by itself: Ray's own autoscaler over Ray's fake provider of nodes.

``ray.cluster_utils.AutoscalingCluster`` does the same, but ends every Ray on the machine first, and reads a file that
Ray's wheel lacks.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

from tests.pipelines.nodes import ENVIRONMENT

HEAD = "f" * 51 + "00000"
PROVIDER = "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider"
EMPTY = (
    "head_setup_commands", "worker_setup_commands", "setup_commands", "initialization_commands", "rsync_exclude",
    "cluster_synced_files", "rsync_filter", "head_start_ray_commands", "worker_start_ray_commands",
)  # fmt: skip


class Growing:
    """A head with one CPU, to which the autoscaler adds nodes of one CPU, at most ``most`` of them."""

    def __init__(self, folder: Path, most: int, *, newer: bool = True) -> None:
        self._folder, self._most = folder, most
        self.environment = {
            **os.environ, **ENVIRONMENT,
            "RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "RAY_enable_autoscaler_v2": str(int(newer)),
            "RAY_CLOUD_INSTANCE_ID": HEAD, "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        }  # fmt: skip

    def __enter__(self) -> Growing:
        with socket.socket() as free:
            free.bind(("", 0))
            port = free.getsockname()[1]
        node = {"resources": {"CPU": 1, "object_store_memory": 100 * 2**20}, "node_config": {}}
        config = {
            "cluster_name": "fake", "max_workers": self._most, "upscaling_speed": 1.0, "idle_timeout_minutes": 5,
            "provider": {
                "type": "external", "module": PROVIDER, "gcs_address": f"127.0.0.1:{port}", "head_node_id": HEAD,
                "launch_multiple": True, "use_node_id_as_ip": True, "disable_node_updaters": True,
                "disable_launch_config_check": True,
            },
            "available_node_types": {
                "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
                "small": {**node, "min_workers": 0, "max_workers": self._most},
            },
            "head_node_type": "ray.head.default", "auth": {}, "file_mounts": {}, "file_mounts_sync_continuously": False,
            **{name: [] for name in EMPTY},
        }  # fmt: skip
        file = self._folder / "autoscaling.json"
        file.write_text(json.dumps(config))
        self._log = self._folder / "head.log"
        with self._log.open("wb") as sink:
            # A session of its own: all that it starts ends with it.
            self._process = subprocess.Popen(
                [
                    str(Path(sys.executable).with_name("ray")), "start", "--head", "--block", f"--port={port}",
                    "--num-cpus=1", "--include-dashboard=false", "--object-store-memory=100000000",
                    f"--autoscaling-config={file}", "--disable-usage-stats",
                ],
                stdout=sink, stderr=sink, env=self.environment, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 120
        while "Ray runtime started" not in (said := self._log.read_text()):
            assert self._process.poll() is None, said
            assert time.monotonic() < deadline, said
            time.sleep(0.2)
        found = re.search(r"--address='([\d.]+:\d+)'", said)
        assert found, said
        self.address = found[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            # It waits for the autoscaler's nodes, which nothing ends but the line below.
            self._process.wait(timeout=5)
        with contextlib.suppress(ProcessLookupError):
            # The autoscaler's nodes outlive it.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=20)
