"""The engine's upstream side: the feed, its subscriptions, REST where the feed has nothing.

The feed carries only what somebody wants. Outside the service window nothing is called: no
feed, no REST. While the feed is down or silent the wanted keys are polled by REST.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
import redis.asyncio
import structlog
from django.conf import settings

from marketdata import broker, sessions, status
from marketdata.interest import Demand, Lease, Lingering, Mode, Plan, add_up, difference, plan
from marketdata.quotes import Tick
from marketdata.status import MarketStatus
from marketdata.upstox import feed, rest
from marketdata.upstox.wire import Frame
from mockmarket.core import clock
from mockmarket.core import redis as store
from mockmarket.core.errors import DomainError

log = structlog.get_logger(__name__)

REFUSED: Final = "The price source refused our token; an administrator must connect it again."
NO_DEMAND: Final = Demand()
KEYS_PER_CALL: Final = 500
# Page changes come in bursts: the feed hears of at most two changes a second.
COALESCE_SECONDS: Final = 0.5
LEASES_EVERY_SECONDS: Final = 1.0
POLL_EVERY_SECONDS: Final = 5.0


async def read_demand(connection: redis.asyncio.Redis) -> Demand:
    """Add up the leases that web processes keep in Redis; raises redis.RedisError."""
    names = [name async for name in connection.scan_iter(store.key("stream", "lease", "*"), 500)]
    raw = await connection.mget(names) if names else []
    return add_up(_lease(value) for value in raw if isinstance(value, bytes))


def _lease(raw: bytes) -> Lease:
    found: dict[str, Any] = msgspec.msgpack.decode(raw)
    return Lease(
        keys=found.get("keys") or {},
        depth=frozenset(found.get("depth") or ()),
        users=frozenset(found.get("users") or ()),
        sockets=int(found.get("sockets") or 0),
        topics=frozenset(found.get("topics") or ()),
    )


class Feeder:
    """Holds the feed client and the REST client. Its methods run in the engine's loop, except
    `sweep` and `poll_wanted`, which block and belong in a thread."""

    def __init__(
        self,
        *,
        deliver: Callable[[Frame], None],
        count_bad: Callable[[str], None],
        universe: Sequence[str],
        calendar: sessions.Calendar,
    ) -> None:
        self.interest_changed = asyncio.Event()
        self.calendar = calendar
        self.universe = tuple(universe)
        self._deliver = deliver
        self._count_bad = count_bad
        # Short: the next poll comes in five seconds, and a stop waits for the one under way.
        self._rest = rest.Client(token=self._rest_token, tries=2, timeout=(2.0, 5.0))
        self._token = ""
        self.refused = ""  # what Upstox said when it refused the token; nothing is called then
        self._feed: feed.Feed | None = None
        self._held: dict[str, Mode] = {}
        self._plan = Plan({}, frozenset())
        self._lingering = Lingering()
        self._connected = False
        self._reason = ""
        self._last_frame = -1e9  # monotonic seconds
        self._last_poll = -1e9
        self._last_rest = -1e9
        self._last_change = -1e9
        self._newest_ms: int | None = None
        self.frames = 0
        self.reconnects = 0

    # --- Feed ---------------------------------------------------------------------------
    def in_service(self, at: datetime) -> bool:
        """Whether any market's service window is open."""
        return sessions.any_in_service(at=at, calendar=self.calendar)

    def opens(self, *, at: datetime) -> bool:
        """Whether a service window has opened and the feed is not running yet."""
        return self._feed is None and not self.refused and self.in_service(at)

    def session(self, *, at: datetime) -> date:
        """The session of the cash market that `at` belongs to."""
        return sessions.session_date(market="NSE_EQ", at=at, calendar=self.calendar)

    def tend(self, *, at: datetime) -> None:
        """Open the feed when the service window opens, close it when it ends."""
        if self.in_service(at) and not self.refused:
            if self._feed is None:
                self._held = {}
                self._feed = feed.Feed(
                    url=settings.UPSTOX_FEED_URL,
                    token=self._feed_token,
                    on_frame=self._on_frame,
                    on_state=self._on_state,
                    on_bad=self._count_bad,
                )
                self._feed.start()
            self._feed.expect_frames(status.frames_due(at=at, calendar=self.calendar))
        elif self._feed is not None:
            self.stop()

    def stop(self) -> None:
        """Close the feed."""
        if self._feed is not None:
            self._feed.stop()
            self._feed = None
        self._held, self._connected = {}, False

    def _feed_token(self) -> str:  # the feed's thread
        self._token = broker.feed_token()
        return self._token

    def _rest_token(self) -> str:
        self._token = broker.current_token()
        return self._token

    def renew(self, token: str) -> bool:
        """Try again with `token` after a refusal; False when it is the refused one."""
        if not token or token == self._token:
            return False
        self.stop()
        self.refused = ""
        return True

    def _on_frame(self, frame: Frame) -> None:  # the feed's thread
        self._last_frame = clock.monotonic()
        self.frames += 1
        if frame.ticks:
            self._newest_ms = frame.ticks[0].received_ms
        self._deliver(frame)

    def _on_state(self, state: str, reason: str) -> None:  # the feed's thread
        connected = state == "connected"
        if connected and not self._connected:
            self.reconnects += 1
        self._connected, self._reason = connected, reason
        if state == "unauthorised":
            self.refused = f"Upstox refused the token: {reason}"

    def follow(self, *, demand: Demand, money: Iterable[str]) -> None:
        """Make the feed carry what is wanted now, and keep what was until recently."""
        money = set(money)
        self._plan = plan(demand=demand, money=money)
        modes = dict(self._plan.modes)
        room = 1_000 - len(modes)
        for key in self._lingering.extend(wanted=modes, now=clock.monotonic()):
            if room > 0 and key in self._held:
                modes[key] = self._held[key]
                room -= 1
        if self._feed is None:
            return
        change = difference(held=self._held, wanted=modes)
        if not change:
            return
        for mode, keys in change.change_mode.items():
            self._feed.change_mode(keys, mode)
        if change.unsubscribe:
            self._feed.unsubscribe(change.unsubscribe)
        for mode, keys in change.subscribe.items():
            self._feed.subscribe(keys, mode)
        self._held = modes
        self._last_change = clock.monotonic()

    async def wait_for_interest(self) -> None:
        """Return when interest changed, but at most two times a second, or after a second."""
        try:
            await asyncio.wait_for(self.interest_changed.wait(), LEASES_EVERY_SECONDS)
        except TimeoutError:
            return
        finally:
            self.interest_changed.clear()
        since = clock.monotonic() - self._last_change
        await asyncio.sleep(max(0.0, COALESCE_SECONDS - since))

    # --- REST ---------------------------------------------------------------------------
    def sweep(self, keys: Sequence[str]) -> list[Tick]:
        """Full quotes of `keys`, at most 500 a call; [] outside the window or when REST fails.

        Blocks: for a thread.
        """
        if self.refused or not self.in_service(clock.now()):
            return []
        ticks: list[Tick] = []
        for start in range(0, len(keys), KEYS_PER_CALL):
            try:
                ticks += self._rest.quotes(keys[start : start + KEYS_PER_CALL])
            except rest.Unauthorised as error:
                self.refused = f"Upstox refused the token: {error}"
                break
            except (rest.UpstoxError, DomainError) as error:
                log.warning("REST quotes failed", error=str(error))
                break
        if ticks:
            self._last_rest = clock.monotonic()
            self._newest_ms = ticks[-1].received_ms
        return ticks

    def quiet_ms(self) -> int | None:
        """How long the feed has said nothing; None when it never spoke."""
        if self._last_frame < 0:
            return None
        return int((clock.monotonic() - self._last_frame) * 1000)

    def rest_due(self, *, at: datetime) -> bool:
        """Whether wanted keys should be polled now: the feed is down, silent, or full."""
        too_soon = clock.monotonic() - self._last_poll < POLL_EVERY_SECONDS
        if too_soon or self.refused or not self.in_service(at):
            return False
        quiet = self.quiet_ms()
        silent = quiet is None or quiet > status.QUIET_MS_MAX
        return bool(silent or not self._connected or self._plan.by_rest)

    def poll_wanted(self) -> list[Tick]:
        """Quotes of what the feed does not bring at present. Blocks: for a thread."""
        self._last_poll = clock.monotonic()
        quiet = self.quiet_ms()
        if self._connected and quiet is not None and quiet <= status.QUIET_MS_MAX:
            return self.sweep(sorted(self._plan.by_rest))
        return self.sweep([*self._plan.modes, *sorted(self._plan.by_rest)])

    # --- Status -------------------------------------------------------------------------
    def status(self, *, at: datetime) -> MarketStatus:
        """The market's status as pages show it."""
        return status.build(
            at=at,
            calendar=self.calendar,
            source=settings.MARKET_SOURCE,
            connected=self._connected,
            newest_ms=self._newest_ms,
            quiet_ms=self.quiet_ms(),
            rest_fresh=clock.monotonic() - self._last_rest < 3 * POLL_EVERY_SECONDS,
            reason=REFUSED if self.refused else self._reason,
        )

    def vitals(self) -> dict[str, Any]:
        """For the heartbeat."""
        return {
            "connected": self._connected,
            "reason": self._reason,
            "frames": self.frames,
            "connects": self.reconnects,
            "quiet_ms": self.quiet_ms(),
            "subscribed": len(self._held),
            "by_rest": len(self._plan.by_rest),
        }
