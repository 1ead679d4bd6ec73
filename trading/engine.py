"""The order desk: live orders in memory, matched against every tick, booked in batches.

The desk rides on the market engine's loop (marketdata/engine.py). It looks at a tick through
numpy columns first: one comparison a row tells whether any order of that instrument could act,
so ticks that cross nothing cost next to nothing however many orders rest. What acts is decided
by trading/matching.py in time priority, and the filled quantity moves in memory at once: a
second tick cannot fill twice while the first commits. Decisions are booked by
trading/settlement.py in the engine's database thread, in order.

The database is the truth about orders. The desk reads what changed when the doorbell rings and
each second, and reads an order anew whenever settlement dropped a decision about it.
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
from django.db import DatabaseError, OperationalError

from marketdata import selectors as market_selectors
from marketdata import sessions
from marketdata.board import Board
from marketdata.engine import MarketEngine
from marketdata.hooks import Hook
from marketdata.options.live import ChainDesk
from marketdata.sessions import Phase
from mockmarket.core import clock
from portfolios.engine import ValuationDesk
from trading import closing, settlement
from trading.alert_desk import AlertDesk
from trading.corporate_actions.desk import CorporateActionDesk
from trading.desk import Desk
from trading.gtt_desk import GttDesk
from trading.live import LiveOrder, live_orders

log = logging.getLogger(__name__)

BATCH_MAX: Final = 1_000
# Clocks of the machines that write orders may differ by this much.
CHANGED_MARGIN: Final = timedelta(seconds=5)
RELOAD_EVERY_SECONDS: Final = 60
RETRY_SECONDS: Final = 0.5
# A pre-open lasts a quarter of an hour; an older opening price is another day's.
OPENING_MS_MAX: Final = 20 * 60_000


class OrderDesk:
    """The engine's hook for orders. `on_booked` is called in the database thread after a
    commit, with the ids of the portfolios that changed."""

    def __init__(self, *, on_booked: Callable[[Collection[int]], None] | None = None) -> None:
        self._on_booked = on_booked or (lambda _ids: None)
        self._engine: MarketEngine | None = None
        self._fence = 0
        self._pending: deque[settlement.Decided] = deque()
        self._work = asyncio.Event()
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._changed_since: datetime | None = None
        self._second = 0
        self.desk = Desk()
        self.failures = 0

    # --- The engine's hook --------------------------------------------------------------
    async def start(self, engine: MarketEngine) -> None:
        """Take the fence, read every live order, and begin to book."""
        self._engine = engine
        self.desk = Desk()
        self._pending.clear()
        self._fence = await engine.in_database(settlement.take_fence, at=clock.now())
        await self._tell_phases(clock.now_ms())
        await self._read(everything=True)
        self._tasks = [
            asyncio.create_task(self._book(), name="book"),
            asyncio.create_task(self._follow(), name="follow orders"),
        ]

    async def stop(self) -> None:
        """Book what is decided, then stop."""
        if self._pending:
            self._work.set()
            for _ in range(100):
                if not self._pending or self._tasks[0].done():
                    break
                await asyncio.sleep(0.05)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def on_ticks(self, rows: npt.NDArray[np.int32], board: Board, now_ms: int) -> None:
        """Match what the changed rows let act."""
        self._decided(self.desk.on_ticks(rows, board, now_ms))

    async def every_second(self, board: Board, now_ms: int) -> None:
        """Tell the time: phases, orders whose quote grew old, orders missed by the doorbell."""
        self._second += 1
        before = dict(self.desk.phases)
        await self._tell_phases(now_ms)
        for name, phase in self.desk.phases.items():
            if phase == Phase.POST_CLOSE:
                await self._match_closing(name, board, now_ms)
            if before.get(name) == Phase.PRE_OPEN and phase == Phase.CONTINUOUS:
                opened = now_ms - OPENING_MS_MAX
                self._decided(self.desk.match_opening(name, board, now_ms, since_ms=opened))
        self._decided(self.desk.look_at_active(board, now_ms))
        self._wake.set()

    async def _match_closing(self, name: str, board: Board, now_ms: int) -> None:
        """Match a closing auction that has just ended: in each second of a minute, so that an
        engine that slept over the bell does it too. What has filled is not there any more."""
        shares = self.desk.instruments(name)
        if not shares:
            return
        assert self._engine is not None
        at = clock.from_ms(now_ms)
        found: closing.Ended | None = await self._engine.in_database(
            closing.ended, name, shares, at=at
        )
        if found is not None:
            self._decided(
                self.desk.match_auction(
                    name, board, now_ms, since_ms=found.since_ms, bands=found.bands
                )
            )

    async def _tell_phases(self, now_ms: int) -> None:
        assert self._engine is not None
        # The calendar is read from the database when it is old, so not in the loop's thread.
        calendar = await self._engine.in_database(market_selectors.calendar)
        at = clock.from_ms(now_ms)
        self.desk.phases = {
            name: str(sessions.phase(market=name, at=at, calendar=calendar))
            for name in sessions.MARKETS
        }

    def extra_interest(self) -> set[str]:
        """Instruments of live orders."""
        return self.desk.keys()

    async def on_wake(self, what: str) -> None:
        """The doorbell."""
        if what in {"orders", "contests"}:
            if what == "contests":
                self._changed_since = None
            self._wake.set()

    # --- Reading orders -----------------------------------------------------------------
    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._read(everything=self._second % RELOAD_EVERY_SECONDS == 0)
            except DatabaseError:
                self.failures += 1
                log.exception("the desk could not read the orders")
                await asyncio.sleep(RETRY_SECONDS)
                self._wake.set()

    async def _read(self, *, everything: bool) -> None:
        """Read changed orders (or all live ones) and look at the market for the new."""
        engine = self._engine
        assert engine is not None, "the desk reads after it started"
        since = None if everything else self._changed_since
        asked_at = clock.now()
        rows: list[LiveOrder] = await engine.in_database(live_orders, changed_since=since)
        self._changed_since = asked_at - CHANGED_MARGIN
        now_ms = clock.now_ms()
        touched = self.desk.take(rows, engine.board, complete=since is None)
        self._decided(self.desk.look_at(touched, engine.board, now_ms))

    # --- Booking ------------------------------------------------------------------------
    def _decided(self, decisions: list[settlement.Decided]) -> None:
        if decisions:
            self._pending.extend(decisions)
            self._work.set()

    async def _book(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._pending:
                batch = [self._pending[i] for i in range(min(BATCH_MAX, len(self._pending)))]
                outcomes = await self._settle(batch)
                for _ in batch:
                    self._pending.popleft()
                self._apply(outcomes)

    async def _settle(self, batch: list[settlement.Decided]) -> list[settlement.Outcome]:
        """Book a batch; on a fault of one decision, the others still go through."""
        while True:
            try:
                return await self._settle_once(batch)
            except settlement.Fenced:
                log.warning("a newer engine holds the fence; this one stops booking")
                assert self._engine is not None
                self._engine.stop()
                raise
            except OperationalError:
                self.failures += 1
                log.exception("the database is away; the batch is tried again")
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                self.failures += 1
                log.exception("a decision cannot be booked", extra={"batch": len(batch)})
                if len(batch) == 1:
                    self.desk.set_aside(batch[0].order_id)
                    return []
                middle = len(batch) // 2
                return await self._settle(batch[:middle]) + await self._settle(batch[middle:])

    async def _settle_once(self, batch: list[settlement.Decided]) -> list[settlement.Outcome]:
        assert self._engine is not None
        fence, on_booked = self._fence, self._on_booked

        def work() -> list[settlement.Outcome]:
            outcomes = settlement.settle(batch, fence=fence)
            on_booked({decided.portfolio_id for decided in batch})
            return outcomes

        result: list[settlement.Outcome] = await self._engine.in_database(work)
        return result

    def _apply(self, outcomes: list[settlement.Outcome]) -> None:
        """Forget ended orders; read dropped ones anew."""
        dropped: set[uuid.UUID] = set()
        for outcome in outcomes:
            if outcome.dropped:
                dropped.add(outcome.order_id)
            if not outcome.live or outcome.dropped:
                self.desk.remove(outcome.order_id)
        if dropped:
            self._wake.set()


def compose() -> list[Hook]:
    """The hooks of the market engine: orders first, then valuation, option chains, alerts."""
    valuation = ValuationDesk()
    orders = OrderDesk(on_booked=valuation.refresh)
    return [
        orders,
        GttDesk(phases=lambda: orders.desk.phases),
        valuation,
        CorporateActionDesk(on_booked=valuation.refresh),
        ChainDesk(),
        AlertDesk(),
    ]
