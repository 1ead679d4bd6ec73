"""One open WebSocket: what it follows, and what waits while its reader is away.

Frames go out in order. Prices never wait here (the fan-out's cursor stands for them). Latest-only
frames (depth, topics, valuations, status, indices) wait as one frame a name; private events and
answers wait in a bounded backlog. Nothing in this module awaits: a slow reader delays nobody.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from marketdata.stream import protocol

BACKLOG_FRAMES_MAX: Final = 256
BACKLOG_BYTES_MAX: Final = 1 << 20


class Sink(Protocol):
    """Where a socket's frames go. `send` never blocks; `writable` says whether it may be used."""

    @property
    def writable(self) -> bool: ...

    def send(self, frames: Sequence[bytes]) -> None: ...

    def close(self, code: int, reason: str) -> None: ...


class AsgiSink:
    """A sink over plain ASGI `send`, for servers without the extension: one task while sending."""

    def __init__(
        self, send: Callable[[dict[str, Any]], Awaitable[None]], on_writable: Callable[[], None]
    ) -> None:
        self._send = send
        self._on_writable = on_writable
        self._task: asyncio.Task[None] | None = None

    @property
    def writable(self) -> bool:
        return self._task is None

    def send(self, frames: Sequence[bytes]) -> None:
        self._run([{"type": "websocket.send", "text": frame.decode()} for frame in frames])

    def close(self, code: int, reason: str) -> None:
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._run([{"type": "websocket.close", "code": code, "reason": reason}])

    def _run(self, messages: list[dict[str, Any]]) -> None:
        self._task = asyncio.create_task(self._deliver(messages))

    async def _deliver(self, messages: list[dict[str, Any]]) -> None:
        try:
            for message in messages:
                await self._send(message)
        except Exception:  # noqa: BLE001 - each server has its own word for a peer that left
            return  # the receive loop hears of the disconnect; the sink stays unwritable
        self._task = None
        self._on_writable()


@dataclass(frozen=True, slots=True)
class Grant:
    """Who opened a socket and by what: a session's key, `token:<id>`, or "" for a JWT or ticket."""

    user_id: int
    session_key: str
    # The digest of the password at that moment: another one later ends the grant.
    password_mark: str


@dataclass(eq=False, slots=True)
class Socket:
    """State of one connection; the hub owns all of them."""

    id: str
    sink: Sink
    grant: Grant
    slot: int
    # Thousands of sockets hold these: one tuple each of strings that all of them share.
    keys: Sequence[str] = ()
    depths: Sequence[str] = ()
    topics: frozenset[str] = frozenset()
    single: bool = False
    welcomed: bool = False
    seq: int = 0  # the newest durable event it was given
    last_action: float = 0.0
    # Durable events that arrive while a `resume` reads the outbox, to go after the replay.
    held: list[tuple[int, bytes]] | None = None
    backlog: list[bytes] = field(default_factory=list)
    backlog_bytes: int = 0
    latest: dict[object, bytes] = field(default_factory=dict)
    stalled_since: float | None = None
    closing: bool = False

    def send(self, frame: bytes) -> None:
        """Send what must arrive: an answer or a private event. Closes 4008 over the bounds."""
        if self.closing:
            return
        if not self.backlog and not self.latest and self.sink.writable:
            self.sink.send((frame,))
            return
        self.backlog.append(frame)
        self.backlog_bytes += len(frame)
        if len(self.backlog) > BACKLOG_FRAMES_MAX or self.backlog_bytes > BACKLOG_BYTES_MAX:
            self.close(protocol.CLOSE_SLOW)
        else:
            self.flush()

    def offer(self, name: object, frame: bytes) -> None:
        """Send the newest state of `name`, or keep it in place of the one that waits."""
        if self.closing or not self.welcomed:
            return
        if not self.backlog and self.sink.writable:
            self.sink.send((frame,))
        else:
            self.latest[name] = frame

    def flush(self, prices: Sequence[bytes] = ()) -> None:
        """Send everything that waits, and `prices` after it. Only when the sink is writable."""
        if self.closing or not self.sink.writable:
            return
        if not self.backlog and not self.latest:
            if prices:
                self.sink.send(prices)
            return
        frames = [*self.backlog, *self.latest.values(), *prices]
        self.backlog.clear()
        self.backlog_bytes = 0
        self.latest.clear()
        self.sink.send(frames)

    def close(self, code: int, reason: str = "") -> None:
        """Close with `code`; nothing is sent afterwards."""
        if not self.closing:
            self.closing = True
            self.backlog.clear()
            self.latest.clear()
            self.sink.close(code, reason or protocol.CLOSE_REASONS.get(code, ""))
