"""``raysuite submit --kuberay``: a job on Kubernetes, as a RayJob of KubeRay's."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from raysuite.settings import text_of
from raysuite.submission import kubectl
from raysuite.submission.kuberay import CLUSTERS, cluster_manifest, ray_job, read_cluster, to_yaml
from raysuite.submission.spec import JobSpec

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Where on Kubernetes a job goes: the values of `kuberay_options`."""

    name: str
    cluster: str
    image: str
    namespace: str
    queue: str


def kuberay_options(command: F) -> F:
    """``--kuberay`` and what goes with it."""
    for option in (
        click.option("--queue", default="", metavar="NAME", help="With --kuberay: the Kueue queue to wait in."),
        click.option("--namespace", default="", metavar="NAME", help="With --kuberay: its namespace."),
        click.option("--image", default="", metavar="IMAGE", help="With --kuberay: the image with raysuite in it."),
        click.option(
            "--kuberay-cluster", default="cpu", show_default=True, metavar="|".join((*CLUSTERS, "FILE")),
            help="With --kuberay: the job's cluster, one of cluster/kuberay or a manifest of a RayCluster.",
        ),
        click.option(
            "--kuberay", metavar="NAME",
            help="Run it on Kubernetes, as a RayJob of this name with a cluster of its own; handed over by kubectl, or "
            "printed where there is none.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def target(options: dict[str, Any]) -> Target | None:
    """The values of `kuberay_options`; None without ``--kuberay``."""
    values = Target(
        options["kuberay"] or "", options["kuberay_cluster"], options["image"], options["namespace"], options["queue"]
    )
    if options["kuberay"]:
        return values
    if values.image or values.namespace or values.queue:
        raise click.UsageError("--image, --namespace and --queue go with --kuberay NAME")
    return None


def send(spec: JobSpec, where: Target, *, dry_run: bool, as_json: bool) -> None:
    """Render a job for KubeRay, and hand it over if there is a kubectl, else print it.

    Raises:
        ConfigError: The job cannot be one of KubeRay's, or the cluster's manifest is wrong.
        JobError: Kubernetes has a job of that name, or refuses it.
        ClusterError: Kubernetes cannot be reached.
    """
    source = str(cluster_manifest(where.cluster)) if where.cluster in CLUSTERS else where.cluster
    cluster = read_cluster(text_of(source), source)
    job = ray_job(
        spec, where.name, cluster, image=where.image, namespace=where.namespace, queue=where.queue
    )  # fmt: skip
    text = to_yaml(job)
    if dry_run or not kubectl.has_kubectl():
        click.echo(json.dumps(job, indent=2, ensure_ascii=False) if as_json else text.rstrip())
        if not dry_run:
            click.echo("There is no kubectl here; give the above to: kubectl create -f -", err=True)
        return
    told = kubectl.create(text, "rayjob", where.name, where.namespace)
    if as_json:
        click.echo(json.dumps(job, indent=2, ensure_ascii=False))
    click.echo(told, err=True)
    words = f" --namespace={where.namespace}" if where.namespace else ""
    click.echo(
        f"To see how it stands:  kubectl get rayjob {where.name}{words}\n"
        f"To follow its log:     kubectl logs --follow job/{where.name}{words}\n"
        f"To stop it:            kubectl delete rayjob {where.name}{words}",
        err=True,
    )
