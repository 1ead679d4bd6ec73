"""A fixed set of orders against a recorded session: what fills, and the quote that justifies it.

The recorded updates pass the feed's own wire, the board and the desk as on a live day; nothing is
written to a database. `PLANS` is the set: the same for every instrument, relative to the
quote at its minute, so that any session can be asked.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

import numpy as np

from marketdata.board import Board
from marketdata.exchange import records
from marketdata.exchange.recordings import Recorded
from marketdata.models import Instrument
from marketdata.quotes import Quote, Tick
from marketdata.sessions import MARKETS
from marketdata.upstox import wire
from mockmarket.core import clock
from mockmarket.core.records import english
from trading.bands import to_tick
from trading.desk import Desk
from trading.live import LiveOrder
from trading.matching import CONTINUOUS, Settings
from trading.settlement import Decided

_NAMESPACE: Final = uuid.UUID("5d0a7a3c-0000-4000-8000-6d6f636b6d6b")


@dataclass(frozen=True, slots=True)
class Plan:
    """One order of the set. `minute` counts from the first update; `lots` of the instrument.

    `away` are ticks from the best price of the other side (market side: negative is towards it);
    a stop's trigger is `away` ticks from the last price.
    """

    name: str
    minute: float
    buy: bool
    lots: int
    kind: str = "MARKET"
    away: int = 0
    ioc: bool = False


PLANS: Final = (
    Plan("market buy of one lot", 2, buy=True, lots=1),
    Plan("market buy through the book", 4, buy=True, lots=60),
    Plan("market sell through the book", 6, buy=False, lots=60),
    Plan("limit buy, immediate or cancel", 8, buy=True, lots=200, kind="LIMIT", ioc=True),
    Plan("limit buy that rests below", 10, buy=True, lots=20, kind="LIMIT", away=-10),
    Plan("limit sell that rests above", 10, buy=False, lots=20, kind="LIMIT", away=-10),
    Plan("stop to sell", 15, buy=False, lots=10, kind="SL_M", away=-15),
    Plan("stop to buy", 15, buy=True, lots=10, kind="SL_M", away=15),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One fill of the set, with what the matcher saw."""

    at: datetime
    symbol: str
    plan: Plan
    placed_at: datetime
    limit: Decimal | None
    quantity: int
    price: Decimal
    decided: Decided


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one planned order."""

    plan: Plan
    symbol: str
    asked: int
    filled: int
    waited: bool


def run(
    recorded: Iterable[Recorded],
    *,
    instruments: dict[str, Instrument],
    settings: Settings,
    plans: Sequence[Plan] = PLANS,
) -> tuple[list[Row], list[Outcome]]:
    """Every fill of the set on a session, and what became of each order."""
    floor = _Floor(instruments, settings, plans)
    for entry in recorded:
        floor.take(entry)
    return floor.rows, floor.outcomes()


class _Floor:
    def __init__(
        self, instruments: dict[str, Instrument], settings: Settings, plans: Sequence[Plan]
    ) -> None:
        self._plans = plans
        self._instruments = instruments
        self._settings = settings
        self._board = Board(epoch="fidelity")
        self._desk = Desk()
        self._desk.phases = dict.fromkeys(MARKETS, CONTINUOUS)
        self._first_ms: dict[str, int] = {}
        self._due: dict[str, list[Plan]] = {}
        self._placed: dict[uuid.UUID, tuple[Plan, LiveOrder, int]] = {}
        self._waited: set[uuid.UUID] = set()
        self._second = 0
        self.rows: list[Row] = []

    def take(self, entry: Recorded) -> None:
        """One recorded update; before it, whatever time asks for."""
        key, now_ms = entry.record.key, entry.at_ms
        if key not in self._instruments:
            return
        if now_ms // 1_000 != self._second:
            self._second = now_ms // 1_000
            self._decided(self._desk.look_at_active(self._board, now_ms))
        rows = np.array(self._board.merge(_ticks(entry)), dtype=np.int32)
        self._decided(self._desk.on_ticks(rows, self._board, now_ms))
        first_ms = self._first_ms.setdefault(key, now_ms)
        due = self._due.setdefault(key, list(self._plans))
        while due and now_ms - first_ms >= due[0].minute * 60_000:
            self._place(due.pop(0), self._instruments[key], now_ms)

    def _place(self, plan: Plan, instrument: Instrument, now_ms: int) -> None:
        quote = self._board.quote(instrument.key, phase=CONTINUOUS)
        if quote is None or not quote.bids or not quote.asks or quote.last_price is None:
            return
        order = _order(plan, instrument, quote, self._settings, len(self._placed), now_ms)
        self._placed[order.id] = (plan, order, now_ms)
        touched = self._desk.take([order], self._board, complete=False)
        self._decided(self._desk.look_at(touched, self._board, now_ms))

    def _decided(self, found: Iterable[Decided]) -> None:
        for decided in found:
            plan, order, placed_ms = self._placed[decided.order_id]
            if decided.decision.waiting:
                self._waited.add(order.id)
            for match in decided.decision.matches:
                self.rows.append(
                    Row(
                        at=decided.at,
                        symbol=order.instrument.symbol,
                        plan=plan,
                        placed_at=clock.from_ms(placed_ms),
                        limit=order.limit,
                        quantity=match.quantity,
                        price=match.price,
                        decided=decided,
                    )
                )
            if decided.decision.cancel or order.filled == order.quantity:
                self._desk.remove(order.id)

    def outcomes(self) -> list[Outcome]:
        """What became of each order, in the order of placing."""
        return [
            Outcome(plan, order.instrument.symbol, order.quantity, order.filled, pk in self._waited)
            for pk, (plan, order, _) in self._placed.items()
        ]


def _ticks(entry: Recorded) -> list[Tick]:
    """The record over the feed's wire, as it came."""
    frame = records.frame([records.entry(entry.record, "full")], at_ms=entry.at_ms)
    return list(wire.decode(frame, received_ms=entry.at_ms).ticks)


