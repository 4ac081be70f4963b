"""A connection between a client and a server that can be cut, as networks do."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType


class Proxy:
    """Passes on what comes to its port. Use it as a context manager.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, to: int) -> None:
        self._to = to
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._refuses = False

    def __enter__(self) -> Proxy:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()

    def cut(self, *, and_refuse: bool = False) -> None:
        """Break every connection; new ones are taken again, unless they are to be refused from now on."""
        with self._lock:
            self._refuses = and_refuse
            for one in self._open:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._server.accept()
            except OSError:
                return
            if self._refuses:
                here.close()
                continue
            there = socket.create_connection(("127.0.0.1", self._to))
            with self._lock:
                self._open |= {here, there}
            for pair in ((here, there), (there, here)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
