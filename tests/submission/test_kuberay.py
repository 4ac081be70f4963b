"""Jobs rendered for KubeRay: valid whatever the spec says, and nothing in them that is not in spec and cluster."""

from __future__ import annotations

import re
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from raysuite.cli.main import main
from raysuite.errors import ConfigError
from raysuite.submission.kuberay import CLUSTERS, cluster_manifest, ray_job, read_cluster, to_yaml
from raysuite.submission.spec import JobSpec, Resources, RuntimeEnv
from tests.submission.facts import refusals

ROOT = Path(__file__).parents[2]
IMAGE = "192.0.2.1:5000/raysuite:mine"
VALUES = {
    "benchmark": ("data=/mnt/data", "run=/mnt/run"),
    "train-all": ("data=/mnt/data", "run=/mnt/run"),
    "tune": ("data=/mnt/data", "run=/mnt/run"),
    "score": ("input=/mnt/data", "model=/mnt/run/screw", "output=/mnt/scored"),
    "report": ("run=/mnt/run",),
}


def cluster(name: str = "cpu") -> dict[str, Any]:
    path = cluster_manifest(name)
    return read_cluster(path.read_text(encoding="utf-8"), path.name)


def submit(*words: str) -> Result:
    return CliRunner().invoke(main, ["submit", *words, "--shared", "/mnt"])


def job_of(name: str, *words: str) -> Result:
    given = [word for value in VALUES[name] for word in ("--set", value)]
    return submit(str(ROOT / "jobs" / f"{name}.yaml"), *given, "--kuberay", "job", "--image", IMAGE, *words)


def test_every_spec_of_jobs_is_rendered_here() -> None:
    assert {path.stem for path in (ROOT / "jobs").glob("*.yaml")} == set(VALUES)


@pytest.mark.parametrize("on", CLUSTERS)
@pytest.mark.parametrize("name", VALUES)
def test_every_spec_of_jobs_becomes_what_kubernetes_accepts(name: str, on: str) -> None:
    result = job_of(name, "--kuberay-cluster", on, "--dry-run")
    assert result.exit_code == 0, result.output
    job = yaml.safe_load(result.stdout)
    assert refusals(job, "RayJob") == []
    spec = job["spec"]
    assert spec["rayClusterSpec"]["rayVersion"] == metadata.version("ray")
    assert spec["rayClusterSpec"]["authOptions"] == {"mode": "token"}
    assert set(re.findall(r"image: (\S+)", result.stdout)) == {IMAGE}
    assert spec["shutdownAfterJobFinishes"] is True
    assert spec["ttlSecondsAfterFinished"] > 0
    assert spec["activeDeadlineSeconds"] > 0


def test_the_job_that_is_shipped_is_what_its_first_lines_print() -> None:
    text = (ROOT / "cluster" / "kuberay" / "rayjob.yaml").read_text(encoding="utf-8")
    head, _, body = text.partition("\napiVersion")
    told = " ".join(line.strip("# \\") for line in head.splitlines() if line.startswith("#   "))
    words = shlex.split(told)
    assert words[:2] == ["raysuite", "submit"]
    words[2] = str(ROOT / words[2])
    result = CliRunner().invoke(main, words[1:])
    assert result.exit_code == 0, result.output
    assert result.stdout.rstrip() == f"apiVersion{body}".rstrip()


def test_the_spec_is_in_the_job_word_by_word() -> None:
    spec = JobSpec(
        name="odd",
        command=("benchmark", "/mnt/two words", "--run", "/mnt/it's"),
        resources=Resources(1, 0.5, 2**30),
        runtime_env=RuntimeEnv({"WORDS": "one\ntwo: 'three'"}, ("adlfs==2024.7.0",)),
        retries=3,
        timeout=100.5,
        metadata={"for": "line 3"},
    )
    job = ray_job(spec, "odd", cluster(), image=IMAGE, namespace="vision")
    assert refusals(job, "RayJob") == []
    assert yaml.safe_load(to_yaml(job)) == job
    body = job["spec"]
    assert shlex.split(body["entrypoint"])[-4:] == ["benchmark", "/mnt/two words", "--run", "/mnt/it's"]
    assert yaml.safe_load(body["runtimeEnvYAML"]) == spec.ray_runtime_env()
    assert (body["entrypointNumCpus"], body["entrypointNumGpus"]) == (1, 0.5)
    assert body["backoffLimit"] == 3
    assert body["activeDeadlineSeconds"] >= 4 * 101, "each attempt has its time"
    assert body["metadata"] == {"for": "line 3"}
    assert job["metadata"]["namespace"] == "vision"


