"""A TCP proxy that can be cut, or stalled without closing: a half-open connection."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator

from tests.support.network import free_port


class Tap:
    """Forwards connections to a port. `stall` keeps them open and passes nothing on."""

    def __init__(self, target: int) -> None:
        self.port = free_port()
        self._target = target
        self._open = True
        self._flowing = True
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._server = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Pass nothing on, in any connection, old or new."""
        self._flowing = False

    def flow(self) -> None:
        """Pass on again."""
        self._flowing = True

    def cut(self) -> None:
        """Close every connection; new ones are accepted."""
        pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for side in pair:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End the proxy."""
        self._open = False
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while self._open:
            try:
                near, _ = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                continue
            self._pairs.append((near, far))
            threading.Thread(target=self._pass, args=(near, far), daemon=True).start()

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        with near, far, contextlib.suppress(OSError, ValueError):
            while self._open:
                ready, _, _ = select.select([near, far], [], [], 0.1)
                if not self._flowing:
                    threading.Event().wait(0.05)
                    continue
                for side in ready:
                    data = side.recv(65_536)
                    if not data:
                        return
                    (far if side is near else near).sendall(data)


@contextlib.contextmanager
def tap(target: int) -> Iterator[Tap]:
    """A proxy to 127.0.0.1:`target` until the block ends."""
    found = Tap(target)
    try:
        yield found
    finally:
        found.close()
