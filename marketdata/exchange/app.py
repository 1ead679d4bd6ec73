"""The exchange as one ASGI application: authorisation, the feed's WebSocket, REST.

Feed: GET /v3/feed/market-data-feed answers 302 to the feed itself with a single-use code, as
Upstox does; /authorize gives the same address as JSON.
"""

import asyncio
import contextlib
import logging
import secrets
import uuid
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

from marketdata.exchange import envelope
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.faults import Faults, RateLimits
from marketdata.exchange.feed_server import Connection, FeedServer, pump
from marketdata.exchange.requests import Request
from marketdata.exchange.rest_server import Rest
from marketdata.exchange.splits import Splits

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

DOOR = "/v3/feed/market-data-feed"
FEED = "/market-data-feeder/v3/upstox-developer-api/feeds"
CONTROL = "/simulator/faults"
SPLITS = "/simulator/splits"
BODY_MAX = 64 * 1024


class Exchange:
    """Routes requests. `token` is the only bearer token accepted, or None for any.

    `latency_ms` delays every answer and frame; `rate_limits` refuses what Upstox would refuse;
    `connections_max` is how many feed connections a token may hold (Upstox: 2).
    """

    def __init__(
        self,
        *,
        feed: FeedServer,
        rest: Rest,
        now_ms: Callable[[], int],
        token: str | None = None,
        latency_ms: int = 0,
        rate_limits: bool = False,
        connections_max: int | None = None,
        splits: Splits | None = None,
    ) -> None:
        self._splits = splits
        self._feed = feed
        self._rest = rest
        self._now_ms = now_ms
        self._token = token
        self._latency_ms = latency_ms
        self._limits = RateLimits() if rate_limits else None
        self._connections_max = connections_max
        self.faults = Faults(feed)
        self._codes: dict[str, str] = {}
        self._beat: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._feed.before_beat = lambda now_ms: self.faults.apply(now_ms=now_ms)
                self._beat = asyncio.create_task(self._feed.run())
                await send({"type": "lifespan.startup.complete"})
            else:
                if self._beat is not None:
                    self._beat.cancel()
                await send({"type": "lifespan.shutdown.complete"})
                return

    # --- the feed --------------------------------------------------------------------------
    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        headers = _headers(scope)
        if self.faults.active("refuse", now_ms=self._now_ms()):
            await _deny(send, envelope.refused(Refusal(503, "UDAPI100500", "Unavailable")))
            return
        if scope["path"] == DOOR:
            try:
                self._authorise(headers)
                self._admit(headers.get("authorization", ""))
            except Refusal as refusal:
                await _deny(send, envelope.refused(refusal))
                return
            location = self._feed_url(scope, headers)
            await _deny(send, Answer(302, b"", {"location": location}))
            return
        code = dict(parse_qsl(scope["query_string"].decode())).get("code", "")
        identity = self._codes.pop(code, None)
        if scope["path"] != FEED or identity is None:
            await _deny(send, envelope.refused(Refusal(403, "UDAPI100050", "Invalid code")))
            return
        await send({"type": "websocket.accept"})
        await self._serve(Connection(identity=identity), receive, send)

    async def _serve(self, connection: Connection, receive: Receive, send: Send) -> None:
        async def send_bytes(frame: bytes) -> None:
            await send({"type": "websocket.send", "bytes": frame})

        self._feed.open(connection)
        sender = asyncio.create_task(pump(connection, send=send_bytes, delay_s=self._delay_s))
        reader = asyncio.create_task(self._read(connection, receive))
        try:
            await asyncio.wait({sender, reader}, return_when=asyncio.FIRST_COMPLETED)
            if sender.done() and not reader.done():
                with contextlib.suppress(Exception):
                    await send({"type": "websocket.close", "code": connection.cut_code or 1011})
        finally:
            self._feed.close(connection)
            for task in (sender, reader):
                task.cancel()
            await asyncio.gather(sender, reader, return_exceptions=True)

    async def _read(self, connection: Connection, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes")
            # Upstox reads binary frames; a text frame says nothing to it.
            if data is not None:
                self._feed.receive(connection, data)

    def _admit(self, identity: str) -> None:
        held = sum(1 for held in self._feed.connections if held.identity == identity)
        if self._connections_max is not None and held >= self._connections_max:
            raise Refusal(403, "UDAPI100050", "Too many connections")

    def _delay_s(self, at_ms: int) -> float:
        return (at_ms + self._latency_ms - self._now_ms()) / 1000 if self._latency_ms else 0.0

    def _feed_url(self, scope: Scope, headers: dict[str, str]) -> str:
        code = secrets.token_urlsafe(24)
        if len(self._codes) >= 1_000:
            self._codes.pop(next(iter(self._codes)))
        self._codes[code] = headers.get("authorization", "")
        scheme = "wss" if scope.get("scheme") in {"https", "wss"} else "ws"
        host = headers.get("host", "127.0.0.1")
        return f"{scheme}://{host}{FEED}?requestId={uuid.uuid4()}&code={code}"

    def _authorise(self, headers: dict[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        valid = scheme.lower() == "bearer" and bool(token)
        if valid and self._token is not None:
            valid = secrets.compare_digest(token.encode(), self._token.encode())
        if not valid:
            raise envelope.BAD_TOKEN
        self.faults.check_token(now_ms=self._now_ms())

    # --- REST ------------------------------------------------------------------------------
    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._latency_ms:
            await asyncio.sleep(self._latency_ms / 1000)
        try:
            answer = await self._answer(scope, await _body(receive))
        except Refusal as refusal:
            answer = envelope.refused(refusal)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            answer = envelope.refused(Refusal(500, "UDAPI100500", "Something went wrong"))
        await _respond(send, answer, "http.response")

    async def _answer(self, scope: Scope, body: bytes) -> Answer:
        headers = _headers(scope)
        path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").split("?")[0]
        if path == f"{DOOR}/authorize":
            self._authorise(headers)
            url = self._feed_url(scope, headers)
            # The documentation spells it one way, the official SDK reads the other.
            return envelope.success({"authorized_redirect_uri": url, "authorizedRedirectUri": url})
        if path == DOOR:
            self._authorise(headers)
            return Answer(302, b"", {"location": self._feed_url(scope, headers)})
        request = Request(
            method=scope["method"],
            path=path,
            query=dict(parse_qsl(scope["query_string"].decode("latin-1"))),
            headers=headers,
            body=body,
            now_ms=self._now_ms(),
        )
        if path == CONTROL:
            return await self.faults.control(request)
        if path == SPLITS and self._splits is not None:
            return self._splits.control(request)
        self.faults.check_rest(now_ms=request.now_ms)
        for pattern, secured, handler in self._rest.routes:
            match = pattern.fullmatch(path)
            if match:
                if secured:
                    self._authorise(headers)
                    if self._limits is not None:
                        identity = headers.get("authorization", "")
                        self._limits.check(identity + pattern.pattern, now_ms=request.now_ms)
                return await handler(request, *match.groups())
        raise envelope.NO_SUCH_URL


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > BODY_MAX:
            raise Refusal(413, "UDAPI10000", "Request body too large")
        if not message.get("more_body"):
            return body


async def _deny(send: Send, answer: Answer) -> None:
    """Refuse a WebSocket handshake with an HTTP answer."""
    await _respond(send, answer, "websocket.http.response")


async def _respond(send: Send, answer: Answer, kind: str) -> None:
    headers = {
        "content-type": answer.content_type,
        "content-length": str(len(answer.body)),
        **answer.headers,
    }
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": f"{kind}.start", "status": answer.status, "headers": encoded})
    await send({"type": f"{kind}.body", "body": answer.body})
