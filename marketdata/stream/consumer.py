"""The ASGI application of `/ws/`: the handshake, then the client's messages one by one.

A plain application, not a Channels consumer: Channels takes a turn through the ORM's thread for
every message (65 to 121 µs, and as long as the slowest page). Frames to the client are written by
the hub; here is only what the client says.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from django.conf import settings
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from marketdata.stream import auth, hub, origin, protocol
from marketdata.stream.actions import Actions
from marketdata.stream.auth import Arrival
from marketdata.stream.quota import Bucket
from marketdata.stream.sockets import AsgiSink, Sink, Socket
from mockmarket.core import clock, tickets
from mockmarket.core.servers import limits

log = logging.getLogger(__name__)

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Refused(Exception):
    """The handshake or the connection ends with a close code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason or protocol.CLOSE_REASONS[code]


class Gone(Exception):
    """The client left."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve one WebSocket from handshake to close."""
    await Connection(scope, receive, send).run()


class Connection:
    """One WebSocket: who it is, how much it may say, and what it asks."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        self._hub: hub.Hub
        self._sink: Sink
        self._socket: Socket | None = None
        self._actions: Actions | None = None
        self._strikes = 0
        self._talk = Bucket(float(protocol.MESSAGES_PER_SECOND), clock.monotonic())

    async def run(self) -> None:
        """The whole life. Whatever happens inside, the hub forgets the socket at the end."""
        try:
            await self._handshake()
            self._hub = await hub.current()
            self._sink = self._make_sink()
            try:
                await self._converse()
            except Refused as refusal:
                self._close(refusal.code, refusal.reason)
                await self._drain()
        except Gone:
            return
        finally:
            if self._actions is not None:
                self._actions.cancel()
            if self._socket is not None:
                self._hub.leave(self._socket)

    # --- Handshake ----------------------------------------------------------------------
    async def _handshake(self) -> None:
        if (await self._receive())["type"] != "websocket.connect":
            raise Gone
        if not self._origin_allowed():
            await self._send({"type": "websocket.close", "code": protocol.CLOSE_FORBIDDEN})
            raise Gone
        await self._send({"type": "websocket.accept"})

    def _origin_allowed(self) -> bool:
        """Pages by exact origin. A program names none, and then no cookie counts."""
        offered = self._headers.get(b"origin")
        if offered is None:
            return not self._session_key()
        return origin.allowed(
            origin=offered,
            host=self._headers.get(b"host", ""),
            secure=settings.HTTPS or self._scope.get("scheme") == "wss",
            origins=settings.ALLOWED_ORIGINS,
        )

    def _session_key(self) -> str:
        if b"authorization" in self._headers:
            return ""  # the header names the user; a cookie beside it is ignored
        return auth.session_key_of(self._headers.get(b"cookie", ""))

    def _make_sink(self) -> Sink:
        offered = self._scope.get("extensions", {}).get(limits.EXTENSION)
        if offered is not None:
            sink: Sink = offered
            return sink
        return AsgiSink(self._send, on_writable=self._on_writable)

    def _on_writable(self) -> None:
        if self._socket is not None:
            self._socket.flush()

    # --- Who --------------------------------------------------------------------------
    async def _converse(self) -> None:
        arrival = await self._arrival()
        if arrival is None:
            arrival = await self._by_ticket()
        self._socket = await self._hub.admit(sink=self._sink, arrival=arrival)
        if self._socket is None:
            raise Refused(
                protocol.CLOSE_FLOOD,
                f"At most {settings.STREAM_SOCKETS_PER_USER_MAX} connections a user.",
            )
        self._actions = Actions(self._hub, self._socket)
        while True:
            frame = await self._next_frame()
            await self._handle(frame, self._socket)

    async def _arrival(self) -> Arrival | None:
        """Who the handshake names; None when it names nobody. Raises Refused for a lapsed one."""
        header = self._headers.get(b"authorization")
        session_key = self._session_key()
        try:
            if header is not None:
                arrival = await self._hub.in_database(auth.by_header, header, clock.now())
            elif session_key:
                arrival = await self._hub.in_database(auth.by_session, session_key)
            else:
                return None
        except DatabaseError as error:
            log.warning("The database did not answer a handshake")
            raise Refused(protocol.CLOSE_RESTART) from error
        if arrival is None:
            raise Refused(protocol.CLOSE_UNAUTHENTICATED)
        return arrival

    async def _by_ticket(self) -> Arrival:
        """The user of a ticket in the first messages, within ten seconds."""
        try:
            async with asyncio.timeout(protocol.AUTHENTICATE_SECONDS):
                while True:
                    action = self._parse(await self._next_frame())
                    if isinstance(action, protocol.Authenticate):
                        break
                    if action is not None:
                        self._answer_error("not_authenticated", "Send a ticket first.", action)
        except TimeoutError as error:
            raise Refused(protocol.CLOSE_UNAUTHENTICATED) from error
        return await self._redeem(action.ticket)

    async def _redeem(self, ticket: str) -> Arrival:
        try:
            user_id = await tickets.redeem_async(self._hub.redis, ticket)
            arrival = None
            if user_id is not None:
                arrival = await self._hub.in_database(auth.by_id, user_id)
        except (RedisError, DatabaseError) as error:
            raise Refused(protocol.CLOSE_RESTART) from error
        if arrival is None:
            raise Refused(protocol.CLOSE_UNAUTHENTICATED, "The ticket is unknown, used or lapsed.")
        return arrival

    # --- What --------------------------------------------------------------------------
    async def _next_frame(self) -> str | bytes:
        message = await self._receive()
        if message["type"] == "websocket.disconnect":
            raise Gone
        wait = self._talk.take(
            size=protocol.MESSAGES_PER_SECOND,
            refill_seconds=1 / protocol.MESSAGES_PER_SECOND,
            now=clock.monotonic(),
        )
        if wait:
            raise Refused(protocol.CLOSE_FLOOD)
        frame: str | bytes = message.get("text") or message.get("bytes") or ""
        return frame

    def _parse(self, frame: str | bytes) -> protocol.Action | None:
        """The action in a frame; None after an error frame. Raises Refused at the fifth strike."""
        try:
            if len(frame) > protocol.FRAME_BYTES_MAX:
                raise protocol.BadMessage("too_large", "A frame holds at most 64 KiB.")
            return protocol.parse(frame)
        except protocol.BadMessage as bad:
            self._strikes += 1
            self._tell(protocol.Error(code=bad.code, message=bad.message, action=bad.action))
        if self._strikes >= protocol.STRIKES_MAX:
            raise Refused(protocol.CLOSE_MALFORMED)
        return None

    async def _handle(self, frame: str | bytes, socket: Socket) -> None:
        action = self._parse(frame)
        if action is None or self._actions is None:
            return
        if not isinstance(action, protocol.Ping):
            socket.last_action = clock.monotonic()
        try:
            await self._actions.perform(action)
        except DatabaseError:
            log.warning("The database did not answer an action of a socket")
            self._answer_error("try_again", "The server is busy; try again.", action)

    def _answer_error(self, code: str, message: str, action: protocol.Action) -> None:
        name = str(action.__struct_config__.tag)
        self._tell(protocol.Error(code=code, message=message, action=name))

    def _tell(self, error: protocol.Error) -> None:
        frame = protocol.encode(error)
        if self._socket is not None:
            self._socket.send(frame)
        elif self._sink.writable:
            self._sink.send((frame,))

    # --- The end -----------------------------------------------------------------------
    def _close(self, code: int, reason: str) -> None:
        if self._socket is not None:
            self._socket.close(code, reason)
        else:
            self._sink.close(code, reason)

    async def _drain(self) -> None:
        """Hear out the closing handshake: a server drops the connection when we return."""
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                while (await self._receive())["type"] != "websocket.disconnect":
                    pass
        except TimeoutError:
            return


_CLOSING_SECONDS: Final = 5.0
