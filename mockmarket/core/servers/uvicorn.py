"""uvicorn, with a door for writers that serve thousands of sockets from one loop.

`scope["extensions"]["mockmarket.sink"]` writes frames to the transport at once: no task, no await
and no copy in between. It tells when the transport's buffer is full, and can end a connection whose
reader has stopped, which uvicorn itself never drops (its close waits for the buffer to drain).
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import Any, Final

import uvicorn
from django.conf import settings
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState
from websockets.frames import Frame
from websockets.http11 import Request

from mockmarket.core import clock, close_codes
from mockmarket.core.servers import limits

_CLOSING_SECONDS: Final = 3.0


class Sink:
    """Writes whole text frames to one connection; `writable` while its buffer has room.

    A plain attribute: it is asked fifty times a second for every socket.
    """

    __slots__ = ("_protocol", "writable")

    def __init__(self, protocol: WebSocketsSansIOProtocol) -> None:
        self._protocol = protocol
        self.writable = bool(protocol.writable.is_set())

    def send(self, frames: Sequence[bytes]) -> None:
        """Write one text frame for each of `frames`; nothing when the connection is going."""
        protocol = self._protocol
        transport = protocol.transport
        if not protocol.close_sent and not transport.is_closing():
            transport.write(limits.text_frames(frames))

    def close(self, code: int, reason: str) -> None:
        """Say why, and drop the connection when the peer does not answer."""
        protocol = self._protocol
        transport = protocol.transport
        if protocol.close_sent or transport.is_closing():
            return
        try:
            protocol.conn.send_close(code, limits.close_reason(reason))
        except InvalidState:
            return
        transport.write(b"".join(protocol.conn.data_to_send()))
        protocol.close_sent = True
        protocol.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if protocol.read_paused:
            protocol.read_paused = False
            transport.resume_reading()
        loop = asyncio.get_running_loop()
        protocol.close_timer = loop.call_later(_CLOSING_SECONDS, transport.abort)


class SinkProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, offering a Sink to the application."""

    _sink: Sink | None = None
    _pings: limits.PingLimit | None = None

    def handle_connect(self, event: Request) -> None:
        """Called with the handshake; the application's task starts in the next turn."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            self._sink = Sink(self)
            self.scope["extensions"][limits.EXTENSION] = self._sink  # type: ignore[assignment]

    def handle_ping(self) -> None:
        """Called with each ping. uvicorn would buffer pongs without end for who reads none."""
        now = clock.monotonic()
        if self._pings is None:
            self._pings = limits.PingLimit(now)
        if self._sink is not None and (not self._sink.writable or self._pings.over(now)):
            self.conn.data_to_send()
            self._sink.close(close_codes.FLOOD, "Too many pings.")
            return
        super().handle_ping()

    def handle_cont(self, event: Frame) -> None:
        """Called with each further fragment; empty ones would escape the bound on bytes."""
        if len(self.frames) >= limits.FRAGMENTS_MAX and self._sink is not None:
            self.frames = []
            self._sink.close(1009, "Too many fragments.")
            return
        super().handle_cont(event)

    def pause_writing(self) -> None:
        """Called when the transport's buffer is full."""
        super().pause_writing()
        if self._sink is not None:
            self._sink.writable = False

    def resume_writing(self) -> None:
        """Called when it has drained."""
        super().resume_writing()
        if self._sink is not None:
            self._sink.writable = True

    def connection_lost(self, exc: Exception | None) -> None:
        """Called at the end: whoever waits to send may go on."""
        super().connection_lost(exc)
        if self._sink is not None:
            self._sink.writable = True


class PatientHttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, which drops a client whose request's head takes too long or grows too big."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Called with each connection."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(limits.HEAD_SECONDS, self._drop)

    def data_received(self, data: bytes) -> None:
        """Called with bytes of a request; a later request on the connection has its own time."""
        if self._head_timer is None and (self.cycle is None or self.cycle.response_complete):
            self._head_timer = self.loop.call_later(limits.HEAD_SECONDS, self._drop)
        if self._head_timer is not None:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._head_timer is not None and self._head_bytes > limits.HEAD_BYTES_MAX:
            self._drop()

    def on_headers_complete(self) -> None:
        """Called when the head is whole."""
        self._spare()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called at the end."""
        self._spare()
        super().connection_lost(exc)

    def _spare(self) -> None:
        self._head_bytes = 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _drop(self) -> None:
        self._spare()
        self.transport.abort()


def serve(*, application: Any, listener: socket.socket) -> None:
    """Run until SIGTERM or SIGINT; closes sockets with 1012 and finishes requests first."""
    config = uvicorn.Config(
        application,
        loop="uvloop",
        http=PatientHttpProtocol,
        ws=SinkProtocol,
        ws_max_size=limits.FRAME_BYTES_MAX,
        ws_ping_interval=limits.PING_SECONDS,
        ws_ping_timeout=limits.PONG_SECONDS,
        ws_per_message_deflate=False,
        lifespan="auto",
        forwarded_allow_ips=settings.TRUSTED_PROXIES,
        backlog=limits.ACCEPT_BACKLOG,
        limit_concurrency=limits.CONNECTIONS_MAX,
        timeout_graceful_shutdown=limits.SHUTDOWN_SECONDS,
        # Request lines hold query strings; the product's own log says who did what.
        access_log=False,
        log_config=None,
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])
