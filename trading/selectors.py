"""Reads of orders, fills and charges for pages, the API and the engine."""

import threading
import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from django.db.models import Q, QuerySet

from marketdata import selectors as market
from marketdata import sessions
from mockmarket.core import clock
from mockmarket.core.errors import NotFound
from mockmarket.core.models import User
from portfolios.models import Portfolio
from trading import charges, tariffs
from trading.lifecycle import LIVE
from trading.models import ChargeSchedule, CorporateActionStep, Fill, Order

SCHEDULES_SECONDS: Final = 30.0


class NoOrder(NotFound):
    """There is no such order, or it is somebody else's."""

    code = "unknown_order"


class NoFill(NotFound):
    """There is no such fill, or it is somebody else's."""

    code = "unknown_trade"


class NoSchedule(LookupError):
    """No charges are in force on that date: a row is missing."""


def orders(*, portfolio: Portfolio, live: bool = False) -> QuerySet[Order]:
    """A portfolio's orders, newest first; `live` leaves out those that ended."""
    found = Order.objects.filter(portfolio=portfolio).select_related(
        "instrument", "portfolio__contest"
    )
    if live:
        found = found.filter(status__in=LIVE)
    return found.order_by("-placed_at", "-pk")


def order(*, user: User, order_id: uuid.UUID | str) -> Order:
    """One of the user's own orders; staff see all. Raises NoOrder."""
    try:
        wanted = order_id if isinstance(order_id, uuid.UUID) else uuid.UUID(str(order_id))
    except ValueError:
        raise NoOrder("There is no such order.") from None
    found = Order.objects.filter(pk=wanted).select_related("instrument", "portfolio__contest")
    if not user.is_staff:
        found = found.filter(portfolio__user=user)
    row = found.first()
    if row is None:
        raise NoOrder("There is no such order.")
    return row


def own_order(*, user: User, order_id: uuid.UUID | str) -> Order:
    """An order that the user may change: their own. Staff look at others' and change none; a
    share is halted or a contest frozen instead, with a reason. Raises NoOrder."""
    found = order(user=user, order_id=order_id)
    if found.portfolio.user_id != user.pk:
        raise NoOrder("There is no such order.")
    return found


def fills(*, portfolio: Portfolio) -> QuerySet[Fill]:
    """A portfolio's fills, newest first."""
    return (
        Fill.objects.filter(order__portfolio=portfolio)
        .select_related("order__instrument", "order__portfolio__contest")
        .order_by("-filled_at", "-pk")
    )


def fill(*, user: User, fill_id: uuid.UUID) -> Fill:
    """One of the user's own fills; staff see all. Raises NoFill."""
    found = Fill.objects.filter(pk=fill_id).select_related(
        "order__instrument", "order__portfolio__contest"
    )
    if not user.is_staff:
        found = found.filter(order__portfolio__user=user)
    row = found.first()
    if row is None:
        raise NoFill("There is no such fill.")
    return row


def fills_of_order(*, order: Order) -> QuerySet[Fill]:
    """The fills of one order, oldest first."""
    return (
        Fill.objects.filter(order=order)
        .select_related("order__instrument")
        .order_by("filled_at", "sequence")
    )


def corporate_actions(*, portfolio: Portfolio) -> QuerySet[CorporateActionStep]:
    """What corporate actions did to a portfolio, the newest first."""
    touched = ~Q(units=0, contracts=0, cash=0) | ~Q(orders=[]) | ~Q(gtts=[])
    return (
        CorporateActionStep.objects.filter(touched, portfolio=portfolio)
        .select_related("action__instrument")
        .order_by("-applied_at", "-pk")
    )


def session_date(*, market_name: str, at: datetime) -> date:
    """The session that an instant belongs to."""
    return sessions.session_date(market=market_name, at=at, calendar=market.calendar())


@dataclass(frozen=True, slots=True)
class Tariff:
    """A schedule with where it came from."""

    kind: str
    effective_from: date
    schedule: charges.Schedule


class _Schedules:
    """All schedules, read at most each half minute."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.read_at = -1e9
        self.rows: list[Tariff] = []

    def fresh(self) -> list[Tariff]:
        if clock.monotonic() - self.read_at > SCHEDULES_SECONDS:
            with self.lock:
                rates = {
                    (kind, effective_from): {**tariffs.COMMON, **row}
                    for kind, effective_from, row in tariffs.ROWS
                }
                for kept in ChargeSchedule.objects.all():
                    rates[kept.kind, kept.effective_from] = kept.rates
                self.rows = [
                    Tariff(
                        kind, effective_from, charges.Schedule.parse(rates[kind, effective_from])
                    )
                    for kind, effective_from in sorted(rates, key=lambda key: key[1], reverse=True)
                ]
                self.read_at = clock.monotonic()
        return self.rows


_schedules = _Schedules()


def forget_schedules() -> None:
    """Read the schedules anew at the next call: after a change, in tests."""
    _schedules.read_at = -1e9


def tariff(*, kind: str, on: date) -> Tariff:
    """The charges of `kind` in force on a date. Raises NoSchedule."""
    for row in _schedules.fresh():
        if row.kind == kind and row.effective_from <= on:
            return row
    raise NoSchedule(f"no charges of kind {kind} on {on}")


def schedule(*, kind: str, on: date) -> charges.Schedule:
    """The rates of `kind` in force on a date. Raises NoSchedule."""
    return tariff(kind=kind, on=on).schedule
