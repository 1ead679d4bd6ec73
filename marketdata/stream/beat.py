"""The pulse of a hub: one pass a beat over all sockets, straight into their transports.

No task, queue or wake-up per socket. When light the beat is the engine's, 20 ms: a pass follows its
batch at once. Under load it is a multiple of what the last pass took, never more than a second.
Passes pause between chunks, so that handshakes and page views go on meanwhile.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from django.conf import settings

from marketdata.interest import STRIP
from marketdata.stream import fanout
from marketdata.stream.sockets import Socket
from mockmarket.core import clock

if TYPE_CHECKING:
    from marketdata.stream.hub import Hub

BEAT_SECONDS_MAX: Final = 1.0
# Share of the time that passes may take; the rest is for handshakes, pages and the bus.
DUTY: Final = 0.6
SOCKETS_PER_CHUNK: Final = 128
INDICES_SECONDS: Final = 0.5


class Beat:
    """Gives every socket what is newer than its cursor; `seconds` is the present beat."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._fanout = hub.fanout
        self._strip = STRIP[: hub.fanout.width]
        self._moved = asyncio.Event()
        self._indices_at = 0.0
        self._indices_stamp = 0
        self.seconds = settings.STREAM_BEAT_MS / 1000
        # The strip is encoded for everybody, whether or not somebody follows an index.
        self._fanout.follow(self._fanout.open_slot(), self._strip)

    def moved(self) -> None:
        """A price came: the next beat has work."""
        self._moved.set()

    @property
    def indices(self) -> bytes:
        """The strip's newest frame, empty while nothing is known of it."""
        return self._fanout.indices(self._strip) if self._indices_stamp else b""

    async def run(self) -> None:
        """Until cancelled."""
        due = 0.0
        shortest = settings.STREAM_BEAT_MS / 1000
        # A whole beat of our own after each pass would add up to one to every age: two clocks of
        # 20 ms drift into any phase. Half of one still joins batches that come in a burst.
        pause = shortest / 2
        while True:
            await self._moved.wait()
            wait = due - clock.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            self._moved.clear()
            began = clock.monotonic()
            await self._pass(began)
            took = clock.monotonic() - began
            self.seconds = min(BEAT_SECONDS_MAX, max(shortest, took / DUTY))
            due = began + min(BEAT_SECONDS_MAX, max(pause, took / DUTY))

    async def _pass(self, now: float) -> None:
        self._fanout.encode()
        common = self._due_indices(now)
        sockets = list(self._hub.sockets)
        for start in range(0, len(sockets), SOCKETS_PER_CHUNK):
            if start:
                await asyncio.sleep(0)
            self._serve(sockets[start : start + SOCKETS_PER_CHUNK], common)

    def _serve(self, sockets: Sequence[Socket], common: Sequence[bytes]) -> None:
        """Send every socket of a chunk what is newer than its cursor. Unwritable ones wait."""
        ready = {
            socket.slot: socket
            for socket in sockets
            if not socket.closing and socket.welcomed and socket.sink.writable
        }
        if common:
            for socket in ready.values():
                socket.flush(common)
        for slot, pieces in self._fanout.collect(list(ready)):
            socket = ready[slot]
            socket.flush(fanout.singles(pieces) if socket.single else (fanout.batch(pieces),))

    def _due_indices(self, now: float) -> tuple[bytes, ...]:
        """The strip's frame when it moved and is due: fewer in a second the longer the beat."""
        if now - self._indices_at < max(INDICES_SECONDS, 5 * self.seconds):
            return ()
        newest = self._fanout.newest_stamp(self._strip)
        if newest <= self._indices_stamp:
            return ()
        self._indices_at, self._indices_stamp = now, newest
        return (self._fanout.indices(self._strip),)
