"""What stands in cluster/kuberay, against the facts of KubeRay's resources and of pods."""

from __future__ import annotations

import copy
import re
from importlib import metadata
from typing import Any

import pytest

from raysuite import __version__
from raysuite.submission.kuberay import CLUSTERS, QUEUE_LABEL, cluster_manifest
from tests.cluster.files import CLUSTER, document, documents, images
from tests.submission.facts import differences, refusals

RAY = metadata.version("ray")
FILES = {"raycluster-cpu.yaml": "RayCluster", "raycluster-gpu.yaml": "RayCluster", "rayjob.yaml": "RayJob"}


def manifest(name: str) -> dict[str, Any]:
    return document(f"kuberay/{name}")


def ray_of(name: str) -> dict[str, Any]:
    """The cluster's spec of any of the `FILES`."""
    spec: dict[str, Any] = manifest(name)["spec"]
    return spec.get("rayClusterSpec", spec)


def pods(name: str) -> dict[str, dict[str, Any]]:
    """The pods of any of the `FILES`, by group."""
    ray = ray_of(name)
    groups = {"head": ray["headGroupSpec"]} | {group["groupName"]: group for group in ray["workerGroupSpecs"]}
    return {group: one["template"]["spec"] for group, one in groups.items()}


@pytest.mark.parametrize(("name", "kind"), FILES.items())
def test_manifests_are_what_kubernetes_accepts(name: str, kind: str) -> None:
    assert refusals(manifest(name), kind) == []


def test_the_facts_refuse_what_is_wrong() -> None:
    good = manifest("raycluster-gpu.yaml")

    def told(change: Any) -> str:
        bad = copy.deepcopy(good)
        change(bad["spec"])
        return " ".join(refusals(bad, "RayCluster"))

    assert "'rayVersoin' was unexpected" in told(lambda spec: spec.update(rayVersoin="2.60.0"))
    assert "'tokens' is not one of ['disabled', 'token']" in told(
        lambda spec: spec["authOptions"].update(mode="tokens")
    )
    assert "'minReplicas' is a required property" in told(lambda spec: spec["workerGroupSpecs"][0].pop("minReplicas"))
    assert "is not of type 'integer'" in told(lambda spec: spec["workerGroupSpecs"][0].update(replicas="1"))
    assert "'imagePullPolcy' was unexpected" in told(
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0].update(imagePullPolcy="Always")
    )
    assert "8 GB" in told(
        lambda spec: spec["headGroupSpec"]["template"]["spec"]["containers"][0]["resources"]["limits"].update(
            memory="8 GB"
        )
    )


def test_a_published_crd_that_differs_from_the_facts_is_told() -> None:
    crd = {
        "spec": {
            "names": {"kind": "RayCluster"},
            "versions": [
                {"name": "v1alpha1", "schema": {}},
                {
                    "name": "v1",
                    "schema": {
                        "openAPIV3Schema": {
                            "properties": {
                                "spec": {
                                    "properties": {
                                        "rayVersion": {"type": "integer"},
                                        "brandNew": {"type": "string"},
                                        "authOptions": {
                                            "properties": {"mode": {"type": "string", "enum": ["token"]}},
                                            "type": "object",
                                        },
                                        "headGroupSpec": {"type": "object"},
                                    }
                                }
                            }
                        }
                    },
                },
            ],
        }
    }
    found = differences(crd)
    for words in (
        "RayCluster.spec.brandNew is not in the facts",
        "RayCluster.spec.rayVersion is integer in the CRD, string in the facts",
        "RayCluster.spec.authOptions.mode is one of ['token'] in the CRD",
        "RayCluster.spec.authOptions.secretName is not in the CRD",
        "RayCluster.spec.headGroupSpec is not required by the CRD",
    ):
        assert words in found


@pytest.mark.parametrize("name", FILES)
def test_the_ray_of_cluster_image_and_package_are_one(name: str) -> None:
    assert ray_of(name)["rayVersion"] == RAY
    named = images(manifest(name))
    assert named
    for image in named:
        assert re.fullmatch(rf".*/raysuite:{re.escape(__version__)}-ray{re.escape(RAY)}(-cuda)?", image), image


