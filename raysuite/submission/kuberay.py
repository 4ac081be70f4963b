"""Jobs on Kubernetes: a KubeRay RayJob, rendered from a job's spec and the manifest of a cluster.

The cluster's manifest is a RayCluster, as in ``cluster/kuberay``; what there is of Kubernetes in a job (images, nodes,
storage, secrets) is its alone. KubeRay makes the cluster for the job and deletes it afterwards.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from raysuite.errors import ConfigError
from raysuite.submission.spec import STOP_SECONDS, JobSpec

CLUSTERS = ("cpu", "gpu")
"""Clusters that raysuite comes with."""

PLACEHOLDER = "registry.example.com/"
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"
START_SECONDS = 1800
"""How long the pods of an attempt may take to start, with nodes to be had and images to be fetched."""

KEPT_SECONDS = 600
"""How long the cluster of a job that is over is kept, for its logs to be looked at."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,45}[a-z0-9])?")


def cluster_manifest(name: str) -> Path:
    """The file of a cluster that raysuite comes with: the packaged copy if there is one, else the checkout's."""
    here = Path(__file__).resolve()
    packaged = here.parent / "clusters"
    return (packaged if packaged.is_dir() else here.parents[2] / "cluster" / "kuberay") / f"raycluster-{name}.yaml"


def read_cluster(text: str, source: str) -> dict[str, Any]:
    """The RayCluster of a manifest.

    Args:
        text: The YAML; other resources may stand beside the cluster.
        source: Its name in errors.

    Raises:
        ConfigError: It is no YAML, has no RayCluster or several, its Ray is another version than the one here, or token
            authentication is not on.
    """
    try:
        documents = [one for one in yaml.safe_load_all(text) if one is not None]
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{source} is not valid YAML: {str(error).splitlines()[0]}") from error
    clusters = [one for one in documents if isinstance(one, Mapping) and one.get("kind") == "RayCluster"]
    if len(clusters) != 1 or not isinstance(clusters[0].get("spec"), Mapping):
        raise ConfigError(f"{source} must have one RayCluster with a spec, but has {len(clusters)} of that kind")
    # Without the aliases of YAML: what is changed in one place stays as it is in the other ones.
    cluster: dict[str, Any] = json.loads(json.dumps(clusters[0]))
    spec = cluster["spec"]
    here, there = metadata.version("ray"), str(spec.get("rayVersion"))
    if there != here:
        raise ConfigError(
            f"{source}: rayVersion is {there}, but raysuite here has Ray {here}; have the same in the image"
        )
    if (spec.get("authOptions") or {}).get("mode") != "token":
        raise ConfigError(
            f"{source}: authOptions.mode is not token, and whoever reaches Ray's ports could run code on the cluster; "
            "have authOptions: {mode: token} in its spec"
        )
    return cluster


