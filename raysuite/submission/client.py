"""The jobs of a cluster, through Ray's Jobs API, and what it says when it cannot be had."""

from __future__ import annotations

import contextlib
import logging
import os
import shlex
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

# Sets Ray's environment, token authentication among it, before Ray is imported.
import raysuite.pipelines  # noqa: F401 # isort: skip
import aiohttp
import ray
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from raysuite import __version__
from raysuite.errors import ClusterError, JobError
from raysuite.submission.job import ATTEMPT, BY, COMMAND, RESULTS, VERSION, Job
from raysuite.submission.spec import JobSpec

DEFAULT_ADDRESS = "http://127.0.0.1:8265"
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 120.0
_VARIABLE = "RAY_API_SERVER_ADDRESS"


class UnreachableError(ClusterError):
    """The cluster does not answer now; it may later."""


class _Client(JobSubmissionClient):
    """Ray's client, which would wait for ever for an answer."""

    def _do_request(self, method: str, endpoint: str, **options: Any) -> Any:
        return super()._do_request(method, endpoint, **{"timeout": (CONNECT_SECONDS, ANSWER_SECONDS), **options})


class Jobs:
    """The jobs of one cluster."""

    def __init__(self, address: str) -> None:
        """Connect, and look whether the cluster runs the Ray that raysuite needs.

        Args:
            address: Of its dashboard: a URL, or ``host:port``.

        Raises:
            ClusterError: The address is none, nobody answers there, the token is wrong, or Ray is another version.
        """
        self.address = url(address)
        for name in ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk"):
            logging.getLogger(name).setLevel(logging.ERROR)
        with self._asked(), _named(self.address):
            self._client = _Client(self.address)
            version = self._client._do_request("GET", "/api/version").json()["ray_version"]
        if _minor(version) != _minor(ray.__version__):
            raise ClusterError(
                f"the cluster at {self.address} runs Ray {version}, but raysuite needs Ray {_minor(ray.__version__)} "
                f"there, as here ({ray.__version__}); take a cluster, or an image, with that version"
            )

    def send(self, spec: JobSpec, attempt: int, metadata: Mapping[str, str]) -> str:
        """Send an attempt of a job, with its wheel if it has one, and return its id.

        Raises:
            JobError: The cluster refuses it, because it has that attempt already or does not like what it is sent.
            ClusterError: The cluster cannot be reached.
        """
        environment = spec.ray_runtime_env()
        if spec.wheel:
            environment["py_modules"] = [spec.wheel]
        name = spec.submission_id(attempt)
        with self._asked():
            self._client.submit_job(
                entrypoint=spec.entrypoint(),
                submission_id=name,
                runtime_env=environment,
                metadata={**spec.metadata, **metadata, ATTEMPT: str(attempt)},
                entrypoint_num_cpus=spec.resources.num_cpus or None,
                entrypoint_num_gpus=spec.resources.num_gpus or None,
                entrypoint_memory=spec.resources.memory or None,
            )
        return name

    def all(self) -> list[Job]:
        """All jobs that were sent to the cluster, the latest first.

        Raises:
            ClusterError: The cluster cannot be reached.
        """
        with self._asked():
            details = self._client.list_jobs()
        # Programs that connected by themselves are listed too, and have no id.
        jobs = [_job(one) for one in details if one.submission_id]
        return sorted(jobs, key=lambda job: job.started or 0.0, reverse=True)

    def get(self, name: str) -> Job:
        """How a job stands.

        Raises:
            JobError: The cluster has no such job.
            ClusterError: The cluster cannot be reached.
        """
        with self._asked():
            return _job(self._client.get_job_info(name))

    def log(self, name: str) -> str:
        """All that a job has printed.

        Raises:
            JobError: The cluster has no such job, or its log is gone with the node that it lay on.
            ClusterError: The cluster cannot be reached.
        """
        with self._asked():
            return str(self._client.get_job_logs(name))

    async def tail(self, name: str) -> AsyncGenerator[str, None]:
        """What a job has printed and prints, from the beginning, in pieces, until it ends or the connection does.

        Raises:
            JobError: The cluster has no such job.
            ClusterError: The cluster cannot be reached.
        """
        with self._asked():
            async for piece in self._client.tail_job_logs(name):
                yield str(piece)

    def stop(self, name: str) -> None:
        """Ask a job to stop; it goes on for as long as it needs for that.

        Raises:
            JobError: The cluster has no such job.
            ClusterError: The cluster cannot be reached.
        """
        with self._asked():
            self._client.stop_job(name)

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        """Turn what goes wrong while the cluster is asked into one sentence."""
        try:
            yield
        except AuthenticationError as error:
            raise ClusterError(self._refused(str(error))) from error
        except (ValueError, KeyError, TypeError) as error:
            # Before OSError: what requests says of an answer that is no JSON is both.
            raise ClusterError(
                f"what answers at {self.address} is not Ray's dashboard; give its address, such as http://head:8265"
            ) from error
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            # Of requests, of aiohttp and of Ray alike, a bad certificate among them.
            if getattr(error, "status", None) in {401, 403}:
                raise ClusterError(self._refused("403")) from error
            raise UnreachableError(f"cannot reach the cluster at {self.address}: {_reason(error)}") from error
        except RuntimeError as error:
            raise self._told(str(error)) from error

    def _refused(self, told: str) -> str:
        where = "~/.ray/auth_token, in the file that RAY_AUTH_TOKEN_PATH names, or in RAY_AUTH_TOKEN"
        if "couldn't find" in told:
            return (
                f"there is no token here for the cluster at {self.address}; have it in {where}; for a cluster without "
                "tokens, set RAY_AUTH_MODE=disabled"
            )
        if "Authentication required" in told:
            return (
                f"the cluster at {self.address} wants a token; set RAY_AUTH_MODE=token, and have the token in {where}"
            )
        return f"the cluster at {self.address} does not take this token; have the cluster's own in {where}"

    def _told(self, text: str) -> ClusterError | JobError:
        """The error of a request that was answered, but not with what was asked for."""
        lines = [line for line in text.strip().splitlines() if line.strip()] or ["no reason given"]
        if "does not exist" in text and "status code 404" in text:
            return JobError(f"the cluster at {self.address} has no such job: {lines[0].rpartition(': ')[2]}")
        if "already exists" in text:
            return JobError(f"the cluster at {self.address} has this attempt already; somebody sent it a moment ago")
        if "closed unexpectedly" in text:
            return UnreachableError(f"the connection to the cluster at {self.address} was lost")
        if "No space left on device" in text:
            return ClusterError(f"the disk of the head at {self.address} is full; make room below its --temp-dir")
        if "returned 404" in text:
            return ClusterError(f"what answers at {self.address} is not Ray's dashboard; give its address")
        return JobError(f"the cluster at {self.address} refuses: {lines[-1].strip()[:500]}")