@pytest.mark.parametrize("name", FILES)
def test_pods_are_confined_and_ask_for_what_they_may_take(name: str) -> None:
    for group, pod in pods(name).items():
        assert pod["securityContext"]["runAsNonRoot"], group
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, group
        # The head's autoscaler talks to Kubernetes; nobody else does.
        assert group == "head" or pod["automountServiceAccountToken"] is False, group
        for container in pod["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False, group
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}, group
            assert container["resources"]["requests"] == container["resources"]["limits"], group


@pytest.mark.parametrize("name", ["raycluster-cpu.yaml", "raycluster-gpu.yaml"])
def test_the_autoscaler_beside_the_head_is_confined_too(name: str) -> None:
    options = ray_of(name)["autoscalerOptions"]
    assert options["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert options["version"] == "v2", "the one that raysuite asks for room"


@pytest.mark.parametrize("name", FILES)
def test_the_head_computes_nothing_and_is_reached_from_within_alone(name: str) -> None:
    head = ray_of(name)["headGroupSpec"]
    assert head["rayStartParams"]["num-cpus"] == "0"
    assert head["serviceType"] == "ClusterIP"
    assert not head.get("enableIngress")


def test_gpu_workers_grow_and_one_stays_for_the_planner_to_see() -> None:
    gpu = ray_of("raycluster-gpu.yaml")["workerGroupSpecs"][0]
    container = gpu["template"]["spec"]["containers"][0]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"].endswith("-cuda")
    assert 1 == gpu["minReplicas"] < gpu["maxReplicas"]
    assert ray_of("raycluster-gpu.yaml")["enableInTreeAutoscaling"] is True
    assert any(one["key"] == "nvidia.com/gpu" for one in gpu["template"]["spec"]["tolerations"])


def test_every_volume_that_is_mounted_is_there() -> None:
    claim = manifest("storage.yaml")
    assert claim["kind"] == "PersistentVolumeClaim"
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    for name in FILES:
        for group, pod in pods(name).items():
            volumes = {one["name"]: one for one in pod["volumes"]}
            for container in pod["containers"]:
                assert {one["name"] for one in container["volumeMounts"]} == volumes.keys(), group
            assert {one["persistentVolumeClaim"]["claimName"] for one in volumes.values()} == {
                claim["metadata"]["name"]
            }


def test_the_queue_leads_to_a_quota_that_holds_the_job() -> None:
    by_kind = {one["kind"]: one for one in documents("kuberay/kueue.yaml")}
    assert {one["apiVersion"] for one in by_kind.values()} == {"kueue.x-k8s.io/v1beta2"}
    local, queue, flavor = (by_kind[kind] for kind in ("LocalQueue", "ClusterQueue", "ResourceFlavor"))
    assert local["spec"]["clusterQueue"] == queue["metadata"]["name"]
    (group,) = queue["spec"]["resourceGroups"]
    (offer,) = group["flavors"]
    assert offer["name"] == flavor["metadata"]["name"]
    quota = {one["name"]: one["nominalQuota"] for one in offer["resources"]}
    assert list(quota) == group["coveredResources"], "Kueue refuses others"
    job = manifest("rayjob.yaml")
    assert job["metadata"]["labels"][QUEUE_LABEL] == local["metadata"]["name"]
    assert job["spec"]["rayClusterSpec"]["enableInTreeAutoscaling"] is False, "Kueue hands out whole clusters"
    requests = [
        container["resources"]["requests"] for pod in pods("rayjob.yaml").values() for container in pod["containers"]
    ]
    assert {key for one in requests for key in one} <= quota.keys()
    assert sum(int(one["cpu"]) for one in requests) <= quota["cpu"]
    assert sum(int(one["memory"].removesuffix("Gi")) for one in requests) <= int(quota["memory"].removesuffix("Gi"))


@pytest.mark.parametrize("name", CLUSTERS)
def test_submit_finds_the_clusters(name: str) -> None:
    assert cluster_manifest(name) == CLUSTER / "kuberay" / f"raycluster-{name}.yaml"
