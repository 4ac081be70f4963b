"""Ray clusters that are started as `docs/clusters.md` says, on free ports of this machine, with token authentication.

Their nodes are processes of their own, which stay in the foreground and are ended by their number. Tests reach them as
a person does: with the ``raysuite`` command, in another process, by the address of the dashboard.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

TOKEN = "a-token-of-the-tests-alone-0123456789"  # noqa: S105 -- of a cluster that lives as long as the tests
RAY = str(Path(sys.executable).with_name("ray"))


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now, all different."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def environment(home: Path, **more: str) -> dict[str, str]:
    """What nodes and commands of the tests have in their environment: nobody's own token or address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "RAYSUITE_"))}
    return kept | {
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "5",
        "PYTHONUNBUFFERED": "1",
        **more,
    }


@dataclass
class Done:
    """A command that has ended."""

    code: int
    out: str
    said: str

    @property
    def card(self) -> Any:
        """What it printed as JSON."""
        return json.loads(self.out)


@dataclass
class Cluster:
    """A head and, if wanted, a second node. Use it as a context manager.

    Attributes:
        home: The home folder of its processes, and of whoever gives commands.
        temp: Ray's own folder.
        cpus: CPUs of each node.
        nodes: How many, the head among them.
    """

    home: Path
    temp: Path
    cpus: int = 1
    nodes: int = 2
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __enter__(self) -> Cluster:
        gcs, self.port, client, *agents = free_ports(11)
        self.address = f"http://127.0.0.1:{self.port}"
        common = ["--block", f"--num-cpus={self.cpus}", "--object-store-memory=80000000", "--disable-usage-stats"]
        head = [
            "--head", f"--port={gcs}", "--node-ip-address=127.0.0.1", f"--temp-dir={self.temp}",
            f"--dashboard-port={self.port}", "--dashboard-host=127.0.0.1", f"--ray-client-server-port={client}",
        ]  # fmt: skip
        try:
            self._start([*common, *head, *_agents(agents[:4])])
            self._wait(1)
            if self.nodes > 1:
                self._start([*common, f"--address=127.0.0.1:{gcs}", *_agents(agents[4:])])
                self._wait(2)
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Told to end, `ray start --block` takes half a minute for it; there is nothing here to keep.
        self.kill()

    def kill(self) -> None:
        """Kill every process of the cluster at once, as a machine does that loses its power."""
        for process in self._processes:
            _kill_group(process)

    def raysuite(self, *words: str, timeout: float = 120, **variables: str) -> Done:
        """Give a command, with the cluster as its default, and wait for its end."""
        done = subprocess.run(
            [sys.executable, "-m", "raysuite.cli.main", *words],
            env=environment(self.home, RAY_API_SERVER_ADDRESS=self.address, **variables),
            capture_output=True, text=True, timeout=timeout, check=False, cwd=self.home,
        )  # fmt: skip
        return Done(done.returncode, done.stdout, done.stderr)

    def begin(self, log: Path, *words: str, **variables: str) -> subprocess.Popen[bytes]:
        """Give a command, with what it says going to a file."""
        with log.open("wb") as sink:
            return subprocess.Popen(
                [sys.executable, "-m", "raysuite.cli.main", *words],
                env=environment(self.home, RAY_API_SERVER_ADDRESS=self.address, **variables),
                stdout=sink, stderr=sink, cwd=self.home,
            )  # fmt: skip

    def job(self, name: str) -> dict[str, Any]:
        """How a job stands."""
        done = self.raysuite("jobs", "status", name, "--json")
        assert done.code == 0, done.said
        return dict(done.card)

    def wait_until(self, name: str, *words: str, seconds: float = 120) -> str:
        """Wait until a job has printed one of the words, and return its log."""
        deadline, log = time.monotonic() + seconds, ""
        while time.monotonic() < deadline:
            log = self.raysuite("jobs", "logs", name).out
            if any(word in log for word in words):
                return log
            time.sleep(0.3)
        raise AssertionError(f"{name} did not say {words}: {log}")

    def _start(self, options: list[str]) -> None:
        # A session of its own, so that it can be killed with all that it started, and nothing else.
        self._processes.append(
            subprocess.Popen(
                [RAY, "start", *options],
                env=environment(self.home),
                start_new_session=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self.home,
            )
        )

    def _wait(self, nodes: int) -> None:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if any(process.poll() is not None for process in self._processes):
                break
            try:
                if self._alive() >= nodes:
                    return
            except OSError:
                pass
            time.sleep(0.3)
        raise AssertionError(f"the cluster did not start: {self._tail()}")

    def _alive(self) -> int:
        """Nodes that the head counts, and whether it takes jobs."""
        for path in ("/api/jobs/", "/nodes?view=summary"):
            request = urllib.request.Request(f"{self.address}{path}", headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- this address is http
                card = json.load(answer)
        return sum(node["raylet"].get("state") == "ALIVE" for node in card["data"]["summary"])

    def _tail(self) -> str:
        logs = sorted(self.temp.glob("session_latest/logs/*.err")) + sorted(self.temp.glob("session_latest/logs/gcs*"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-500:]}" for log in logs if log.stat().st_size)


def _agents(ports: list[int]) -> list[str]:
    names = (
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "metrics-export-port",
        "runtime-env-agent-port",
    )
    return [f"--{name}={port}" for name, port in zip(names, ports, strict=True)]


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Its processes carry its session, though they may have groups of their own.
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(path.parent.name), signal.SIGKILL)
    process.kill()
    process.wait(30)


def short_folder() -> tempfile.TemporaryDirectory[str]:
    """A folder for Ray's own files: the names of its sockets may not be long."""
    return tempfile.TemporaryDirectory(prefix="rs-", dir="/tmp", ignore_cleanup_errors=True)
