"""raysuite itself as a wheel that travels with a job: the package as it is here, and nothing beside it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import raysuite
from raysuite import __version__
from raysuite.errors import StorageError
from raysuite.provenance import git_state
from raysuite.reporting.assets import assets_folder

SUFFIXES = {".py", ".typed", ".yaml", ".j2", ".css", ".js"}
SHIPPED = "raysuite/shipped.json"
MOST_BYTES = 20_000_000
_TIME = (1980, 1, 1, 0, 0, 0)


def build_wheel(folder: Path | None = None) -> Path:
    """Write the wheel, unless the very same one is there already, and return its path.

    It asks for no other package, so that nodes need no package index: they have raysuite's dependencies, or the job's
    ``runtime_env.pip`` names them. Its version ends with a digest of its content, by which Ray and pip know it.

    Args:
        folder: Where it is kept; by default in the user's cache.

    Raises:
        StorageError: It cannot be written, or is too large to be raysuite alone.
    """
    files = dict(_content())
    if (size := sum(map(len, files.values()))) > MOST_BYTES:
        raise StorageError(f"raysuite's folder holds {size / 1e6:.0f} MB; something that is no part of it lies in it")
    digest = hashlib.sha256()
    for name, data in files.items():
        digest.update(f"{name}\n{hashlib.sha256(data).hexdigest()}\n".encode())
    version = f"{__version__}+{digest.hexdigest()[:12]}"
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "raysuite"
    path = (folder or home) / f"raysuite-{version}-py3-none-any.whl"
    if not path.is_file():
        _write(path, files, version)
    return path


def _content() -> Iterator[tuple[str, bytes]]:
    package = Path(raysuite.__file__).resolve().parent
    for file in sorted(package.rglob("*")):
        inner = file.relative_to(package)
        hidden = any(part.startswith(".") or part == "__pycache__" for part in inner.parts)
        if file.is_file() and file.suffix in SUFFIXES and not hidden and inner.parts[:2] != ("reporting", "assets"):
            yield f"raysuite/{inner.as_posix()}", file.read_bytes()
    for file in sorted(assets_folder().rglob("*")):
        if file.is_file() and file.suffix in SUFFIXES:
            yield f"raysuite/reporting/assets/{file.relative_to(assets_folder()).as_posix()}", file.read_bytes()
    # What provenance says of the code, where there is no checkout to ask.
    yield SHIPPED, f"{json.dumps(git_state())}\n".encode()


def _write(path: Path, files: dict[str, bytes], version: str) -> None:
    info = f"raysuite-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: raysuite\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: raysuite\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},sha256={_short(data)},{len(data)}\n" for name, data in files.items())
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                # Of one time, so that the same content is the same file.
                archive.writestr(zipfile.ZipInfo(name, _TIME), data, zipfile.ZIP_DEFLATED)
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise StorageError(f"cannot write the wheel {path}: {error}") from error


def _short(data: bytes) -> str:
    """A digest as a wheel's RECORD has it."""
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
