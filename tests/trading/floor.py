"""A trading floor for tests: a board, the desk and settlement, driven by hand with one clock."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np

from marketdata import selectors as market_selectors
from marketdata.board import Board
from marketdata.mirror import mirror
from marketdata.models import Instrument
from marketdata.quotes import Tick
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios.models import Portfolio
from portfolios.selectors import access_portfolio
from tests.support.api import share, student
from trading import selectors, services, settlement
from trading.desk import Desk
from trading.live import live_orders
from trading.models import Fill, Order

START = datetime.fromisoformat("2026-11-23T10:00:00+05:30")
CONTINUOUS = {"NSE_EQ": "CONTINUOUS", "NSE_EQ_CAS": "CONTINUOUS", "NSE_FO": "CONTINUOUS"}

Book = list[tuple[float, int]]


@dataclass
class Floor:
    """`tick` moves the market, `buy` and `sell` place, `run` lets the engine catch up."""

    now: datetime = START
    board: Board = field(default_factory=lambda: Board(epoch="floor"))
    desk: Desk = field(default_factory=Desk)
    fence: int = 0
    volumes: dict[str, int] = field(default_factory=dict)
    read_at: datetime | None = None

    def __post_init__(self) -> None:
        market_selectors.forget()
        selectors.forget_schedules()
        mirror.cache_clear()
        self.start_engine()

    @property
    def now_ms(self) -> int:
        return clock.to_ms(self.now)

    def start_engine(self) -> None:
        """An engine (again): an empty desk that takes the fence and reads the database."""
        self.fence = settlement.take_fence(at=self.now)
        self.desk = Desk()
        self.desk.phases = dict(CONTINUOUS)
        self.run(everything=True)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def tick(
        self,
        instrument: Instrument,
        last: float,
        *,
        bids: Book | None = None,
        asks: Book | None = None,
        traded: int = 0,
        previous_close: float | None = None,
        settle: bool = True,
    ) -> None:
        """One tick 100 ms later: a last price, and a book (default: 100 a side, one tick off)."""
        self.now += timedelta(milliseconds=100)
        step = float(instrument.tick_size)
        volume = self.volumes.get(instrument.key, 10_000) + traded
        self.volumes[instrument.key] = volume
        tick = Tick(
            instrument_key=instrument.key,
            exchange_ms=self.now_ms,
            received_ms=self.now_ms,
            source="stream",
            last_price=last,
            last_trade_ms=self.now_ms,
            previous_close=previous_close,
            volume=volume,
            bids=tuple([(round(last - step, 2), 100)] if bids is None else bids),
            asks=tuple([(round(last + step, 2), 100)] if asks is None else asks),
        )
        rows = np.array(self.board.merge([tick]), dtype=np.int32)
        self._show()
        decided = self.desk.on_ticks(rows, self.board, self.now_ms)
        if settle:
            self.settle(decided)

    def _show(self) -> None:
        copy = mirror()
        copy.load(self.board.snapshot(at_ms=self.now_ms))
        copy._asked_at = 1e18  # the floor is its only source

    def settle(self, decided: list[settlement.Decided]) -> list[settlement.Outcome]:
        if not decided:
            return []
        outcomes = settlement.settle(decided, fence=self.fence)
        for outcome in outcomes:
            if outcome.dropped or not outcome.live:
                self.desk.remove(outcome.order_id)
        return outcomes

    def run(self, *, everything: bool = True) -> None:
        """The doorbell: read the orders (all that live, or those changed since the last time) and
        look at the market for the new ones."""
        since = None if everything else self.read_at
        self.read_at = self.now
        touched = self.desk.take(
            live_orders(changed_since=since), self.board, complete=since is None
        )
        self.settle(self.desk.look_at(touched, self.board, self.now_ms))

    def second(self) -> None:
        self.wait(1)
        self.settle(self.desk.look_at_active(self.board, self.now_ms))

    # --- Orders -------------------------------------------------------------------------
    def place(
        self, user: User, instrument: Instrument, side: str, quantity: Any, **fields: Any
    ) -> Order:
        for name in ("price", "trigger_price"):
            if fields.get(name) is not None:
                fields[name] = Decimal(str(fields[name]))
        contest = fields.pop("contest", None)
        run, everything = fields.pop("run", True), fields.pop("everything", True)
        draft = services.OrderDraft(
            instrument_key=instrument.key, side=side, quantity=quantity, **fields
        )
        order = services.place_order(user=user, contest=contest, draft=draft, at=self.now).order
        if run:
            self.run(everything=everything)
            order.refresh_from_db()
        return order

    def buy(self, user: User, instrument: Instrument, quantity: Any, **fields: Any) -> Order:
        return self.place(user, instrument, "BUY", quantity, **fields)

    def sell(self, user: User, instrument: Instrument, quantity: Any, **fields: Any) -> Order:
        return self.place(user, instrument, "SELL", quantity, **fields)


def again(order: Order) -> Order:
    """The order as the database has it."""
    return Order.objects.select_related("instrument", "portfolio__contest").get(pk=order.pk)


def prices(order: Order) -> list[tuple[int, str]]:
    """An order's fills as (quantity, price), in order."""
    rows = Fill.objects.filter(order=order).order_by("sequence")
    return [(row.quantity, f"{row.price.normalize():f}") for row in rows]


def portfolio(user: User) -> Portfolio:
    return access_portfolio(user=user)


__all__ = ["Floor", "again", "portfolio", "prices", "share", "student"]
