"""Daphne, with the back-pressure that it lacks.

Stock Daphne accepts every send for a client that never reads (200 MB buffered in a test). Here a
send waits while the transport's buffer is full, and the same door as uvicorn's is offered:
`scope["extensions"]["mockmarket.sink"]`.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

from daphne.server import Server
from daphne.ws_protocol import WebSocketProtocol
from twisted.internet import defer, reactor, task

from mockmarket.core import clock, close_codes
from mockmarket.core.servers import limits

_GOODBYE_SECONDS: Final = 0.5


class Sink:
    """Writes whole text frames to one connection; a Twisted push producer for its buffer."""

    __slots__ = ("_pings", "_protocol", "open", "writable")

    def __init__(self, protocol: WebSocketProtocol) -> None:
        self._protocol = protocol
        self._pings = limits.PingLimit(clock.monotonic())
        self.open = asyncio.Event()
        self.resumeProducing()

    def register(self) -> None:
        """Hear of a full buffer. The HTTP channel that did the handshake was registered before."""
        transport = self._protocol.transport
        try:
            transport.registerProducer(self, True)
        except RuntimeError:
            transport.unregisterProducer()
            transport.registerProducer(self, True)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The buffer is full."""
        self.writable = False
        self.open.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        """The buffer has drained."""
        self.writable = True
        self.open.set()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is gone: whoever waits may go on."""
        self.resumeProducing()

    def send(self, frames: Sequence[bytes]) -> None:
        """Write one text frame for each of `frames`; nothing when the connection is going."""
        protocol = self._protocol
        if protocol.state == protocol.STATE_OPEN:
            protocol.transport.write(limits.text_frames(frames))

    def answer_ping(self, payload: bytes) -> None:
        """Autobahn would buffer pongs without end for who reads none."""
        if not self.writable or self._pings.over(clock.monotonic()):
            self.close(close_codes.FLOOD, "Too many pings.")
        else:
            self._protocol.sendPong(payload)

    def close(self, code: int, reason: str) -> None:
        """Say why; Autobahn drops the connection when the peer does not answer in a second."""
        protocol = self._protocol
        if protocol.state == protocol.STATE_OPEN:
            # Autobahn's `sendClose` knows no 1012.
            said = limits.close_reason(reason).encode()
            protocol.sendCloseFrame(code=code, reasonUtf8=said, isReply=False)


class BackpressureServer(Server):  # type: ignore[misc]
    """Daphne's server with a Sink for each WebSocket."""

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> Any:
        """Offer the sink in the scope of a WebSocket."""
        if scope["type"] == "websocket":
            protocol.failByDrop = False  # say 1009 and 1007 before closing
            sink = protocol.sink = Sink(protocol)
            protocol.onPing = sink.answer_ping
            scope.setdefault("extensions", {})[limits.EXTENSION] = sink
        return super().create_application(protocol, scope)

    async def handle_reply(self, protocol: Any, message: dict[str, Any]) -> None:
        """Let an ordinary send wait until the buffer has room."""
        await super().handle_reply(protocol, message)
        sink = getattr(protocol, "sink", None)
        if sink is None:
            return
        if message["type"] == "websocket.accept":
            sink.register()
        elif message["type"] == "websocket.send":
            await sink.open.wait()

    def protocol_disconnected(self, protocol: Any) -> None:
        """Release whoever waits to send."""
        if (sink := getattr(protocol, "sink", None)) is not None:
            sink.resumeProducing()
        super().protocol_disconnected(protocol)

    def run(self) -> None:
        """Run with ASGI's lifespan, which Daphne lacks."""
        self._lifespan: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        reactor.callWhenRunning(self._begin_lifespan)
        super().run()

    def _begin_lifespan(self) -> None:
        async def answered(_: dict[str, str]) -> None:
            """The application is heard by its deeds."""

        # Twisted allows a minute for a request's head.
        self.http_factory.timeOut = limits.HEAD_SECONDS
        self._lifespan.put_nowait({"type": "lifespan.startup"})
        self._living = asyncio.ensure_future(
            self.application({"type": "lifespan"}, self._lifespan.get, answered)
        )
        reactor.addSystemEventTrigger("before", "shutdown", self._end_lifespan)  # type: ignore[arg-type]

    def _end_lifespan(self) -> Any:
        self._lifespan.put_nowait({"type": "lifespan.shutdown"})
        return defer.Deferred.fromFuture(self._living)

    def kill_all_applications(self) -> Any:
        """Before the end, tell the sockets to come back."""
        for protocol in list(self.connections):
            if (sink := getattr(protocol, "sink", None)) is not None:
                sink.close(close_codes.COME_BACK, "The server restarts; come back in a moment.")
        # Twisted writes in its next turns, and would stop before them.
        written = task.deferLater(reactor, _GOODBYE_SECONDS, lambda: None)
        return written.addCallback(
            lambda _: super(BackpressureServer, self).kill_all_applications()
        )


def serve(*, application: Any, listener: socket.socket) -> None:
    """Run until SIGTERM or SIGINT."""
    BackpressureServer(
        application=application,
        endpoints=[f"fd:fileno={listener.fileno()}"],
        ping_interval=limits.PING_SECONDS,
        ping_timeout=limits.PONG_SECONDS,
        websocket_timeout=-1,
        http_timeout=None,
        websocket_connect_timeout=20,
        websocket_handshake_timeout=20,
        websocket_max_message_size=limits.FRAME_BYTES_MAX,
        websocket_max_frame_size=limits.FRAME_BYTES_MAX,
        server_name="",
    ).run()
