"""The feed's connections: subscriptions in, frames out. Knows no HTTP.

Once a beat every watched record is made into bytes once for each mode in use; a connection's
frame is a join of the entries that it subscribes to.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import get_args

import msgspec

from marketdata.exchange import records
from marketdata.exchange.hours import Phases
from marketdata.exchange.source import Source
from marketdata.upstox.wire import Mode

logger = logging.getLogger(__name__)

MODES: tuple[Mode, ...] = get_args(Mode)
# Keys a connection may hold, by mode: alone, and when it uses several modes.
CAPS: dict[str, tuple[int, int]] = {
    "ltpc": (5000, 2000),
    "option_greeks": (3000, 2000),
    "full": (2000, 1500),
    "full_d30": (50, 1500),
}
# Frames that may wait for a slow reader before it is cut: half a minute of beats.
WAITING_MAX = 600
# A patient source is not asked for more while a reader has this many to read …
BEHIND_FRAMES = 100
# … unless that reader has read nothing for so long that it is gone.
STUCK_MS = 15_000


class _Data(msgspec.Struct):
    instrumentKeys: list[str] = []  # noqa: N815 (Upstox's name)
    mode: str | None = None


class _Request(msgspec.Struct):
    guid: str = ""
    method: str = ""
    data: _Data = msgspec.field(default_factory=_Data)


_decoder = msgspec.json.Decoder(_Request)


class Connection:
    """One client of the feed: the mode of each key, and the frames that wait to be sent."""

    def __init__(self, *, identity: str) -> None:
        self.identity = identity
        self.modes: dict[str, Mode] = {}
        self.cut_code: int | None = None
        self.dead = False  # open, but nothing is sent any more: a half-open connection
        self.progressed = True  # whether a frame was sent since the feed last looked
        self.progressed_ms = 0  # and when it last looked and saw that
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._some = asyncio.Event()

    @property
    def behind(self) -> bool:
        """Whether the reader has much to catch up with."""
        return len(self._waiting) > BEHIND_FRAMES

    def put(self, frame: bytes, *, at_ms: int) -> None:
        """Queue a frame; too many waiting ones mean that nobody reads."""
        if self.dead:
            return
        if len(self._waiting) >= WAITING_MAX:
            self.cut(1013)
        else:
            self._waiting.append((at_ms, frame))
        self._some.set()

    def cut(self, code: int) -> None:
        """Close the connection with `code`; what waits is not sent."""
        self.cut_code = self.cut_code or code
        self._some.set()

    async def get(self) -> tuple[int, bytes] | None:
        """The next frame with its time, or None when the connection must be cut."""
        while not self._waiting and self.cut_code is None:
            self._some.clear()
            await self._some.wait()
        return None if self.cut_code is not None else self._waiting.popleft()


class FeedServer:
    """All connections and the beat that feeds them. One event loop."""

    def __init__(self, *, source: Source, now_ms: Callable[[], int], beat_ms: int) -> None:
        self._source = source
        self._now_ms = now_ms
        self._beat_ms = beat_ms
        self._phases: Phases | None = None
        self._second = -1  # in which the phases were last looked at
        self.connections: set[Connection] = set()
        # Applied to each frame on its way out; the fault controls set it.
        self.mangle: Callable[[bytes], bytes] | None = None
        self.paused = False
        self.before_beat: Callable[[int], None] | None = None

    def drop_all(self) -> None:
        """Close every connection as a failing server would."""
        for connection in self.connections:
            connection.cut(1011)

    def kill_all(self) -> None:
        """Leave every present connection open and send it nothing more; new ones are served."""
        for connection in self.connections:
            connection.dead = True

    def open(self, connection: Connection) -> None:
        """A new connection gets the market's phases first."""
        self.connections.add(connection)
        now_ms = self._now_ms()
        self._phases = self._phases or self._source.phases(now_ms=now_ms)
        connection.put(records.market_info(self._phases, at_ms=now_ms), at_ms=now_ms)

    def close(self, connection: Connection) -> None:
        self.connections.discard(connection)

    def receive(self, connection: Connection, message: bytes) -> None:
        """A subscription request. What Upstox answers to a bad one is unknown: it is ignored."""
        try:
            request = _decoder.decode(message)
        except msgspec.DecodeError:
            logger.info("unreadable subscription request of %d bytes", len(message))
            return
        keys = request.data.instrumentKeys
        if request.method == "unsub":
            for key in keys:
                connection.modes.pop(key, None)
        elif request.method in {"sub", "change_mode"}:
            mode = request.data.mode or "ltpc"
            if mode in MODES:
                self._subscribe(connection, keys, mode)

    def _subscribe(self, connection: Connection, keys: Iterable[str], mode: Mode) -> None:
        room = _room(connection, mode)
        accepted = []
        for key in keys:
            if key in self._source.listings and (connection.modes.get(key) == mode or room > 0):
                room -= connection.modes.get(key) != mode
                connection.modes[key] = mode
                accepted.append(key)
        if not accepted:
            return
        now_ms = self._now_ms()
        state = self._source.records(keys=accepted, now_ms=now_ms, depth=_depth({mode}))
        entries = [records.entry(record, mode) for record in state]
        if entries:
            connection.put(records.frame(entries, at_ms=now_ms, snapshot=True), at_ms=now_ms)

    async def run(self) -> None:
        """Beat until cancelled, on the wall clock's grid so that equal seeds give equal beats."""
        while True:
            now_ms = self._now_ms()
            await asyncio.sleep((self._beat_ms - now_ms % self._beat_ms) / 1000)
            try:
                self.beat(self._now_ms())
            except Exception:
                # One bad beat must not end the exchange; the next one starts afresh.
                logger.exception("beat failed")

    def beat(self, now_ms: int) -> None:
        """Send what ticked since the last beat, and the phases when they changed."""
        if self.before_beat is not None:
            self.before_beat(now_ms)
        if now_ms // 1000 != self._second:  # phases change on whole seconds
            self._second = now_ms // 1000
            self._tell_phases(now_ms)
        wanted: dict[str, set[Mode]] = {}
        for connection in self.connections:
            for key, mode in connection.modes.items():
                wanted.setdefault(key, set()).add(mode)
        if self.paused or (self._source.patient and self._must_wait(now_ms)):
            return
        depth = _depth({mode for modes in wanted.values() for mode in modes})
        for batch in self._source.due(now_ms=now_ms, wanted=wanted, depth=depth):
            entries = {
                record.key: {mode: records.entry(record, mode) for mode in wanted[record.key]}
                for record in batch
            }
            self._send(entries, now_ms)

    def _tell_phases(self, now_ms: int) -> None:
        phases = self._source.phases(now_ms=now_ms)
        if phases != self._phases and self._phases:
            info = records.market_info(phases, at_ms=now_ms)
            for connection in self.connections:
                connection.put(info, at_ms=now_ms)
        self._phases = phases

    def _must_wait(self, now_ms: int) -> bool:
        """Whether a reader has to catch up first. One that reads nothing at all is cut off."""
        behind = [connection for connection in self.connections if connection.behind]
        for connection in behind:
            if connection.progressed:
                connection.progressed, connection.progressed_ms = False, now_ms
            elif now_ms - connection.progressed_ms > STUCK_MS:
                connection.cut(1013)
        return any(connection.cut_code is None for connection in behind)

    def _send(self, entries: dict[str, dict[Mode, bytes]], now_ms: int) -> None:
        for connection in self.connections:
            modes = connection.modes
            mine = [made[modes[key]] for key, made in entries.items() if key in modes]
            if mine:
                frame = records.frame(mine, at_ms=now_ms)
                connection.put(self.mangle(frame) if self.mangle else frame, at_ms=now_ms)


async def pump(
    connection: Connection,
    *,
    send: Callable[[bytes], Awaitable[None]],
    delay_s: Callable[[int], float],
) -> None:
    """Send a connection's frames until it is cut; `delay_s` is how long a frame is held back."""
    while (waiting := await connection.get()) is not None:
        at_ms, frame = waiting
        hold = delay_s(at_ms)
        if hold > 0:
            await asyncio.sleep(hold)
        await send(frame)
        connection.progressed = True


def _room(connection: Connection, mode: Mode) -> int:
    alone, combined = CAPS[mode]
    used = sum(1 for held in connection.modes.values() if held == mode)
    several = any(held != mode for held in connection.modes.values())
    return (min(alone, combined) if several else alone) - used


def _depth(modes: set[Mode]) -> int:
    return 30 if "full_d30" in modes else 5
