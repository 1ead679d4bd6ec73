"""A TCP proxy that fails on request: late, silent, cut, refusing. It stands for the network."""

import random
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Mode = Literal["pass", "hold", "half_open", "refuse"]
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: closing sends RST


class FaultProxy:
    """Listens on a free loopback port and passes bytes on to `target`.

    `mode`: "pass"; "hold" keeps everything back until the mode changes, as a paused server does;
    "half_open" loses everything while connections stay open; "refuse" resets whoever connects.
    `delay` seconds are added each way. `cut_after(low, high)` lets each new connection's answers
    stop with a reset at a random byte; `seed` makes that repeatable.
    """

    def __init__(self, target: tuple[str, int], *, seed: int = 1) -> None:
        self.target, self.mode, self.delay = target, "pass", 0.0
        self.connections = 0
        self._random = random.Random(seed)
        self._cut: tuple[int, int] | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def through(self, url: str) -> str:
        """`url` with this proxy in place of its server."""
        parts = urlsplit(url)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self.port}"))

    def set(self, mode: Mode, *, delay: float = 0.0) -> None:
        """From now on, for present connections too."""
        self.mode, self.delay = mode, delay

    def cut_after(self, low: int, high: int) -> None:
        """Answers of later connections end at some byte between; `high` 0 ends that."""
        self._cut = (low, high) if high else None

    def reset(self) -> None:
        """Every present connection ends with RST."""
        with self._lock:
            found, self._open = self._open, set()
        for connection in found:
            _end(connection)

    def close(self) -> None:
        """The end of the test."""
        _end(self._listener)
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self.mode == "refuse":
                _end(client)
                continue
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                _end(client)
                continue
            server.settimeout(None)
            left = self._random.randint(*self._cut) if self._cut else None
            with self._lock:
                self._open |= {client, server}
            for source, sink, bytes_left in ((client, server, None), (server, client, left)):
                threading.Thread(
                    target=self._pump, args=(source, sink, bytes_left), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self.delay:
                    time.sleep(self.delay)
                while self.mode == "hold" and sink.fileno() >= 0:
                    time.sleep(0.02)
                if self.mode == "half_open":
                    continue
                if left is not None and len(data) >= left:
                    sink.sendall(data[:left])
                    break
                sink.sendall(data)
                left = None if left is None else left - len(data)
            else:
                if self.mode != "half_open":
                    sink.shutdown(socket.SHUT_WR)  # an orderly end goes through as one
                    return
        for connection in (source, sink):
            with self._lock:
                self._open.discard(connection)
            _end(connection)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RD)  # wakes the thread that reads it, and sends nothing
    connection.close()


@contextmanager
def proxy_to(url: str, *, seed: int = 1) -> Iterator[FaultProxy]:
    """A proxy in front of the server that `url` names, ended with the block."""
    parts = urlsplit(url)
    proxy = FaultProxy((parts.hostname or "127.0.0.1", parts.port or 80), seed=seed)
    try:
        yield proxy
    finally:
        proxy.close()
