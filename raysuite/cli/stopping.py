"""Being told to stop: Ctrl-C, and the SIGTERM of schedulers, service managers and ``timeout``, end a command alike."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# 128 and the signal's number, as shells count.
INTERRUPTED = 130
TERMINATED = 143


class Terminated(KeyboardInterrupt):
    """SIGTERM came. It is an interrupt, so that whatever cleans up after Ctrl-C does so after this too."""


@contextmanager
def terminable() -> Iterator[None]:
    """Have SIGTERM raise `Terminated` in the main thread, and put back at the end what it did before.

    Where it is ignored it stays so, as Ctrl-C does in Python.
    """
    ignored = signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    came = threading.Event()

    def terminate(number: int, _frame: FrameType | None) -> None:
        came.set()
        # A second one, which ``timeout`` sends, must not end the cleaning up.
        signal.signal(number, signal.SIG_IGN)
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as stop:
        if came.is_set() and not isinstance(stop, Terminated):
            # Ray raises an interrupt of its own for any that comes while it waits.
            raise Terminated from stop
        raise
    finally:
        # None is a handler that Python did not install, and cannot put back.
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def code_of(stop: KeyboardInterrupt) -> int:
    """The exit code of a command that was stopped."""
    return TERMINATED if isinstance(stop, Terminated) else INTERRUPTED
