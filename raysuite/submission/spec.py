"""What a job is: one raysuite command, what its entry point takes, and the environment that it runs in.

The entry point is only the driver: it trains nothing itself, and asks the cluster for what the work takes.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from raysuite import __version__
from raysuite.credentials import reveals
from raysuite.errors import ConfigError

SUBCOMMANDS = (
    "benchmark", "train", "evaluate", "report", "compare", "export", "score", "tune", "status", "cluster", "data",
    "model", "demo",
)  # fmt: skip
ENTRY = "raysuite.submission.entry"
STOP_SECONDS = 60
"""How long a job that is told to stop may take for it; Ray kills it afterwards."""

_NAME = re.compile(r"[a-z]([a-z0-9-]{0,38}[a-z0-9])?")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"(?i)(secret|passw|token|credential|private|api_?key|access_?key|auth)")


@dataclass(frozen=True, slots=True)
class Resources:
    """What the entry point takes of the cluster for as long as it runs, beside what its work takes.

    Attributes:
        num_cpus: CPUs. With nothing here but zeros, the entry point runs on the head.
        num_gpus: GPUs.
        memory: Bytes.
    """

    num_cpus: float = 0.0
    num_gpus: float = 0.0
    memory: int = 0

    def __post_init__(self) -> None:
        for key in ("num_cpus", "num_gpus", "memory"):
            if getattr(self, key) < 0:
                raise ConfigError(f"resources.{key} is {getattr(self, key)}, but it must be 0 or more")


@dataclass(frozen=True, slots=True)
class RuntimeEnv:
    """What Ray sets up on every node before it runs the job's processes there.

    Attributes:
        env_vars: Variables, name → value. Anybody who may look at the cluster's jobs sees them.
        pip: Requirements that are installed beside what the cluster has, such as ``adlfs==2024.7.0``.
        setup_timeout: Seconds that this may take.
    """

    env_vars: Mapping[str, str] = field(default_factory=dict)
    pip: tuple[str, ...] = ()
    setup_timeout: float = 600.0

    def __post_init__(self) -> None:
        for name, value in self.env_vars.items():
            if not _VARIABLE.fullmatch(name):
                raise ConfigError(f"runtime_env.env_vars has {name!r}, which is no name of a variable")
            if _SECRET.search(name) or reveals(value):
                raise ConfigError(
                    f"runtime_env.env_vars.{name} looks like a secret, and everybody who sees the cluster's jobs would "
                    "see it; set it on the nodes, where Ray is started"
                )
        for requirement in self.pip:
            if requirement.startswith("-") or reveals(requirement):
                raise ConfigError(
                    f"runtime_env.pip has {requirement.partition('=')[0].partition(':')[0]!r}…, but it takes "
                    "requirements such as adlfs==2024.7.0; options and credentials belong into the nodes' pip.conf"
                )
        if self.setup_timeout <= 0:
            raise ConfigError("runtime_env.setup_timeout must be more than 0")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """A job, ready to be sent. `raysuite.submission.specfile` reads one from YAML.

    Attributes:
        name: In small letters, digits and hyphens; the job's id begins with it.
        command: The words after ``raysuite``; of another program, if its first one is none of `SUBCOMMANDS`.
        resources: What the entry point takes.
        runtime_env: What is set up on the nodes.
        retries: How often a job that failed is sent again, to go on where it was.
        timeout: Seconds after which the job is stopped; None for never.
        metadata: What is kept with the job and shown in lists.
        shared: Folders that every node sees under the same name, such as a network mount.
        python: The Python of the cluster that has raysuite: a name looked for in its ``PATH``, or a path.
        allow_command: Whether ``command`` may be another program than raysuite.
        wheel: A wheel of raysuite that travels with the job; empty for the raysuite that the cluster has.
    """

    name: str
    command: tuple[str, ...]
    resources: Resources = field(default_factory=Resources)
    runtime_env: RuntimeEnv = field(default_factory=RuntimeEnv)
    retries: int = 0
    timeout: float | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    shared: tuple[str, ...] = ()
    python: str = "python"
    allow_command: bool = False
    wheel: str = ""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"name is {self.name!r}, but it must be up to 40 small letters, digits, hyphens, such as nightly-score"
            )
        if not self.command:
            raise ConfigError("command is empty; it takes the words after raysuite, such as: report ${run}")
        if self.command[0] == "raysuite":
            raise ConfigError("command begins with raysuite; it takes the words after that, such as: report ${run}")
        if not self.is_raysuite and not self.allow_command:
            raise ConfigError(
                f"command is {self.command[0]!r}, which is no command of raysuite ({', '.join(SUBCOMMANDS)}); "
                "if you trust this spec with any program, give --allow-command"
            )
        for word in self.command:
            if reveals(word):
                raise ConfigError(
                    "command has a URI with credentials in it, and everybody who sees the cluster's jobs would see "
                    "them; have them on the nodes, and leave them out of the URI"
                )
        for key, value in self.metadata.items():
            if _SECRET.search(key) or reveals(value):
                raise ConfigError(f"metadata.{key} looks like a secret; everybody who sees the cluster's jobs sees it")
        if not 0 <= self.retries <= 100:
            raise ConfigError(f"retries is {self.retries}, but it must be from 0 to 100")
        if self.timeout is not None and self.timeout <= 0:
            raise ConfigError("timeout must be more than 0, such as 30m or 12h")
        if self.timeout is not None and not self.is_raysuite:
            raise ConfigError("timeout is kept by raysuite's own commands only; leave it out")
        for folder in self.shared:
            if not folder.startswith("/"):
                raise ConfigError(f"shared has {folder!r}, but it must be an absolute path, such as /mnt")
        if not self.python or self.python.startswith("-"):
            raise ConfigError(f"python is {self.python!r}, but it must be a name or a path of Python on the cluster")

    @property
    def is_raysuite(self) -> bool:
        """Whether it runs raysuite, and not another program."""
        return self.command[0] in SUBCOMMANDS

    def entrypoint(self) -> str:
        """What Ray runs on the cluster: a line for its shell, with every word quoted.

        raysuite is started by `raysuite.submission.entry`, which first looks whether the cluster has this version, and
        ends the command after ``timeout``. Another program is run as it is, without a timeout.
        """
        if not self.is_raysuite:
            return shlex.join(self.command)
        limit = () if self.timeout is None else ("--timeout", f"{self.timeout:g}")
        return shlex.join([self.python, "-m", ENTRY, "--version", __version__, *limit, "--", *self.command])

    def ray_runtime_env(self) -> dict[str, Any]:
        """The runtime environment as Ray takes it, without the wheel, for whoever sends the job must upload that."""
        variables = {
            # As Ctrl-C on a terminal: raysuite lets go of its run folder and says how to go on.
            "RAY_JOB_STOP_SIGNAL": "SIGINT",
            "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS),
            **self.runtime_env.env_vars,
        }
        made: dict[str, Any] = {
            "env_vars": variables,
            "config": {"setup_timeout_seconds": int(max(1, self.runtime_env.setup_timeout))},
        }
        if self.runtime_env.pip:
            made["pip"] = list(self.runtime_env.pip)
        return made

    def digest(self) -> str:
        """Ten hexadecimal digits of what runs, and how: equal for a job that is the same, on any machine.

        What only says how it is looked after, retries, timeout and metadata, does not count.
        """
        wheel = self.wheel.rpartition("/")[2]
        card = [
            self.name,
            list(self.command),
            [self.resources.num_cpus, self.resources.num_gpus, self.resources.memory],
            [dict(sorted(self.runtime_env.env_vars.items())), list(self.runtime_env.pip), self.python, wheel],
        ]
        return hashlib.sha256(json.dumps(card, ensure_ascii=False).encode()).hexdigest()[:10]

    def submission_id(self, attempt: int) -> str:
        """The job's id on the cluster. A job runs once in Ray; each attempt has a number, from 1."""
        return f"raysuite-{self.name}-{self.digest()}-{attempt}"
