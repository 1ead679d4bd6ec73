"""Live orders in memory, indexed so that a tick asks one question a row.

One `Shelf` an instrument holds its orders: those that act on any fresh quote (market orders,
limit orders that have not met the book), resting limits by price, and stops by trigger. Beside
them stand numpy columns by board row with the best limit and the nearest trigger of each side;
a tick is compared with these columns for all changed rows at once.
"""

import heapq
import itertools
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from marketdata.models import Instrument
from portfolios.contests import rules_of
from portfolios.models import Contest
from trading.facts import settings_of
from trading.lifecycle import LIVE, Status
from trading.liquidity import Pool
from trading.matching import Settings, Working
from trading.models import Order
from trading.services import EXIT_PREFIX

_INFINITY = float("inf")
# What tells one trade from another: price, day volume, time of the trade.
Stamp = tuple[float, float, float]


@dataclass(slots=True, eq=False)
class LiveOrder:
    """An order as the desk carries it; `filled` runs ahead of the database by what is decided.

    `closing` orders square a position off and fill even after the close. `pool` is who shares the
    liquidity: the portfolio, or the contest. `serial` is its place in time priority.
    """

    id: uuid.UUID
    portfolio_id: int
    instrument: Instrument
    pool: tuple[str, int]
    settings: Settings
    serial: tuple[datetime, uuid.UUID]
    version: int
    buy: bool
    quantity: int
    filled: int
    limit: Decimal | None
    market: bool
    ioc: bool
    trigger: Decimal | None
    triggered: bool
    resting: bool
    waiting: bool
    live: bool = True
    closing: bool = False
    gone: bool = False
    row: int = -1
    stamp: Stamp | None = None

    @property
    def stop(self) -> bool:
        """Whether it still waits for its trigger."""
        return self.trigger is not None and not self.triggered

    def working(self, *, armed: bool) -> Working:
        """The order as the matcher takes it."""
        return Working(
            buy=self.buy,
            quantity=self.quantity,
            filled=self.filled,
            limit=self.limit,
            market=self.market,
            ioc=self.ioc,
            trigger=self.trigger,
            triggered=self.triggered,
            armed=armed,
            resting=self.resting,
        )


def live_orders(*, changed_since: datetime | None = None) -> list[LiveOrder]:
    """Orders that may act, and, where `changed_since` is given, those changed since, whatever
    became of them (`live` is False for the ended)."""
    found = Order.objects.select_related("instrument", "portfolio__contest")
    if changed_since is None:
        found = found.filter(status__in=LIVE)
    else:
        found = found.filter(updated_at__gte=changed_since)
    return [_read(row) for row in found.order_by("placed_at", "pk").iterator(chunk_size=2_000)]


def _read(order: Order) -> LiveOrder:
    contest = order.portfolio.contest
    rules = rules_of(contest)
    acts = (
        contest.state == Contest.State.RUNNING
        and order.portfolio.left_at is None
        and not order.instrument.halted
    )
    class_wide = rules.liquidity == "class"
    return LiveOrder(
        id=order.pk,
        portfolio_id=order.portfolio_id,
        instrument=order.instrument,
        pool=("contest", contest.pk) if class_wide else ("portfolio", order.portfolio_id),
        settings=settings_of(rules),
        serial=(order.placed_at, order.pk),
        version=order.version,
        buy=order.buy,
        quantity=order.quantity,
        filled=order.filled_quantity,
        limit=order.price if order.price is not None else order.protection_price,
        market=order.price is None,
        ioc=order.validity == Order.Validity.IOC,
        trigger=order.trigger_price,
        triggered=order.triggered_at is not None,
        resting=order.resting,
        waiting=order.status == Status.WAITING_FRESH_QUOTE,
        closing=order.client_order_id.startswith(EXIT_PREFIX),
        live=order.status in LIVE and order.status != Status.QUEUED and acts,
    )


# Price, place in time priority, how many were put before, order. A changed order stands in for the
# one that it was, which may still lie in the heap with the same price and place: orders themselves
# have no order.
_Heap = list[tuple[float, tuple[datetime, uuid.UUID], int, LiveOrder]]


@dataclass(slots=True)
class Shelf:
    """The live orders of one instrument. Heaps drop what is gone when it comes to the top."""

    instrument: Instrument
    market_name: str
    row: int
    active: dict[uuid.UUID, LiveOrder] = field(default_factory=dict)
    buys: _Heap = field(default_factory=list)  # highest limit first
    sells: _Heap = field(default_factory=list)  # lowest limit first
    stop_buys: _Heap = field(default_factory=list)  # lowest trigger first
    stop_sells: _Heap = field(default_factory=list)  # highest trigger first
    pools: dict[tuple[str, int], Pool] = field(default_factory=dict)
    count: int = 0
    _puts: Iterator[int] = field(default_factory=itertools.count)

    def put(self, order: LiveOrder) -> None:
        """Stand an order where it belongs by its present state."""
        if order.stop:
            assert order.trigger is not None
            trigger = float(order.trigger)
            if order.buy:
                self._push(self.stop_buys, trigger, order)
            else:
                self._push(self.stop_sells, -trigger, order)
        elif order.resting:
            assert order.limit is not None
            limit = float(order.limit)
            if order.buy:
                self._push(self.buys, -limit, order)
            else:
                self._push(self.sells, limit, order)
        else:
            self.active[order.id] = order

    def _push(self, heap: _Heap, price: float, order: LiveOrder) -> None:
        heapq.heappush(heap, (price, order.serial, next(self._puts), order))

    def due(self, *, last: float, bid: float, ask: float) -> list[LiveOrder]:
        """Take out every order that could act on these prices, in time priority."""
        found = list(self.active.values())
        self.active.clear()
        low = min(p for p in (last, ask, _INFINITY) if p == p)
        high = max(p for p in (last, bid, -_INFINITY) if p == p)
        found += _pop(self.buys, lambda limit: -limit >= low)
        found += _pop(self.sells, lambda limit: limit <= high)
        if last == last:
            found += _pop(self.stop_buys, lambda trigger: trigger <= last)
            found += _pop(self.stop_sells, lambda trigger: -trigger >= last)
        found.sort(key=lambda order: order.serial)
        return found

    def edges(self) -> tuple[float, float, float, float, bool]:
        """Best buy limit, best sell limit, nearest stop triggers, and whether any is active."""
        return (
            -_top(self.buys, _INFINITY),
            _top(self.sells, _INFINITY),
            _top(self.stop_buys, _INFINITY),
            -_top(self.stop_sells, _INFINITY),
            bool(self.active),
        )


def _top(heap: _Heap, empty: float) -> float:
    while heap and heap[0][-1].gone:
        heapq.heappop(heap)
    return heap[0][0] if heap else empty


def _pop(heap: _Heap, acts: Callable[[float], bool]) -> Iterator[LiveOrder]:
    while heap and acts(heap[0][0]):
        order = heapq.heappop(heap)[-1]
        if not order.gone:
            yield order
