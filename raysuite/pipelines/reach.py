"""Does a cluster answer, and does it take our token? Asked before Ray connects, as Ray tries long and says little."""

from __future__ import annotations

import grpc
import ray

# Not for the public, and Ray's version is pinned: how Ray itself opens a channel, with its token and certificates.
from ray._private.grpc_utils import init_grpc_channel
from ray._private.services import canonicalize_bootstrap_address
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

from raysuite.errors import ClusterError

ANSWER_SECONDS = 10.0


def reach(address: str) -> None:
    """Ask the head of a cluster for its name.

    Args:
        address: As Ray takes it: ``host:port`` or ``auto``. That of Ray Client (``ray://``) is left to Ray.

    Raises:
        ClusterError: Nobody answers there within `ANSWER_SECONDS`, the token is wrong or there is none, or the address
            is one of another kind.
    """
    if address.startswith(("http://", "https://")):
        raise ClusterError(
            f"{address} is the address of a dashboard, which takes jobs: raysuite submit --address {address} -- "
            "cluster check; on a node of the cluster give the head's, such as 192.0.2.1:6379, or auto"
        )
    if address.startswith("ray://"):
        return
    try:
        target = canonicalize_bootstrap_address(address)
    except (ValueError, OSError) as error:
        raise ClusterError(f"{address} is no address of a cluster; give one such as 192.0.2.1:6379, or auto") from error
    if target is None:
        raise ClusterError("no Ray cluster is known to run on this machine; give the address of its head, host:6379")
    try:
        channel = init_grpc_channel(target)
        with channel:
            stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)  # type: ignore[no-untyped-call]
            request = gcs_service_pb2.GetClusterIdRequest()  # type: ignore[attr-defined]
            stub.GetClusterId(request, timeout=ANSWER_SECONDS)
    except grpc.RpcError as error:
        raise ClusterError(_sentence(target, error)) from error
    except ray.exceptions.AuthenticationError as error:
        raise ClusterError(_refused(target, "wants a token, and there is none here")) from error


def _refused(target: str, why: str) -> str:
    return (
        f"the cluster at {target} {why}; have the cluster's token in ~/.ray/auth_token, in the file that "
        "RAY_AUTH_TOKEN_PATH names, or in RAY_AUTH_TOKEN, and RAY_AUTH_MODE=token"
    )


def _sentence(target: str, error: grpc.RpcError) -> str:
    code = error.code() if isinstance(error, grpc.Call) else None
    if code is grpc.StatusCode.UNAUTHENTICATED:
        return _refused(target, "does not take our token")
    return (
        f"no Ray cluster answers at {target}; the address is that of its head, the port the one of ray start --head "
        "--port, and firewalls must let both pass"
    )