def test_without_a_timeout_there_is_no_deadline() -> None:
    assert (
        "activeDeadlineSeconds" not in ray_job(JobSpec("a", ("report", "/mnt/r")), "a", cluster(), image=IMAGE)["spec"]
    )


def test_in_a_queue_the_cluster_is_of_one_size() -> None:
    job = ray_job(JobSpec("a", ("report", "/mnt/r")), "a", cluster("gpu"), image=IMAGE, queue="vision")
    assert refusals(job, "RayJob") == []
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "vision"
    ray = job["spec"]["rayClusterSpec"]
    assert ray["enableInTreeAutoscaling"] is False
    assert [(one["groupName"], one["minReplicas"], one["maxReplicas"]) for one in ray["workerGroupSpecs"]] == [
        ("gpu", 1, 1)
    ]


def test_the_manifest_of_the_cluster_is_left_as_it_was() -> None:
    given = cluster("gpu")
    ray_job(JobSpec("a", ("report", "/mnt/r")), "a", given, image=IMAGE, queue="vision")
    assert given == cluster("gpu")


@pytest.mark.parametrize(
    "spec",
    [
        JobSpec("a", ("report", "/mnt/$(RAY_AUTH_TOKEN)")),
        JobSpec("a", ("report", "/mnt/r"), metadata={"note": "$(rm -r /mnt)"}),
        JobSpec("a", ("report", "/mnt/r"), metadata={"`id`": "note"}),
        JobSpec("a", ("report", "/mnt/r"), runtime_env=RuntimeEnv({"NOTE": "`id`"})),
    ],
)
def test_nothing_in_a_job_is_taken_for_a_variable_or_a_command(spec: JobSpec) -> None:
    with pytest.raises(ConfigError, match="may have no \\$ and no `"):
        ray_job(spec, "a", cluster(), image=IMAGE)


@pytest.mark.parametrize("name", ["Parts", "1st", "a_b", "a" * 48, "ends-"])
def test_names_that_kuberay_refuses_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="it takes up to 47 small letters"):
        ray_job(JobSpec("a", ("report", "/mnt/r")), name, cluster(), image=IMAGE)


def test_what_does_not_go_with_kuberay_is_refused() -> None:
    with pytest.raises(ConfigError, match="stands for yours; give --image"):
        ray_job(JobSpec("a", ("report", "/mnt/r")), "a", cluster())
    with pytest.raises(ConfigError, match="--ship does not go with --kuberay"):
        ray_job(JobSpec("a", ("report", "/mnt/r"), wheel="/w.whl"), "a", cluster(), image=IMAGE)
    result = submit("--queue", "vision", "--dry-run", "--", "report", "/mnt/r")
    assert result.exit_code == 2
    assert "--queue go with --kuberay NAME" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("{mode: token}", "{mode: disabled}", "authOptions.mode is not token"),
        ("authOptions: {mode: token}", "suspend: false", "authOptions.mode is not token"),
        ('rayVersion: "2.60.0"', 'rayVersion: "2.59.1"', "rayVersion is 2.59.1, but raysuite here has Ray"),
        ("kind: RayCluster", "kind: RayService", "must have one RayCluster with a spec, but has 0"),
        ("metadata:", "metadata: [", "is not valid YAML"),
    ],
)
def test_clusters_that_will_not_do_are_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    text = cluster_manifest("cpu").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "mine.yaml").write_text(text.replace(old, new))
    result = job_of("report", "--kuberay-cluster", str(tmp_path / "mine.yaml"), "--dry-run")
    assert result.exit_code == 2
    assert words in result.stderr
    assert "mine.yaml" in result.stderr
