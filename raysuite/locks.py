"""Who works on a run folder: one driver at a time, named in a file with a heartbeat.

It works on any `Location`, without locks of the file system: the owner writes ``owner.json`` and renews it every few
seconds; whoever finds a fresh one keeps off. An owner that died leaves a file that grows old, or whose process is gone.
Two that take a stale file over in the same moment are told apart by what stands there a moment later, and an owner that
finds another's name in its place stops.
"""

from __future__ import annotations

import contextlib
import getpass
import json
import logging
import os
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from raysuite.errors import RunError, StorageError
from raysuite.storage import Location

FILE = "owner.json"
BEAT_SECONDS = 5.0
STALE_SECONDS = 120.0
"""Longer than a machine with far too much to do holds up a thread; only what runs on other machines is judged by it."""
SETTLE_SECONDS = 1.0
CREATE_TRIES = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Owner:
    """A driver at work on a run folder.

    Attributes:
        id: Drawn anew for each command.
        user: Who gave the command.
        host: Name of the machine that it runs on.
        space: What makes process numbers of that machine comparable: its boot and its process namespace.
        pid: Process number.
        born: When the process was started, in the system's own count; empty where the system does not tell.
        started: When it began, seconds since 1970.
        heartbeat: When it last said that it lives, seconds since 1970.
    """

    id: str
    user: str
    host: str
    space: str
    pid: int
    born: str
    started: float
    heartbeat: float

    @classmethod
    def here(cls) -> Owner:
        """This process, from now on."""
        try:
            user = getpass.getuser()
        except (OSError, KeyError):
            # A container may run under a number that has no name.
            user = str(os.getuid())
        now, pid = time.time(), os.getpid()
        return cls(uuid.uuid4().hex, user, socket.gethostname(), _space(), pid, _born(pid) or "", now, now)

    @classmethod
    def of(cls, root: Location) -> Owner | None:
        """The owner named in a run folder, alive or not; None if there is none or its file cannot be understood."""
        file = root / FILE
        if not file.is_file():
            return None
        try:
            card: dict[str, Any] = json.loads(file.read_text())
            kinds = cls.__annotations__
            return cls(**{name: {"str": str, "int": int, "float": float}[kinds[name]](card[name]) for name in kinds})
        except StorageError:
            # It was released between the look and the reading.
            return None
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def is_alive(self) -> bool:
        """Whether it still works: its process is there, if it can be looked for; or else its heartbeat is fresh."""
        if (self.host, self.space) == (socket.gethostname(), _space()):
            born = _born(self.pid)
            if born != self.born:
                # It is gone, and its number may have been given to another process.
                return False
            if born:
                return True
        return abs(time.time() - self.heartbeat) <= STALE_SECONDS

    def __str__(self) -> str:
        started = datetime.fromtimestamp(self.started).astimezone()
        today = started.date() == datetime.now().astimezone().date()
        since = f"{started:%H:%M}" if today else f"{started:%Y-%m-%d %H:%M}"
        return f"{self.user}@{self.host}, process {self.pid}, since {since}"


def _space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _born(pid: int) -> str | None:
    """When a process was started, empty if the system does not tell; None if there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        # The name, in brackets, may hold anything; the state follows it, and 19 fields later the start.
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return None if fields[0] in "ZX" else fields[19]


@contextlib.contextmanager
def owned(root: Location, option: str = "--run") -> Iterator[None]:
    """Be the only driver at work on a run folder, which is made if it is not there.

    Released at the end, after an error or Ctrl-C too. A stale owner is taken over.

    Args:
        root: The folder.
        option: What names the folder on the command line.

    Raises:
        RunError: Another driver works on it; or, later, another one took it over as this one had not been heard of.
    """
    me = Owner.here()
    _take(root, me, option)
    stop, lost = threading.Event(), threading.Event()
    thread = threading.Thread(target=_beat, args=(root, me, stop, lost), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        if lost.is_set():
            raise RunError(
                f"{root} was taken over by {Owner.of(root)}, as this command was not heard of for {STALE_SECONDS:.0f} s"
            ) from None
        raise
    finally:
        stop.set()
        thread.join()
        with contextlib.suppress(StorageError, OSError):
            if _is(Owner.of(root), me):
                file = root / FILE
                file.fs.delete_file(file.path)


def _take(root: Location, me: Owner, option: str) -> None:
    other = Owner.of(root)
    if root.is_local:
        # Again and again, as another one may come or go between the look and the creating. What is never an owner is a
        # damaged file, or a disk without hard links, and goes the other way.
        for _ in range(CREATE_TRIES):
            if other is not None:
                break
            if _created(root, me):
                return
            other = Owner.of(root)
    if other is None or not other.is_alive:
        if other is not None:
            _log.info("%s was left by %s; taking over", root, other)
        _write(root, me)
        # Whoever else found nobody here writes its name now: the last one stays.
        time.sleep(SETTLE_SECONDS)
        other = Owner.of(root)
    if other is not None and not _is(other, me):
        raise RunError(
            f"{root} is being worked on by {other}; wait for its end or stop it"
            f"{f' (raysuite status {root})' if option == '--run' else ''}, or take another {option} folder"
        )


def _created(root: Location, me: Owner) -> bool:
    """Create the file unless somebody else did; it appears whole. False also where the disk has no hard links."""
    draft = Path(root.path) / f"{FILE}.{me.id[:8]}.tmp"
    try:
        draft.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(me)), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {draft}: {error}") from error
    try:
        os.link(draft, Path(root.path) / FILE)
    except OSError:
        return False
    finally:
        draft.unlink()
    return True


def _write(root: Location, me: Owner) -> None:
    (root / FILE).write_text(json.dumps(asdict(me)) + "\n")


def _is(other: Owner | None, me: Owner) -> bool:
    return other is not None and other.id == me.id


def _beat(root: Location, me: Owner, stop: threading.Event, lost: threading.Event) -> None:
    """Renew the heartbeat until told to stop; interrupt the command if another driver has taken over."""
    while not stop.wait(BEAT_SECONDS):
        try:
            other = Owner.of(root)
            if other is not None and not _is(other, me):
                lost.set()
                _log.error("%s was taken over by %s; stopping", root, other)
                # A real signal, as Ctrl-C is: it ends whatever the main thread waits for.
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return
            _write(root, replace(me, heartbeat=time.time()))
        except StorageError as error:
            _log.warning("no heartbeat in %s: %s", root, error)