def url(address: str) -> str:
    """The URL of a dashboard.

    Raises:
        ClusterError: It is an address of another kind.
    """
    full = (address if "://" in address else f"http://{address}").rstrip("/")
    parts = urlsplit(full)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ClusterError(
            f"{address} is no address for jobs; they take that of the dashboard, such as http://head:8265"
        )
    if parts.username or parts.password:
        raise ClusterError("the address has a password in it; a cluster's token belongs into ~/.ray/auth_token")
    return full if "://" in address or ":" in parts.netloc.rpartition("]")[2] else f"{full}:8265"


@contextlib.contextmanager
def _named(address: str) -> Iterator[None]:
    """Let Ray take this address: its client prefers those of the environment to the one it is given."""
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = address
    try:
        yield
    finally:
        if before is None:
            del os.environ[_VARIABLE]
        else:
            os.environ[_VARIABLE] = before


def described(spec: JobSpec, by: str, results: str) -> dict[str, str]:
    """The metadata of a job: its command, who sent it and with which raysuite, and where its results go."""
    words = ("raysuite", *spec.command) if spec.is_raysuite else spec.command
    return {COMMAND: shlex.join(words), BY: by, VERSION: __version__, **({RESULTS: results} if results else {})}


def _job(details: Any) -> Job:
    return Job(
        id=str(details.submission_id or details.job_id),
        state=str(details.status.value).lower(),
        exit_code=details.driver_exit_code,
        message=details.message or "",
        kind=str(getattr(details.error_type, "value", details.error_type) or ""),
        started=None if details.start_time is None else details.start_time / 1000,
        ended=details.end_time / 1000 if details.end_time else None,
        entrypoint=details.entrypoint,
        metadata=details.metadata or {},
        ships=bool((details.runtime_env or {}).get("py_modules")),
    )


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])


def _reason(error: BaseException) -> str:
    # Ray's own says only that it failed; why stands in what it was raised from.
    text = f"{error}\n{error.__context__ or ''}"
    for mark, reason in (
        ("Connection refused", "nothing listens there"),
        ("Name or service not known", "its name is not known"),
        ("Failed to resolve", "its name is not known"),
        ("CERTIFICATE_VERIFY_FAILED", "its certificate is not one that this machine trusts"),
        ("WRONG_VERSION_NUMBER", "it speaks http, not https"),
        ("timed out", "no answer in time"),
    ):
        if mark in text:
            return reason
    return text.strip().splitlines()[0][:300] if text.strip() else type(error).__name__
