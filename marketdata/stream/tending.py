"""What the hub does by the clock: leases, and checks that nothing was missed."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import Error as DatabaseError
from redis.exceptions import RedisError

from marketdata.stream import auth, protocol
from marketdata.stream.quota import lease, lease_key
from marketdata.stream.sockets import Socket
from mockmarket.core import bus, clock

if TYPE_CHECKING:
    from marketdata.stream.hub import Hub

log = logging.getLogger(__name__)

STEP_SECONDS: Final = 0.25
LEASE_SECONDS: Final = 3.0
# After a crash its sockets are back elsewhere within 15 s, and find their places free by then.
LEASE_TTL_MS: Final = 9_000
# Sign-outs and deactivations that nobody announced end within this, and lost events are found. One
# slice of the sockets at a time: thousands at once would hold the interpreter for a whole beat.
AUDIT_SECONDS: Final = 4.0
AUDIT_SLICES: Final = 8
STATUS_SILENCE_SECONDS: Final = 12.0
SLOW_SECONDS: Final = 10.0


class Tending:
    """The hub's clockwork. Every duty is level-triggered: it looks at what is, and corrects."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub
        self._changed = True
        self._told: tuple[frozenset[str], ...] = ()
        self._leased = False
        self._batches = -1
        self._status_at = clock.monotonic()

    def interest_changed(self) -> None:
        """Somebody follows something else: the lease is rewritten at the next step."""
        self._changed = True

    def audit_soon(self) -> None:
        """Events may be lost: look at everybody now instead of in a few seconds."""
        self._hub.spawn(self._audit(list(self._hub.sockets)))

    def status_heard(self) -> None:
        """The engine spoke."""
        self._status_at = clock.monotonic()

    async def run(self) -> None:
        """Until cancelled."""
        leased_at = swept_at = audited_at = heard_at = -1e9
        turn = 0
        while True:
            now = clock.monotonic()
            if self._changed or now - leased_at >= LEASE_SECONDS:
                leased_at = now
                await self._write_lease()
            if now - swept_at >= 1:
                swept_at = now
                self._sweep(now)
            if now - heard_at >= AUDIT_SECONDS:
                heard_at = now
                if self._batches == self._hub.counters["batches"]:
                    # A quiet market, or a bus that lost the last batch without a word.
                    self._hub.reload()
                self._batches = self._hub.counters["batches"]
            if now - audited_at >= AUDIT_SECONDS / AUDIT_SLICES:
                audited_at = now
                turn = (turn + 1) % AUDIT_SLICES
                self._hub.spawn(
                    self._audit([at for at in self._hub.sockets if at.slot % AUDIT_SLICES == turn])
                )
            await asyncio.sleep(STEP_SECONDS)

    async def _write_lease(self) -> None:
        hub = self._hub
        self._changed = False
        body = lease(
            keys=dict(hub.interest),
            depth=hub.depths,
            topics=hub.topics,
            users=hub.private.user_ids,
            sockets=len(hub.sockets),
        )
        told = (frozenset(hub.interest), frozenset(hub.depths), frozenset(hub.topics))
        try:
            before = await hub.redis.set(lease_key(hub.id), body, px=LEASE_TTL_MS, get=True)
            if before is None and self._leased:
                await hub.quota.restore()  # Redis forgot the lease, so it forgot the shares too
            self._leased = True
            await hub.quota.settle()
        except RedisError:
            self._changed = True
            return
        if told != self._told:
            self._told = told
            await bus.send_async(bus.ENGINE_GROUP, {"type": "wake", "what": "interest"})

    def _sweep(self, now: float) -> None:
        hub = self._hub
        if now - self._status_at > STATUS_SILENCE_SECONDS:
            hub.silent()
        for socket in list(hub.sockets):
            if now - socket.last_action > settings.STREAM_IDLE_SECONDS:
                socket.close(protocol.CLOSE_IDLE)
            elif socket.sink.writable:
                socket.stalled_since = None
                socket.flush()
            elif socket.stalled_since is None:
                socket.stalled_since = now
            elif now - socket.stalled_since > SLOW_SECONDS:
                hub.counters["slow"] += 1
                socket.close(protocol.CLOSE_SLOW)

    async def _audit(self, sockets: Sequence[Socket]) -> None:
        """Close sockets whose right has ended; give users the events that the bus lost."""
        hub = self._hub
        if not sockets:
            return
        try:
            grants = {socket.grant for socket in sockets}
            over = await hub.in_database(auth.ended, grants, clock.now())
            for socket in sockets:
                if socket.grant in over:
                    socket.close(protocol.CLOSE_UNAUTHENTICATED)
            users = {grant.user_id for grant in grants}
            positions = await hub.in_database(auth.positions, users)
            for user_id, epoch, seq in list(hub.private.behind(positions)):
                await hub.catch_up(user_id, epoch, seq)
        except DatabaseError:
            log.warning("The stream's audit could not read the database; it tries again")
