"""What the hub hears on the bus, and the board's snapshot behind it.

A message of prices is applied as it comes and given out by the next beat; everything else goes to
its sockets at once. Whatever pub/sub loses is found again: prices by the batch's number and the
snapshot, private events by their numbers and the outbox.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from redis.exceptions import RedisError

from marketdata.mirror import mirror
from marketdata.stream import auth, encode, protocol
from marketdata.stream.feed import BoardFeed
from mockmarket.core import bus, ear, redis

if TYPE_CHECKING:
    from marketdata.stream.hub import Hub

# A hole in a user's numbers is mostly another process publishing a moment later.
HOLE_SECONDS: Final = 0.3
_STATUS_FIELDS: Final = (
    "status", "message", "phase", "source", "source_label", "as_of", "next_open",
)  # fmt: skip


class Hearing:
    """The hub's ear. `depths` and `topics` keep the newest frame of what somebody follows."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._feed = BoardFeed(fanout=hub.fanout, mirror=mirror())
        self._reload = asyncio.Event()
        self.depths: dict[str, bytes] = {}
        self.topics: dict[str, bytes] = {}
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "market.batch": self._on_batch,
            "market.status": self._on_status,
            "bus.events": self._on_events,
            "bus.live": lambda message: hub.private.live(message["items"]),
            "bus.close": self._on_close,
            "stream.topic": self._on_topic,
        }

    async def run(self) -> None:
        """Hear the bus until cancelled."""
        await ear.listen(bus.STREAM_GROUP, self.hear)

    def hear(self, message: dict[str, Any] | None) -> None:
        """One message; None when some before it may be lost."""
        if message is None:
            self.reload()
            self._hub.tending.audit_soon()
        elif (handler := self._handlers.get(message["type"])) is not None:
            handler(message)
        else:
            self._hub.counters["unknown"] += 1

    def reload(self) -> None:
        """Compare with the engine's snapshot; what differs goes out."""
        self._reload.set()

    # --- Prices -------------------------------------------------------------------------
    def _on_batch(self, message: dict[str, Any]) -> None:
        hub = self._hub
        hub.counters["batches"] += 1
        if not self._feed.apply(message):
            self.reload()
        hub.beat.moved()
        if hub.depths:
            for key, book in self._feed.depths(message):
                if key in hub.depths:
                    self._tell_book(key, encode.book(key, book.tolist()))

    def _tell_book(self, key: str, frame: bytes) -> None:
        if frame != self.depths.get(key):
            self.depths[key] = frame
            for socket in self._hub.depths[key]:
                socket.offer(("depth", key), frame)

    def book(self, key: str) -> bytes | None:
        """The newest book of `key`, None while nothing is known of it."""
        if key not in self.depths and (book := mirror().depth(key)) is not None:
            self.depths[key] = encode.book(key, book.tolist())
        return self.depths.get(key)

    def _compare_books(self) -> None:
        """What a lost batch or another engine changed: books come with it, and not again."""
        for key in self._hub.depths:
            if (book := mirror().depth(key)) is not None:
                self._tell_book(key, encode.book(key, book.tolist()))

    async def load_board(self) -> None:
        """Load the board's snapshot at the start and whenever a batch was missed."""
        hub = self._hub
        while True:
            self._reload.clear()
            try:
                raw = await hub.redis.get(redis.key("board"))
            except RedisError:
                raw = None
            snapshot = msgspec.msgpack.decode(raw) if isinstance(raw, bytes) else None
            loaded = snapshot is not None and self._feed.load(snapshot)
            if snapshot is not None and snapshot.get("status") and not hub.status:
                self._on_status(snapshot["status"])
            hub.begun()
            if snapshot is not None:
                self._compare_books()
            if loaded:
                hub.beat.moved()
                await self._reload.wait()
            else:
                await asyncio.sleep(0.25)

    def _on_status(self, message: dict[str, Any]) -> None:
        mirror().heard({name: value for name, value in message.items() if name != "type"})
        known = {name: message[name] for name in _STATUS_FIELDS if name in message}
        self._hub.tending.status_heard()
        self._hub.tell_status(protocol.encode(protocol.Status(**known)))

    def _on_topic(self, message: dict[str, Any]) -> None:
        topic = message["topic"]
        if topic in self._hub.topics:
            frame = self.topics[topic] = protocol.topic_event(
                type=message["event"], topic=topic, data=message["json"]
            )
            for socket in self._hub.topics[topic]:
                socket.offer(("topic", topic), frame)

    # --- Users --------------------------------------------------------------------------
    def _on_events(self, message: dict[str, Any]) -> None:
        for user_id in self._hub.private.offer(message["items"]):
            self._hub.spawn(self._close_hole(user_id))

    async def _close_hole(self, user_id: int) -> None:
        await asyncio.sleep(HOLE_SECONDS)
        hub = self._hub
        if user_id in hub.private.user_ids:
            positions = await hub.in_database(auth.positions, [user_id])
            for _, epoch, seq in hub.private.behind(positions):
                await hub.catch_up(user_id, epoch, seq)

    def _on_close(self, message: dict[str, Any]) -> None:
        for socket in self._hub.private.sockets_of(message["user_id"]):
            if message["session_key"] in (None, socket.grant.session_key):
                socket.close(message["code"], message["reason"])
