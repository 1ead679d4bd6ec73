"""One hub a process: hears the bus once, and serves every socket of the process.

Who is connected and what each follows is here. What comes from the bus is `hearing`, what goes out
each beat is `beat`, what is done by the clock is `tending`.
"""

import asyncio
import contextlib
import logging
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

from django.conf import settings
from django.db import close_old_connections
from redis.exceptions import RedisError

from marketdata.stream import fanout, protocol
from marketdata.stream.auth import Arrival
from marketdata.stream.beat import Beat
from marketdata.stream.hearing import Hearing
from marketdata.stream.private import PrivateEvents
from marketdata.stream.quota import Quota, Rules, lease_key
from marketdata.stream.sockets import Sink, Socket
from marketdata.stream.tending import Tending
from mockmarket.core import bus, clock, redis

log = logging.getLogger(__name__)

DUTY_RETRY_SECONDS: Final = 0.5
STOP_SECONDS: Final = 2.0
_DATABASE_THREADS: Final = 4

T = TypeVar("T")


class Hub:
    """All sockets of one event loop. `current()` finds it; `start` runs until `stop`."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.fanout = fanout.Fanout(width=settings.STREAM_INSTRUMENTS_PER_USER_MAX)
        self.private = PrivateEvents()
        self.sockets: set[Socket] = set()
        self.interest: Counter[str] = Counter()
        self.depths: dict[str, set[Socket]] = {}
        self.topics: dict[str, set[Socket]] = {}
        self.status: bytes = b""
        self.counters: Counter[str] = Counter()
        self.redis = redis.async_client()
        self.quota = Quota(
            rules=Rules(
                instruments_max=settings.STREAM_INSTRUMENTS_PER_USER_MAX,
                sockets_max=settings.STREAM_SOCKETS_PER_USER_MAX,
                changes_per_minute=settings.STREAM_CHANGES_PER_MINUTE,
            ),
            client=self.redis,
            process_id=self.id,
            now=clock.monotonic,
        )
        self.beat = Beat(self)
        self.tending = Tending(self)
        self._hearing = Hearing(self)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._duties: list[asyncio.Task[Any]] = []
        self._database = ThreadPoolExecutor(_DATABASE_THREADS, thread_name_prefix="stream-db")
        self._ready = asyncio.Event()

    # --- Life ---------------------------------------------------------------------------
    def start(self) -> None:
        """Begin to listen; call once, inside the event loop."""
        hearing = self._hearing
        self._duties = [
            self.spawn(self._endless(work))
            for work in (hearing.run, hearing.load_board, self.beat.run, self.tending.run)
        ]

    async def _endless(self, work: Callable[[], Awaitable[None]]) -> None:
        """A duty that an error ended begins again: one bad moment leaves no socket deaf."""
        while True:
            try:
                await work()
            except Exception:
                log.exception("A duty of the stream's hub failed; it begins again")
                self.counters["failed"] += 1
            await asyncio.sleep(DUTY_RETRY_SECONDS)

    def begun(self) -> None:
        """The board was asked for: sockets may come."""
        self._ready.set()

    async def ready(self) -> None:
        """Wait until the lease is written and the board was asked for once."""
        await self._ready.wait()

    async def stop(self) -> None:
        """Close what `start` opened. For tests and orderly ends; a dying process needs none."""
        for socket in list(self.sockets):
            socket.close(protocol.CLOSE_RESTART)
            self.leave(socket)
        for task in self._duties:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):  # for places in Redis that go back
                await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(RedisError):
            await self.redis.delete(lease_key(self.id))
        self._database.shutdown(wait=False)
        await self.redis.aclose()

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        """Run a coroutine beside; what it raises is logged."""
        task: asyncio.Task[Any] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("A task of the stream's hub failed", exc_info=error)

    async def in_database(self, function: Callable[..., T], *args: Any) -> T:
        """Run a function with the ORM in the hub's own threads: slow pages do not delay it."""

        def call() -> T:
            close_old_connections()
            try:
                return function(*args)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._database, call)

    # --- Sockets ------------------------------------------------------------------------
    async def admit(self, *, sink: Sink, arrival: Arrival) -> Socket | None:
        """A socket for an authenticated user; None when the user has too many."""
        socket_id = uuid.uuid4().hex[:12]
        if not await self.quota.connect(user_id=arrival.grant.user_id, socket_id=socket_id):
            return None
        socket = Socket(id=socket_id, sink=sink, grant=arrival.grant, slot=self.fanout.open_slot())
        socket.last_action = clock.monotonic()
        self.sockets.add(socket)
        epoch, seq = self.private.join(socket, epoch=arrival.epoch, seq=arrival.seq)
        rules = self.quota.rules
        limits = protocol.Limits(
            instruments=rules.instruments_max,
            changes_per_minute=rules.changes_per_minute,
            sockets=rules.sockets_max,
        )
        welcome = protocol.Welcome(
            epoch=epoch, seq=seq, server_time=clock.now().isoformat(), limits=limits
        )
        socket.send(protocol.encode(welcome))
        socket.send(self.status or _NOT_YET)
        socket.welcomed = True
        if indices := self.beat.indices:
            socket.offer("indices", indices)
        self.private.greet(socket)
        self.tending.interest_changed()
        return socket

    def leave(self, socket: Socket) -> None:
        """Forget a socket. Its place in Redis is given back beside."""
        if socket not in self.sockets:
            return
        socket.closing = True
        self.follow(socket, ())
        self.follow_depths(socket, ())
        self.follow_topics(socket, ())
        self.sockets.discard(socket)
        self.fanout.close_slot(socket.slot)
        self.private.leave(socket)
        self.spawn(self.quota.release(user_id=socket.grant.user_id, socket_id=socket.id))
        self.tending.interest_changed()

    def follow(self, socket: Socket, keys: Sequence[str]) -> None:
        """Make `keys` what the socket follows, and send at once what is new to it."""
        before = set(socket.keys)
        added = [key for key in keys if key not in before]
        self.interest.subtract(before)
        self.interest.update(keys)
        for key in [key for key in before if not self.interest[key]]:
            del self.interest[key]
        socket.keys = keys
        # Encoded before the slot's cursor is set: the snapshot is not sent again by the next pass.
        snapshot = self.fanout.snapshot(added) if added else b""
        self.fanout.follow(socket.slot, keys)
        if snapshot:
            socket.send(snapshot)
        self.tending.interest_changed()

    def follow_depths(self, socket: Socket, keys: Sequence[str]) -> None:
        """Make `keys` the books that the socket follows."""
        _watch(self.depths, socket, socket.depths, keys)
        socket.depths = keys
        # A book is kept while somebody follows it: without, nobody hears that it changes.
        for key in [name for name in self._hearing.depths if name not in self.depths]:
            del self._hearing.depths[key]
        for key in keys:
            if (frame := self._hearing.book(key)) is not None:
                socket.offer(("depth", key), frame)
        self.tending.interest_changed()

    def follow_topics(self, socket: Socket, topics: Sequence[str]) -> None:
        """Make `topics` what the socket follows."""
        _watch(self.topics, socket, socket.topics, topics)
        socket.topics = frozenset(topics)
        for topic in topics:
            if topic in self._hearing.topics:
                socket.offer(("topic", topic), self._hearing.topics[topic])
        for topic in [name for name in self._hearing.topics if name not in self.topics]:
            del self._hearing.topics[topic]
        self.tending.interest_changed()

    async def resume(self, socket: Socket, *, epoch: str, seq: int) -> None:
        """Replay what the socket missed after `seq`, or tell it to refetch."""
        if socket.held is not None:
            return  # one at a time; the first answer covers both
        socket.held = []
        try:
            events = await self.in_database(bus.events_since, socket.grant.user_id, epoch, seq)
        except BaseException:
            self.private.replay(socket, None)
            raise
        self.private.replay(socket, events)

    async def catch_up(self, user_id: int, epoch: str, seq: int) -> None:
        """Give a user what the bus lost, from the outbox; or tell the sockets to refetch."""
        where = self.private.position(user_id)
        if where is None:
            return
        own_epoch, last = where
        events = await self.in_database(bus.events_since, user_id, own_epoch, last)
        if events is None:
            self.private.resync(user_id, epoch=epoch, seq=seq)
        else:
            self.private.fill(user_id, events)

    # --- The market's status --------------------------------------------------------------
    def tell_status(self, frame: bytes) -> None:
        """Keep the market's status, and tell every socket what is new."""
        if frame != self.status:
            self.status = frame
            for socket in self.sockets:
                socket.offer("status", frame)

    def silent(self) -> None:
        """The engine has not spoken for a while: say so."""
        self.tell_status(_NO_STATUS)

    def reload(self) -> None:
        """Compare with the engine's snapshot; what differs goes out."""
        self._hearing.reload()


SILENT: Final = protocol.Status(
    status="disconnected",
    message="The market engine does not answer; prices stand still.",
    phase="",
    source="",
)
_NO_STATUS: Final = protocol.encode(SILENT)
# Until the engine's first word nobody knows that there is no feed: only silence tells that.
_NOT_YET: Final = protocol.encode(
    protocol.Status(
        status="delayed",
        message="Waiting for the market engine; prices are the last known.",
        phase="",
        source="",
    )
)


def _watch(watchers: dict[str, set[Socket]], socket: Socket, old: Any, new: Sequence[str]) -> None:
    for name in old:
        watchers[name].discard(socket)
        if not watchers[name]:
            del watchers[name]
    for name in new:
        watchers.setdefault(name, set()).add(socket)


_hubs: "WeakKeyDictionary[asyncio.AbstractEventLoop, Hub]" = WeakKeyDictionary()


def begin() -> Hub:
    """The hub of the running event loop, started on first use."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
        hub.start()
    return hub


async def current() -> Hub:
    """The running event loop's hub, once it can take sockets."""
    hub = begin()
    await hub.ready()
    return hub
