"""The image and the compose file, read but not built: what they must say, and where what they name comes from."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex
from importlib import metadata
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from raysuite import __version__
from tests.cluster.files import CLUSTER, document, images

ROOT = CLUSTER.parent
DOCKERFILE = (CLUSTER / "docker" / "Dockerfile").read_text(encoding="utf-8")
TAG = f"{__version__}-ray{metadata.version('ray')}"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions with their words, comments and line breaks left out."""
    joined = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", DOCKERFILE))
    found = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        name, _, words = line.partition(" ")
        found.append((name, words.strip()))
    return found


def stages() -> dict[str, list[tuple[str, str]]]:
    """Instructions by stage; the last one is ``final``, what stands before the first is ``""``."""
    by_stage: dict[str, list[tuple[str, str]]] = {"": []}
    for name, words in instructions():
        if name == "FROM":
            by_stage[words.partition(" AS ")[2] or "final"] = []
        by_stage[list(by_stage)[-1]].append((name, words))
    return by_stage


def constraints() -> dict[str, str]:
    lines = (CLUSTER / "docker" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pairs}


def needed() -> set[str]:
    """Names of all packages that raysuite needs on this machine, theirs included."""
    found: dict[str, set[str]] = {}
    todo: list[tuple[str, frozenset[str]]] = [("raysuite", frozenset())]
    while todo:
        name, extras = todo.pop()
        key = canonicalize_name(name)
        if key in found and extras <= found[key]:
            continue
        found.setdefault(key, set()).update(extras)
        for text in metadata.requires(name) or []:
            one = Requirement(text)
            env = default_environment()
            if one.marker is None or any(one.marker.evaluate({**env, "extra": extra}) for extra in {"", *extras}):
                todo.append((one.name, frozenset(one.extras)))
    return set(found) - {"raysuite"}


def test_every_instruction_is_one_of_dockers() -> None:
    known = {"ARG", "FROM", "ENV", "WORKDIR", "RUN", "COPY", "LABEL", "USER", "HEALTHCHECK", "CMD"}
    assert {name for name, _ in instructions()} == known
    for name, words in instructions():
        if name == "RUN":
            shlex.split(words)
        if name == "CMD":
            assert json.loads(words)


def test_cpu_or_cuda_is_an_argument_that_chooses_a_stage() -> None:
    found = stages()
    assert ("ARG", "ACCELERATOR=cpu") in found[""]
    assert found["final"][0] == ("FROM", "node-${ACCELERATOR}")
    assert {"node-cpu", "node-cuda"} <= found.keys()
    cuda = dict(found["node-cuda"])["ENV"]
    assert "NVIDIA_VISIBLE_DEVICES=all" in cuda
    assert "compute" in cuda


def test_nothing_runs_as_root_and_a_token_is_asked_for() -> None:
    found = stages()
    assert dict(found["final"])["USER"] == "1000:1000"
    assert not [name for name, _ in found["final"] if name == "RUN"]
    assert "RAY_AUTH_MODE=token" in dict(found["node"])["ENV"].split()
    assert "--uid 1000" in dict(found["node"])["RUN"]


def test_the_image_is_healthy_if_rays_agent_says_so() -> None:
    (health,) = [words for name, words in stages()["final"] if name == "HEALTHCHECK"]
    command = json.loads(health.partition("CMD ")[2])
    assert command[0] == "wget"
    assert command[-1] == "http://127.0.0.1:52365/api/healthz"
    assert "wget" in dict(stages()["node"])["RUN"]


def test_versions_are_pinned_all_of_them() -> None:
    base = dict(stages()[""])
    assert base["ARG"] == 'TORCH_INDEX=""'
    python = next(words for name, words in stages()[""] if words.startswith("PYTHON="))
    assert re.fullmatch(r"PYTHON=3\.\d+\.\d+-slim-\w+", python)
    installs = [words for _, words in stages()["build"] if words.startswith("pip install")]
    assert installs
    assert all("--constraint constraints.txt" in words for words in installs)
    assert needed() - constraints().keys() == set(), "add them to cluster/docker/constraints.txt"
    assert constraints()["ray"] == metadata.version("ray")


def test_the_pins_are_within_what_raysuite_asks_for() -> None:
    pins = constraints()
    for text in metadata.requires("raysuite") or []:
        one = Requirement(text)
        if one.marker is None or one.marker.evaluate({**default_environment(), "extra": ""}):
            assert one.specifier.contains(pins[canonicalize_name(one.name)]), text


def test_what_is_copied_is_there_and_passes_the_dockerignore() -> None:
    lines = (CLUSTER / "docker" / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*", "nothing that is not named goes into the image"
    allowed = [rule[1:] for rule in rules if rule.startswith("!")]
    copied = [
        word
        for name, words in stages()["build"] if name == "COPY"
        for word in words.split()[:-1]
    ]  # fmt: skip
    assert copied
    for path in copied:
        assert (ROOT / path).exists(), path
        assert any(path == rule or path.startswith(f"{rule}/") for rule in allowed), path
    for secret in ("cluster/docker/auth_token", ".git", "runs", ".venv"):
        assert not any(fnmatch.fnmatch(secret, rule) for rule in allowed)


def test_the_wheel_can_be_built_of_what_is_copied() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    wanted = [*included, project["project"]["readme"], *project["project"]["license-files"], "raysuite"]
    copied = [word for name, words in stages()["build"] if name == "COPY" for word in words.split()[:-1]]
    for path in wanted:
        assert any(path == one or path.startswith(f"{one}/") for one in copied), path


def test_the_tags_that_people_are_told_to_use_are_of_these_versions() -> None:
    assert re.findall(r"-t (\S+)", DOCKERFILE) == [f"raysuite:{TAG}", f"raysuite:{TAG}-cuda"]
    assert images(document("docker/compose.yaml")) == {f"raysuite:{TAG}"}
    assert f"image.version={__version__}" in DOCKERFILE


@pytest.mark.parametrize("service", ["head", "worker"])
def test_compose_gives_the_token_as_a_file_and_takes_rights_away(service: str) -> None:
    compose = document("docker/compose.yaml")
    one = compose["services"][service]
    assert one["environment"] == {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": "/run/secrets/auth_token"}
    assert one["secrets"] == list(compose["secrets"]) == ["auth_token"]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert one["user"] == "1000:1000"
    assert one["command"][:2] == ["ray", "start"]
    assert all(port.startswith("127.0.0.1:") for port in one.get("ports", ()))


def test_compose_builds_the_image_that_its_services_run() -> None:
    compose = document("docker/compose.yaml")
    build = compose["services"]["head"]["build"]
    context = (CLUSTER / "docker" / build["context"]).resolve()
    assert (context, context / build["dockerfile"]) == (ROOT.resolve(), CLUSTER.resolve() / "docker" / "Dockerfile")
    assert compose["services"]["worker"]["depends_on"] == {"head": {"condition": "service_healthy"}}
    head = " ".join(compose["services"]["head"]["command"])
    worker = " ".join(compose["services"]["worker"]["command"])
    assert "--port=6379" in head
    assert "--address=head:6379" in worker


def test_the_token_of_compose_is_not_kept_in_git() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert {"/cluster/docker/auth_token", "/cluster/docker/shared/"} <= set(ignored)
    assert not Path(CLUSTER / "docker" / "auth_token").exists()