def ray_job(
    spec: JobSpec, name: str, cluster: Mapping[str, Any], *, image: str = "", namespace: str = "", queue: str = ""
) -> dict[str, Any]:
    """A RayJob that runs a job on a cluster of its own.

    Args:
        spec: The job.
        name: Name of the RayJob.
        cluster: What `read_cluster` gave.
        image: Taken in all containers of Ray's, instead of what the cluster says.
        namespace: Of the RayJob; empty for the one that kubectl is set to.
        queue: Kueue's LocalQueue that the job waits in. Kueue hands out whole clusters, so the cluster then does not
            grow: it has the ``replicas`` of each group from the beginning.

    Raises:
        ConfigError: The name cannot be one of a RayJob; no image is named; the job needs what a RayJob cannot have.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"--kuberay {name}: it takes up to 47 small letters, digits and hyphens, such as nightly-score"
        )
    if spec.wheel:
        raise ConfigError("--ship does not go with --kuberay: have this version of raysuite in the image")
    ray: dict[str, Any] = json.loads(json.dumps(cluster["spec"]))
    _set_image(ray, image)
    if queue:
        _fix_size(ray)
    environment = yaml.safe_dump(spec.ray_runtime_env(), sort_keys=False)
    _refuse_expansions(spec.entrypoint(), environment, *spec.metadata, *spec.metadata.values())
    job: dict[str, Any] = {
        "entrypoint": spec.entrypoint(),
        "runtimeEnvYAML": environment,
        "submissionMode": "K8sJobMode",
        # Each attempt gets a new cluster; the command goes on from what the one before has left in the run folder.
        "backoffLimit": spec.retries,
        "submitterPodTemplate": _submitter(ray),
        "shutdownAfterJobFinishes": True,
        "ttlSecondsAfterFinished": KEPT_SECONDS,
    }
    if spec.metadata:
        job["metadata"] = dict(spec.metadata)
    if spec.timeout is not None:
        # The command ends itself in time. This ends what cannot: pods that never start, a head that hangs.
        attempt = START_SECONDS + math.ceil(spec.timeout) + STOP_SECONDS
        job["activeDeadlineSeconds"] = attempt * (1 + spec.retries)
    takes = {"entrypointNumCpus": spec.resources.num_cpus, "entrypointNumGpus": spec.resources.num_gpus}
    job |= {key: value for key, value in takes.items() if value}
    job["rayClusterSpec"] = ray
    card: dict[str, Any] = {"name": name}
    if namespace:
        card["namespace"] = namespace
    card["labels"] = {"app.kubernetes.io/managed-by": "raysuite", **({QUEUE_LABEL: queue} if queue else {})}
    return {"apiVersion": "ray.io/v1", "kind": "RayJob", "metadata": card, "spec": job}


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as such, and nothing as an alias of something else."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- the interface of YAML's
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _write_text)


def to_yaml(manifest: Mapping[str, Any]) -> str:
    """A manifest as text, in the order of its keys."""
    return yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=118)


def _templates(ray: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pods' specs: the head's first."""
    return [group["template"]["spec"] for group in (ray["headGroupSpec"], *ray.get("workerGroupSpecs", ()))]


def _set_image(ray: Mapping[str, Any], image: str) -> None:
    for pod in _templates(ray):
        container = pod["containers"][0]  # KubeRay's rule: Ray's is the first
        if image:
            container["image"] = image
        elif container.get("image", "").startswith(PLACEHOLDER):
            raise ConfigError(
                f"the cluster's image is {container['image']}, which stands for yours; give --image, or a manifest "
                "with yours in it as --kuberay-cluster"
            )


def _fix_size(ray: dict[str, Any]) -> None:
    ray["enableInTreeAutoscaling"] = False
    ray.pop("autoscalerOptions", None)
    groups = [group for group in ray.get("workerGroupSpecs", ()) if group.get("replicas", 0)]
    for group in groups:
        group["minReplicas"] = group["maxReplicas"] = group["replicas"]
    ray["workerGroupSpecs"] = groups


def _submitter(ray: Mapping[str, Any]) -> dict[str, Any]:
    """The pod that hands the job to the cluster and shows its log; as confined as the head."""
    head = _templates(ray)[0]
    container = head["containers"][0]
    submitter = {
        "name": "submitter",
        "image": container["image"],
        "resources": {
            "requests": {"cpu": "500m", "memory": "512Mi"},
            "limits": {"cpu": "1", "memory": "1Gi"},
        },
    }
    pod: dict[str, Any] = {"restartPolicy": "Never", "automountServiceAccountToken": False, "containers": [submitter]}
    if "securityContext" in container:
        submitter["securityContext"] = container["securityContext"]
    for key in ("securityContext", "imagePullSecrets"):
        if key in head:
            pod[key] = head[key]
    return {"spec": pod}


def _refuse_expansions(*texts: str) -> None:
    """Kubernetes and the submitter's shell put values in for what looks like a variable, those of secrets too."""
    for text in texts:
        if "$" in text or "`" in text:
            raise ConfigError(
                "a job for KubeRay may have no $ and no ` in its command, runtime environment and metadata, as they "
                "would be taken for variables and commands on the way"
            )
