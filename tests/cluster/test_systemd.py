"""The units of cluster/systemd: valid by systemd's word, and the head's own command run as it stands there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.files import CLUSTER
from tests.submission.clusters import TOKEN, free_ports

NAMES = ("raysuite-head", "raysuite-worker")
RAY = "/opt/raysuite/bin/ray"


def unit(name: str) -> dict[str, list[str]]:
    """The unit's settings: each may stand several times."""
    found: dict[str, list[str]] = {}
    for line in (CLUSTER / "systemd" / f"{name}.service").read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_systemd_takes_the_unit(name: str, tmp_path: Path) -> None:
    if not (program := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed")
    # It looks whether the program is there.
    ray = str(Path(sys.executable).with_name("ray"))
    text = (CLUSTER / "systemd" / f"{name}.service").read_text(encoding="utf-8")
    (tmp_path / f"{name}.service").write_text(text.replace(RAY, ray))
    done = subprocess.run(
        [program, "verify", "--man=no", str(tmp_path / f"{name}.service")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize("name", NAMES)
def test_a_unit_is_no_root_asks_for_the_token_and_writes_where_it_must_alone(name: str) -> None:
    settings = unit(name)
    environment = dict(word.split("=", 1) for word in settings["Environment"])
    assert settings["User"] == settings["Group"] == ["raysuite"]
    assert environment["RAY_AUTH_MODE"] == "token"
    (credential,) = settings["LoadCredential"]
    assert environment["RAY_AUTH_TOKEN_PATH"] == f"%d/{credential.partition(':')[0]}"
    assert settings["NoNewPrivileges"] == ["yes"]
    assert settings["CapabilityBoundingSet"] == [""]
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["Restart"] == ["always"]
    (command,) = settings["ExecStart"]
    assert command.startswith(f"{RAY} start ")
    assert "--block" in command, "systemd follows what stays in the foreground"


def test_the_units_differ_in_what_they_start_alone() -> None:
    head, worker = (unit(name) for name in NAMES)
    own = {"Description", "ExecStart", "EnvironmentFile", "Environment"}
    assert {key: value for key, value in head.items() if key not in own} == {
        key: value for key, value in worker.items() if key not in own
    }
    assert "--address=${RAY_HEAD}" in worker["ExecStart"][0]


@dataclass(frozen=True)
class Head:
    """The head of the unit, at work."""

    gcs: int
    dashboard: int
    agent: int
    environment: dict[str, str]

    def asked(self, path: str, token: str | None = None, port: int = 0) -> tuple[int, str]:
        """The status and the body of a request."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        request = urllib.request.Request(f"http://127.0.0.1:{port or self.dashboard}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- http alone
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, as the dashboard tells."""
        found = json.loads(self.asked("/nodes?view=summary", TOKEN)[1])["data"]["summary"]
        return [node for node in found if node["raylet"].get("state") == "ALIVE"]


class Started:
    """The commands of the units, with Ray of this environment and ports that are free, in this folder."""

    def __init__(self, folder: Path) -> None:
        (folder / "auth_token").write_text(TOKEN)
        self.folder, self.log = folder, folder / "log"
        self.processes: list[subprocess.Popen[bytes]] = []

    def environment(self, name: str, **file: str) -> dict[str, str]:
        """What systemd would give a unit's command, with what stands in its node.env."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        own = dict(word.replace("%d", str(self.folder)).split("=", 1) for word in unit(name)["Environment"])
        return kept | own | file | {"HOME": str(self.folder)}

    def start(self, name: str, environment: dict[str, str], replaced: dict[str, str], *more: str) -> None:
        """Start a unit's command, other words in the place of some of its own and some added."""
        (line,) = unit(name)["ExecStart"]
        for old, new in {RAY: str(Path(sys.executable).with_name("ray")), **replaced}.items():
            assert old in line
            line = line.replace(old, new)
        # As systemd does: in braces one word, without them as many as there are in it.
        line = re.sub(r"\$\{(\w+)\}", lambda match: shlex.quote(environment[match[1]]), line)
        line = re.sub(r"\$(\w+)", lambda match: environment.get(match[1], ""), line)
        with self.log.open("ab") as log:
            command = [*shlex.split(line), "--object-store-memory=80000000", *more]
            self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))

    def wait(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so; what is not there yet is not."""
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if is_so():
                    return
            assert not [one for one in self.processes if one.poll() is not None], self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.3)

    def stop(self) -> None:
        """As systemd does: a word, and then by force."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(30)
            finally:
                process.kill()


def agents(ports: list[int]) -> list[str]:
    """Four ports of a node that are its own; on one machine two nodes would want the same."""
    names = (
        "dashboard-agent-listen-port",
        "dashboard-agent-grpc-port",
        "metrics-export-port",
        "runtime-env-agent-port",
    )
    return [f"--{name}={port}" for name, port in zip(names, ports, strict=True)]


@pytest.fixture(scope="module")
def short() -> Iterator[Path]:
    """A folder with a short name: those of Ray's sockets, of which it is a part, may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="head") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def head(short: Path) -> Iterator[Head]:
    """The head of its unit, and a worker of its own."""
    started = Started(short)
    gcs, dashboard, client, *rest = free_ports(11)
    environment = started.environment("raysuite-head")
    made = Head(gcs, dashboard, rest[0], environment)
    try:
        started.start(
            "raysuite-head", environment, {"--port=6379": f"--port={gcs}"}, *agents(rest[:4]),
            f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}", f"--temp-dir={started.folder}/r",
            "--node-ip-address=127.0.0.1",
        )  # fmt: skip
        started.wait(lambda: made.asked("/api/healthz", port=made.agent)[0] == 200)
        started.wait(lambda: made.asked("/api/version", TOKEN)[0] == 200)
        file = {"RAY_HEAD": f"127.0.0.1:{gcs}", "RAY_OPTIONS": "--num-cpus=2 --num-gpus=1"}
        started.start("raysuite-worker", started.environment("raysuite-worker", **file), {}, *agents(rest[4:]))
        started.wait(lambda: len(made.nodes()) == 2)
        yield made
    finally:
        started.stop()


@pytest.mark.ray
def test_the_worker_joins_with_what_its_file_says_and_the_head_computes_nothing(head: Head) -> None:
    resources = [node["raylet"]["resourcesTotal"] for node in head.nodes()]
    assert sorted((one.get("CPU", 0), one.get("GPU", 0)) for one in resources) == [(0, 0), (2, 1)]


@pytest.mark.ray
def test_the_dashboard_answers_to_the_token_alone(head: Head) -> None:
    for path in ("/api/jobs/", "/api/version", "/nodes?view=summary"):
        assert head.asked(path)[0] == 401, path
        assert head.asked(path, "another-token-0123456789abcdefghijkl")[0] == 403, path
        assert head.asked(path, TOKEN)[0] == 200, path


@pytest.mark.ray
def test_the_dashboard_listens_to_this_machine_alone(head: Head) -> None:
    listening = Path("/proc/net/tcp").read_text()
    addresses = re.findall(rf"^\s*\d+: ([0-9A-F]{{8}}):{head.dashboard:04X} .{{13}} 0A ", listening, re.MULTILINE)
    assert addresses == ["0100007F"], "127.0.0.1, its bytes turned round"


@pytest.mark.ray
def test_the_health_check_of_image_and_kuberay_needs_no_token(head: Head) -> None:
    status, body = head.asked("/api/healthz", port=head.agent)
    assert status == 200, body


@pytest.mark.ray
@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"RAY_AUTH_TOKEN": "another-token-0123456789abcdefghijkl"},
            "does not take our token; have the cluster's token in",
        ),
        ({"RAY_AUTH_MODE": "disabled"}, "does not take our token; have the cluster's token in"),
        ({"RAY_AUTH_TOKEN_PATH": ""}, "wants a token, and there is none here; have the cluster's token in"),
    ],
)
def test_cluster_check_without_the_token_is_told_so_in_a_sentence(
    head: Head, variables: dict[str, str], words: str
) -> None:
    command = [sys.executable, "-m", "raysuite.cli.main", "cluster", "check", "--address", f"127.0.0.1:{head.gcs}"]
    done = subprocess.run(
        command, env=head.environment | variables, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the cluster at ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
