"""Handing a manifest to Kubernetes, through the ``kubectl`` that is set up here."""

from __future__ import annotations

import shutil
import subprocess

from raysuite.errors import ClusterError, JobError

REQUEST_SECONDS = 60


def has_kubectl() -> bool:
    """Whether there is a ``kubectl``."""
    return shutil.which("kubectl") is not None


def create(manifest: str, kind: str, name: str, namespace: str = "") -> str:
    """Make what a manifest describes, and return what kubectl says of it.

    Args:
        manifest: YAML.
        kind: Its kind, for kubectl: ``rayjob``.
        name: Its name.
        namespace: Its namespace; empty for the one that kubectl is set to.

    Raises:
        JobError: There is one of that name already, or Kubernetes refuses it.
        ClusterError: Kubernetes cannot be reached.
    """
    where = [f"--namespace={namespace}"] if namespace else []
    # Created and not applied: a job that is over would take what is applied to it, and run nothing.
    command = ["kubectl", "create", f"--request-timeout={REQUEST_SECONDS}s", *where, "--filename", "-"]
    try:
        done = subprocess.run(  # noqa: S603 -- words, no shell
            command, input=manifest, capture_output=True, text=True, timeout=3 * REQUEST_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ClusterError(f"kubectl does not answer: {error}") from error
    if done.returncode == 0:
        return done.stdout.strip()
    lines = done.stderr.strip().splitlines() or ["no reason given"]
    told = lines[-1].removeprefix("error: ")
    if "AlreadyExists" in done.stderr:
        again = " ".join(["kubectl delete", kind, name, *where])
        raise JobError(
            f"there is a {kind} {name} already; take another name, or remove it first: {again}. What it has done is "
            "kept, and the job goes on from there"
        )
    if "no matches for kind" in done.stderr:
        raise ClusterError(f"Kubernetes knows no {kind}; install the KubeRay operator on it first: {told}")
    if any(word in done.stderr for word in ("connection refused", "Unable to connect", "no such host", "timeout")):
        raise ClusterError(f"kubectl cannot reach Kubernetes: {told}")
    raise JobError(f"Kubernetes refuses the {kind} {name}: {told}")
