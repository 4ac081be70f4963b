"""What a run came from: code, versions, hardware, data and the commands given."""

from __future__ import annotations

import json
import os
import platform
import shlex
import subprocess
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from raysuite import __version__
from raysuite.credentials import concealed
from raysuite.errors import RunError
from raysuite.storage import Location

PACKAGES = ("ray", "torch", "torchvision", "pyarrow", "numpy", "scikit-learn", "pillow")


def record(
    root: Location,
    *,
    arguments: Sequence[str],
    data: Mapping[str, Any],
    seeds: Sequence[int],
    objectives: Sequence[str],
    oracle: bool = False,
) -> None:
    """Write ``provenance.json``, adding this command to those that the run folder has seen before.

    Args:
        root: The run folder.
        arguments: The command's words after ``raysuite``.
        data: Fingerprint and counts of the data set.
        seeds: Seeds asked for.
        objectives: Kinds of objective asked for.
        oracle: Whether the settings were chosen with the labels of the test images; once said, it stands.

    Raises:
        RunError: The file that is there is damaged.
    """
    file = root / "provenance.json"
    before = {}
    if file.is_file():
        try:
            before = {**json.loads(file.read_text())}
        except (ValueError, TypeError) as error:
            # It may have said that an oracle chose the settings, which must not be lost without a word.
            raise RunError(
                f"{file} is damaged; remove it, and the commands and whether an oracle chose the settings are forgotten"
            ) from error
    command = {
        "command": concealed(shlex.join(["raysuite", *arguments])),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    card = {
        "raysuite": __version__,
        "git": git_state(),
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        "hardware": hardware(),
        "data": dict(data),
        "seeds": sorted({*before.get("seeds", []), *seeds}),
        "objectives": sorted({*before.get("objectives", []), *objectives}),
        "commands": [*before.get("commands", []), command],
        **({"oracle": True} if oracle or before.get("oracle") else {}),
    }
    file.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


def git_state() -> dict[str, Any] | None:
    """Commit of the checkout that raysuite runs or was sent from, and whether it has been changed; None without one."""
    here = Path(__file__).resolve().parent.parent
    shipped = here / "raysuite" / "shipped.json"
    if shipped.is_file():
        return typing.cast("dict[str, Any] | None", json.loads(shipped.read_text()))
    if not (here / ".git").exists():
        return None
    try:
        commit, changes = (
            subprocess.run(  # noqa: S603 -- fixed words, no shell
                ["git", "-C", str(here), *words],  # noqa: S607
                capture_output=True, text=True, check=True, timeout=10,
            ).stdout.strip()
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changes)}


def hardware() -> dict[str, Any]:
    """This machine in a few words: processor, cores, memory in GiB, GPUs."""
    import torch  # noqa: PLC0415 -- slow to import, and the command line must not wait for it

    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(pages * page / 2**30, 1),
        "gpus": names,
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
