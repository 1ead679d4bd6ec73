"""Faults on request, so that what a bad day does can be tried on a good one.

POST /simulator/faults {"kind": …, "seconds": …} starts one, GET shows what is under way,
DELETE ends all.
"""

from collections import deque
from typing import Final, Literal, get_args

import msgspec

from marketdata.exchange import envelope
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.feed_server import FeedServer
from marketdata.exchange.requests import Request

Kind = Literal[
    "drop",  # every feed connection is closed at once (code 1011)
    "half_open",  # the present connections stay open and hear nothing more; new ones are served
    "stall",  # connections stay, no frame is sent
    "refuse",  # and new connections are refused with 503
    "garbage",  # frames are cut and flipped
    "rate_limit",  # every REST call is answered 429
    "server_error",  # every REST call is answered 500
    "token_expiry",  # every token is refused: 401 on REST and handshake
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
SECONDS_MAX: Final = 3_600


class _Order(msgspec.Struct, forbid_unknown_fields=True):
    kind: Kind
    seconds: float = 5.0


class Faults:
    """What is wrong at present, by kind and until when (epoch milliseconds)."""

    def __init__(self, feed: FeedServer) -> None:
        self._feed = feed
        self._until: dict[Kind, int] = {}

    def active(self, kind: Kind, *, now_ms: int) -> bool:
        return self._until.get(kind, 0) > now_ms

    def apply(self, *, now_ms: int) -> None:
        """Bring the feed in line; called each beat and at each order."""
        self._feed.paused = self.active("stall", now_ms=now_ms)
        self._feed.mangle = _damage if self.active("garbage", now_ms=now_ms) else None

    def check_rest(self, *, now_ms: int) -> None:
        """Raise what stands in the way of a REST call."""
        if self.active("rate_limit", now_ms=now_ms):
            raise envelope.TOO_MANY
        if self.active("server_error", now_ms=now_ms):
            raise Refusal(500, "UDAPI100500", "Something went wrong")

    def check_token(self, *, now_ms: int) -> None:
        """Raise when tokens are held to have expired."""
        if self.active("token_expiry", now_ms=now_ms):
            raise envelope.BAD_TOKEN

    async def control(self, request: Request) -> Answer:
        """The control endpoint."""
        if request.method == "DELETE":
            self._until.clear()
        elif request.method == "POST":
            try:
                order = msgspec.json.decode(request.body, type=_Order)
            except msgspec.DecodeError as error:
                raise Refusal(400, "UDAPI100036", f"{error}. Kinds: {', '.join(KINDS)}") from error
            if not 0 < order.seconds <= SECONDS_MAX:
                raise Refusal(400, "UDAPI100038", f"seconds: more than 0, at most {SECONDS_MAX}")
            if order.kind == "drop":
                self._feed.drop_all()
            elif order.kind == "half_open":
                self._feed.kill_all()
            else:
                self._until[order.kind] = request.now_ms + round(order.seconds * 1000)
        self.apply(now_ms=request.now_ms)
        left = {
            kind: round((until - request.now_ms) / 1000, 3)
            for kind, until in self._until.items()
            if until > request.now_ms
        }
        return envelope.success({"seconds_left": left, "connections": len(self._feed.connections)})


class RateLimits:
    """Upstox's limits per token: 50 calls a second, 500 a minute, 2,000 in half an hour."""

    WINDOWS: Final = ((1_000, 50), (60_000, 500), (1_800_000, 2_000))

    def __init__(self) -> None:
        self._calls: dict[str, deque[int]] = {}

    def check(self, identity: str, *, now_ms: int) -> None:
        """Count a call. Raises the 429 that Upstox answers."""
        calls = self._calls.setdefault(identity, deque())
        while calls and calls[0] <= now_ms - self.WINDOWS[-1][0]:
            calls.popleft()
        for window_ms, limit in self.WINDOWS:
            if len(calls) >= limit and calls[-limit] > now_ms - window_ms:
                raise envelope.TOO_MANY
        calls.append(now_ms)


def _damage(frame: bytes) -> bytes:
    """A frame with a bit flipped and its end cut off, differently each time."""
    damaged = bytearray(frame)
    place = sum(frame[-8:]) % max(len(damaged), 1)
    damaged[place] ^= 1 << (place % 8)
    return bytes(damaged[: len(damaged) - place % 5])
