"""Handing jobs to Kubernetes, with a program in kubectl's place that answers as kubectl does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from raysuite.cli.main import main

SCRIPT = """#!{python}
import json, pathlib, sys
pathlib.Path({log!r}).write_text(json.dumps([sys.argv[1:], sys.stdin.read()]))
print({out!r})
print({err!r}, file=sys.stderr)
sys.exit({code})
"""


@pytest.fixture(autouse=True)
def _only_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubectl but the one of the test."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def kubectl(tmp_path: Path, out: str = "", err: str = "", code: int = 0) -> Path:
    """Put a kubectl in its place; returns the file that it leaves its words and its input in."""
    program, log = tmp_path / "bin" / "kubectl", tmp_path / "log.json"
    program.write_text(SCRIPT.format(python=sys.executable, log=str(log), out=out, err=err, code=code))
    program.chmod(0o755)
    return log


def submit(*more: str) -> Result:
    words = ["submit", "--kuberay", "nightly", "--image", "192.0.2.1/raysuite:mine", *more, "--shared", "/mnt"]
    return CliRunner().invoke(main, [*words, "--", "report", "/mnt/run"])


def test_a_job_is_handed_over_as_it_would_be_printed(tmp_path: Path) -> None:
    log = kubectl(tmp_path, out="rayjob.ray.io/nightly created")
    result = submit("--namespace", "vision")
    assert result.exit_code == 0, result.output
    words, given = json.loads(log.read_text())
    assert words == ["create", "--request-timeout=60s", "--namespace=vision", "--filename", "-"]
    assert yaml.safe_load(given)["metadata"]["name"] == "nightly"
    assert "rayjob.ray.io/nightly created" in result.stderr
    assert "kubectl logs --follow job/nightly --namespace=vision" in result.stderr
    assert given.rstrip() == submit("--namespace", "vision", "--dry-run").stdout.rstrip()


def test_without_kubectl_it_is_printed_with_a_word_of_what_to_do() -> None:
    result = submit()
    assert result.exit_code == 0, result.output
    assert yaml.safe_load(result.stdout)["kind"] == "RayJob"
    assert "There is no kubectl here; give the above to: kubectl create -f -" in result.stderr


def test_a_dry_run_asks_no_kubectl(tmp_path: Path) -> None:
    log = kubectl(tmp_path)
    assert submit("--dry-run").exit_code == 0
    assert not log.exists()
    assert json.loads(submit("--dry-run", "--json").stdout)["kind"] == "RayJob"


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            'Error from server (AlreadyExists): error when creating "STDIN": rayjobs.ray.io "nightly" already exists',
            "there is a rayjob nightly already; take another name, or remove it first: kubectl delete rayjob nightly",
        ),
        (
            'error: resource mapping not found for name: "nightly" namespace: "" from "STDIN": no matches for kind '
            '"RayJob" in version "ray.io/v1"',
            "Kubernetes knows no rayjob; install the KubeRay operator on it first",
        ),
        (
            "The connection to the server 192.0.2.9:6443 was refused - did you specify the right host or port?\n"
            "error: connection refused",
            "kubectl cannot reach Kubernetes",
        ),
        (
            'Error from server (Forbidden): rayjobs.ray.io is forbidden: User "eve" cannot create resource "rayjobs"',
            "Kubernetes refuses the rayjob nightly: Error from server (Forbidden): rayjobs.ray.io is forbidden",
        ),
    ],
)
def test_what_kubernetes_refuses_is_one_sentence(tmp_path: Path, told: str, words: str) -> None:
    kubectl(tmp_path, err=told, code=1)
    result = submit()
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {words}")
    assert len(result.stderr.splitlines()) == 1


def test_words_of_a_job_never_reach_a_shell(tmp_path: Path) -> None:
    log = kubectl(tmp_path, out="created")
    words = ["submit", "--kuberay", "nightly", "--image", f"x; touch {tmp_path / 'hacked'}", "--shared", "/mnt"]
    result = CliRunner().invoke(main, [*words, "--", "report", f"/mnt/run; touch {tmp_path / 'hacked'}"])
    assert result.exit_code == 0, result.output
    assert log.exists()
    assert not (tmp_path / "hacked").exists()
    assert os.environ["PATH"] == str(tmp_path / "bin")
