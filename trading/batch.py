"""A batch of the engine's decisions: the rows that it locks, and everything that it writes.

Order of locks: the portfolios by id, the orders by id, their positions, and last the users'
streams (the fence came first, see trading/settlement.py).
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from marketdata.models import Instrument
from mockmarket.core import bus, failpoints
from mockmarket.core.bulk import insert_rows, update_rows
from portfolios import booking
from portfolios.models import Portfolio, Position
from trading import events, explain
from trading.matching import Decision
from trading.models import Fill, Order

ORDER_FIELDS = (
    "filled_quantity", "average_price", "turnover", "charges", "reserved", "status",
    "status_reason", "triggered_at", "resting", "depository", "updated_at",
)  # fmt: skip
POSITION_FIELDS = (
    "quantity", "settled_quantity", "cost", "margin", "realised_pnl", "charges", "session_date",
    "day_quantity", "day_cost", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision of the desk about one order, as it saw the order."""

    order_id: uuid.UUID
    portfolio_id: int
    version: int
    filled_before: int
    look: explain.Look
    decision: Decision
    at: datetime


@dataclass(slots=True)
class Batch:
    """Locked rows and what is to be written."""

    portfolios: dict[int, Portfolio]
    orders: dict[uuid.UUID, Order]
    positions: dict[tuple[int, int, str], Position]
    depository_paid: set[tuple[int, int, date]]
    changed_orders: dict[uuid.UUID, Order] = field(default_factory=dict)
    changed_positions: dict[tuple[int, int, str], Position] = field(default_factory=dict)
    # One JSON a look at the market, however many orders it filled.
    quotes: dict[int, dict[str, Any]] = field(default_factory=dict)
    rates: dict[int, dict[str, str]] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    entries: list[booking.BookedEntry] = field(default_factory=list)


def lock(batch: Sequence[Decided]) -> Batch:
    """The rows of a batch, locked until the commit."""
    portfolios = booking.lock_portfolios(ids={decided.portfolio_id for decided in batch})
    orders = {
        row.pk: row
        for row in Order.objects.select_for_update()
        .filter(pk__in={decided.order_id for decided in batch})
        .order_by("pk")
    }
    instruments = Instrument.objects.in_bulk({row.instrument_id for row in orders.values()})
    for row in orders.values():
        row.portfolio = portfolios[row.portfolio_id]
        row.instrument = instruments[row.instrument_id]
    held = Position.objects.select_for_update().filter(
        portfolio_id__in=portfolios, instrument_id__in=instruments
    )
    return Batch(
        portfolios=portfolios,
        orders=orders,
        positions={
            (row.portfolio_id, row.instrument_id, row.product): row for row in held.order_by("pk")
        },
        depository_paid=_depository_paid(orders.values()),
    )


def _depository_paid(orders: Collection[Order]) -> set[tuple[int, int, date]]:
    """(portfolio, instrument, session) whose depository charge another order has paid."""
    sales = [row for row in orders if row.product == "CNC" and not row.buy]
    if not sales:
        return set()
    paid = Order.objects.filter(
        depository=True,
        portfolio_id__in={row.portfolio_id for row in sales},
        instrument_id__in={row.instrument_id for row in sales},
        session_date__gte=min(row.session_date for row in sales),
    )
    return set(paid.values_list("portfolio_id", "instrument_id", "session_date"))


def write(state: Batch, *, at: datetime) -> None:
    """Everything that the batch changed, in few statements, the events last."""
    insert_rows(state.fills)
    failpoints.reach("settle.fills")
    booking.store_entries(state.entries)
    failpoints.reach("settle.entries")
    new = [row for row in state.changed_positions.values() if row.pk is None]
    old = [row for row in state.changed_positions.values() if row.pk is not None]
    Position.objects.bulk_create([row for row in new if row.session_date is not None])
    update_rows(old, fields=POSITION_FIELDS)
    failpoints.reach("settle.positions")
    update_rows(list(state.changed_orders.values()), fields=ORDER_FIELDS)
    failpoints.reach("settle.orders")
    update_rows(list(state.portfolios.values()), fields=booking.BALANCE_FIELDS)
    failpoints.reach("settle.balances")
    items: list[tuple[int, str, dict[str, object]]] = [
        (fill.order.portfolio.user_id, events.TRADE, events.trade(fill)) for fill in state.fills
    ]
    items += [
        (order.portfolio.user_id, events.ORDER_UPDATE, events.order_update(order))
        for order in state.changed_orders.values()
    ]
    if items:
        bus.publish_many(items, at=at)
    failpoints.reach("settle.events")