def _order(
    plan: Plan, instrument: Instrument, quote: Quote, settings: Settings, number: int, now_ms: int
) -> LiveOrder:
    assert quote.last_price is not None, "placed on a whole quote"
    tick = instrument.tick_size or Decimal("0.05")
    other = quote.asks[0].price if plan.buy else quote.bids[0].price
    away = plan.away * tick
    limit = other + (away if plan.buy else -away) if plan.kind == "LIMIT" else None
    stop = plan.kind == "SL_M"
    trigger = to_tick(quote.last_price + away, tick, up=plan.buy) if stop else None
    return LiveOrder(
        id=uuid.uuid5(_NAMESPACE, f"{instrument.key} {number}"),
        portfolio_id=1,
        instrument=instrument,
        pool=("portfolio", 1),
        settings=settings,
        serial=(clock.from_ms(now_ms), uuid.UUID(int=number)),
        version=1,
        buy=plan.buy,
        quantity=plan.lots * instrument.lot_size,
        filled=0,
        limit=limit,
        market=limit is None,
        ioc=plan.ioc,
        trigger=trigger,
        triggered=False,
        resting=False,
        waiting=False,
    )


def lines(rows: list[Row], outcomes: list[Outcome]) -> Iterator[str]:
    """The table as Markdown, an instrument a section."""
    for symbol in dict.fromkeys(outcome.symbol for outcome in outcomes):
        yield f"## {symbol}"
        yield ""
        yield "| time | order | filled | the quote | age | rule |"
        yield "|---|---|---|---|---|---|"
        for row in rows:
            if row.symbol == symbol:
                yield _line(row)
        yield ""
        for outcome in outcomes:
            if outcome.symbol == symbol and outcome.filled < outcome.asked:
                left = outcome.asked - outcome.filled
                why = "cancelled at once" if outcome.plan.ioc else "not reached by the end"
                yield f"- {outcome.plan.name}: {left} of {outcome.asked} {why}."
        yield ""


def _line(row: Row) -> str:
    market = row.decided.look.market
    levels = market.asks if row.plan.buy else market.bids
    side = "asks" if row.plan.buy else "bids"
    shown = ", ".join(f"{level.quantity} at {_text(level.price)}" for level in levels[:5])
    at = row.at.astimezone(clock.IST)
    order = row.plan.name
    if row.limit is not None:
        order += f" at {_text(row.limit)}"
    rule = "; ".join(
        english(step) for step in row.decided.decision.path if not step.startswith("quote ")
    )
    age = row.decided.look.now_ms - market.received_ms
    return (
        f"| {at:%H:%M:%S}.{at.microsecond // 1_000:03d} | {order}"
        f" | {row.quantity} at {_text(row.price)}"
        f" | last {_text(market.last_price)}; {side} {shown} | {age} ms | {rule} |"
    )


def _text(price: Decimal | None) -> str:
    return "none" if price is None else f"{price.normalize():f}"
