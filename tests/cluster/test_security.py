"""Every file of cluster/, one after the other: nothing that we ship lets anybody in without a token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.files import CLUSTER, all_files, document, images, values

EXERCISED = {
    "docker/Dockerfile": "test_docker",
    "docker/Dockerfile.dockerignore": "test_docker",
    "docker/compose.yaml": "test_docker",
    "docker/constraints.txt": "test_docker",
    "kuberay/kueue.yaml": "test_kuberay",
    "kuberay/raycluster-cpu.yaml": "test_kuberay",
    "kuberay/raycluster-gpu.yaml": "test_kuberay",
    "kuberay/rayjob.yaml": "test_kuberay",
    "kuberay/storage.yaml": "test_kuberay",
    "systemd/raysuite-head.service": "test_systemd",
    "systemd/raysuite-worker.service": "test_systemd",
    "vms/aws.yaml": "test_vms",
    "vms/gcp.yaml": "test_vms",
    "vms/hosts.yaml": "test_vms",
}
NAMES = [path.relative_to(CLUSTER).as_posix() for path in all_files()]
SECRETS = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|\b[0-9a-f]{32,}\b|"
    r"(?i:\b(?:password|secret|token|access_key)\b\s*[:=]\s*['\"]?[A-Za-z0-9+/]{12,})"
)


def text(name: str) -> str:
    return (CLUSTER / name).read_text(encoding="utf-8")


def code(name: str) -> str:
    """The file without its comments."""
    return re.sub(r"(?m)(^|\s)#.*$", "", text(name))


def keys(tree: Any) -> set[str]:
    """Every key of a YAML document, with its value where that is a scalar."""
    if isinstance(tree, dict):
        return {f"{key}: {value}" for key, value in tree.items()} | {
            one for value in tree.values() for one in keys(value)
        }
    return {one for inner in tree for one in keys(inner)} if isinstance(tree, list) else set()


def test_every_file_is_exercised_by_a_test() -> None:
    assert set(NAMES) == set(EXERCISED)
    for module in set(EXERCISED.values()):
        assert (Path(__file__).parent / f"{module}.py").is_file()


@pytest.mark.parametrize("name", NAMES)
def test_no_file_turns_the_token_off_or_has_a_secret_in_it(name: str) -> None:
    assert set(re.findall(r"RAY_AUTH_MODE['\"]?\s*[:=]\s*['\"]?(\w+)", code(name))) <= {"token"}
    assert "mode: disabled" not in code(name)
    assert not SECRETS.search(code(name))


@pytest.mark.parametrize(
    "line", ["AKIA" + "B2" * 8, "auth_token: " + "ab12" * 8, "password = hunter2hunter2", "-----BEGIN PRIVATE KEY-----"]
)
def test_secrets_would_be_seen(line: str) -> None:
    assert SECRETS.search(line)


@pytest.mark.parametrize("name", NAMES)
def test_whatever_starts_ray_asks_for_the_token(name: str) -> None:
    if name.startswith("vms/"):
        config = document(name)
        starts = [
            line for key in ("head", "worker") for line in config[f"{key}_start_ray_commands"] if "ray start" in line
        ]
        assert len(starts) == 2
        assert all(re.search(r"RAY_AUTH_MODE=token \S*ray start", line) for line in starts)
        assert config["file_mounts"], "the token comes along"
    elif name.startswith("systemd/") or name.endswith("Dockerfile"):
        assert "RAY_AUTH_MODE=token" in code(name)
    elif name.endswith("compose.yaml"):
        assert all(one["environment"]["RAY_AUTH_MODE"] == "token" for one in document(name)["services"].values())
    elif name.startswith("kuberay/ray"):
        spec = document(name)["spec"]
        assert spec.get("rayClusterSpec", spec)["authOptions"]["mode"] == "token"
    else:
        assert "ray start" not in code(name)


@pytest.mark.parametrize("name", NAMES)
def test_no_dashboard_is_open_to_the_network(name: str) -> None:
    hosts = re.findall(r"--dashboard-host=([\w.]+)|dashboard-host['\"]?: ['\"]?([\w.]+)", code(name))
    for one, other in hosts:
        # In compose's network, of which one port of this machine's loopback leads in, with the token: test_docker.
        assert (one or other) == "127.0.0.1" or name == "docker/compose.yaml"
    if "start --head" in code(name) or "--head," in code(name):
        assert hosts, "said, and not left to what Ray's default is or will be"


@pytest.mark.parametrize("name", [name for name in NAMES if name.endswith(".yaml")])
def test_no_container_has_rights_of_the_machine(name: str) -> None:
    for tree in yaml.safe_load_all(text(name)):
        found = keys(tree)
        assert not {"privileged: True", "hostNetwork: True", "hostPID: True", "hostIPC: True"} & found
        assert not [one for one in found if one.startswith(("hostPath:", "hostPort:"))]
        assert not [one for one in values(tree) if "docker.sock" in one]
        assert all(not image.endswith(":latest") and ":" in image.rpartition("/")[2] for image in images(tree))
