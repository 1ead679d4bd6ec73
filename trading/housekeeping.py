"""What the trading day requires of orders and positions, made true whenever it is asked.

Level-triggered: `reconcile` looks at the calendar and the books and does what is missing, so a
missed or doubled call, or an engine that slept over the bell, changes nothing. Exactly-once rests
on the order's own state under the lock and, for square-off, on the client order ids
`squareoff-<session>-<position>-<n>`: a new one is placed only when none is live.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

import structlog
from django.db import transaction

from marketdata import sessions
from marketdata.sessions import Phase
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.money import ZERO, money
from mockmarket.core.records import record
from portfolios import booking
from portfolios.contests import rules_of
from portfolios.models import Contest, Portfolio, Position
from trading import gtt, intraday, lifecycle, quoting, selectors, services
from trading.corporate_actions import services as corporate
from trading.days import day_over
from trading.filling import UNSETTLED_PART
from trading.lifecycle import Event, Status
from trading.models import Fill, Gtt, Order
from trading.services import EXIT_PREFIX

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Report:
    """How many of each were done."""

    activated: int = 0
    expired: int = 0
    squared_off: int = 0
    cancelled: int = 0
    settled: int = 0
    corporate_actions: int = 0
    failed: int = 0


def reconcile(*, at: datetime) -> Report:
    """Expire day orders, square intraday off, activate queued orders, settle sale proceeds."""
    report = Report()
    _expire(report, at=at)
    _square_off(report, at=at)
    # Before queued orders enter the market: their prices are from before the ex-date.
    report.corporate_actions = corporate.apply_due(at=at)
    _activate(report, at=at)
    _settle_proceeds(report, at=at)
    return report


def _each(orders: Iterable[Order], report: Report, act: Callable[[Order], None]) -> None:
    """`act` on each live order under its lock, in its own transaction; a fault stops no other."""
    for found in orders:
        try:
            with transaction.atomic():
                act(services.lock_order(order=found))
        except services.OrderNotLive:
            continue
        except DomainError as error:
            report.failed += 1
            log.warning("housekeeping refused", order=str(found.pk), why=error.message)


def _expire(report: Report, *, at: datetime) -> None:
    found = Order.objects.filter(status__in=lifecycle.LIVE).exclude(status=Status.QUEUED)

    def expire(order: Order) -> None:
        services.end_order(order=order, event=Event.EXPIRE, reason=record("day_over"), at=at)
        report.expired += 1

    for session, cas, segment in set(
        found.values_list("session_date", "instrument__cas_eligible", "instrument__segment")
    ):
        name = sessions.market_of(segment=segment, cas_eligible=cas)
        if day_over(market_name=name, session=session, at=at):
            due = found.filter(
                session_date=session, instrument__cas_eligible=cas, instrument__segment=segment
            ).exclude(client_order_id__startswith=EXIT_PREFIX)
            _each(list(due), report, expire)


def _activate(report: Report, *, at: datetime) -> None:
    """Queued orders enter the market when it trades."""

    def activate(order: Order) -> None:
        event = Event.ARM if order.stop else Event.ACTIVATE
        order.status = lifecycle.advance(order.status, event)
        order.status_reason = ""
        order.session_date = selectors.session_date(
            market_name=quoting.market_name(order.instrument), at=at
        )
        order.version += 1
        order.updated_at = at
        order.save()
        services.tell(order, at=at)
        report.activated += 1

    queued = Order.objects.filter(status=Status.QUEUED).select_related("instrument")
    # Market and limit orders take part in the opening auction; stops wait for trading.
    trading = [
        row
        for row in queued
        if (phase := quoting.phase_of(row.instrument, at=at)) == Phase.CONTINUOUS
        or (phase == Phase.PRE_OPEN and not row.stop)
    ]
    _each(trading, report, activate)


def _square_off(report: Report, *, at: datetime) -> None:
    """From the contest's time on: cancel live MIS orders, then flatten each MIS position."""

    def cancel(order: Order) -> None:
        services.end_order(order=order, event=Event.CANCEL, reason=record("intraday_over"), at=at)
        report.cancelled += 1

    live = (
        Order.objects.filter(product="MIS", status__in=lifecycle.LIVE)
        .exclude(status=Status.QUEUED)
        .exclude(client_order_id__startswith=EXIT_PREFIX)
        .select_related("instrument", "portfolio__contest")
    )
    _each([row for row in live if _due(row, row.session_date, at)], report, cancel)
    _end_intraday_gtts(at=at)
    held = (
        Position.objects.filter(product="MIS", portfolio__contest__state=Contest.State.RUNNING)
        .exclude(quantity=0)
        .select_related("instrument", "portfolio__contest")
    )
    for position in held:
        try:
            if _flatten(position, at=at):
                report.squared_off += 1
        except DomainError as error:
            report.failed += 1
            log.warning("square-off refused", position=position.pk, why=error.message)


def _end_intraday_gtts(*, at: datetime) -> None:
    """Instructions on intraday positions end with the session that they were made in."""
    found = Gtt.objects.filter(product="MIS", status__in=gtt.LIVE).select_related(
        "instrument", "portfolio__contest"
    )
    for row in found:
        session = selectors.session_date(
            market_name=quoting.market_name(row.instrument), at=row.created_at
        )
        if _due(row, session, at):
            with transaction.atomic():
                gtt.end_intraday(gtt_id=row.pk, portfolio_id=row.portfolio_id, at=at)


def _due(row: Order | Position | Gtt, session: date | None, at: datetime) -> bool:
    """Whether a row's session has reached its square-off, or lies in the past."""
    assert session is not None, "an order or an open position belongs to a session"
    return at >= intraday.square_off_at(
        market_name=quoting.market_name(row.instrument),
        rules=rules_of(row.portfolio.contest),
        session=session,
    )


def _flatten(position: Position, *, at: datetime) -> bool:
    """Place the one order that squares a position off; False when not due or placed already."""
    session = position.session_date
    if not _due(position, session, at):
        return False
    with transaction.atomic():
        portfolio = booking.lock_portfolio(portfolio_id=position.portfolio_id)
        held = Position.objects.select_related("instrument").get(pk=position.pk)
        name = f"{EXIT_PREFIX}{session:%Y%m%d}-{held.pk}"
        orders = Order.objects.filter(portfolio=portfolio, client_order_id__startswith=name)
        if not held.quantity or orders.filter(status__in=lifecycle.LIVE).exists():
            return False
        services.place_exit(
            portfolio=portfolio,
            position=held,
            client_order_id=f"{name}-{orders.count() + 1}",
            at=at,
        )
    return True


def _settle_proceeds(report: Report, *, at: datetime) -> None:
    """Sale proceeds of earlier sessions become usable; today's stay held in part."""
    for portfolio_id in Portfolio.objects.filter(unsettled__gt=0).values_list("pk", flat=True):
        with transaction.atomic():
            portfolio = booking.lock_portfolio(portfolio_id=portfolio_id)
            held = unsettled_today(portfolio=portfolio, at=at)
            if held != portfolio.unsettled:
                portfolio.unsettled = held
                booking.save_balances(portfolio)
                report.settled += 1


def unsettled_today(*, portfolio: Portfolio, at: datetime) -> Decimal:
    """The part of today's delivery sales that is not usable yet."""
    session = selectors.session_date(market_name="NSE_EQ", at=at)
    start = datetime.combine(session, datetime.min.time(), clock.IST)
    sales = Fill.objects.filter(
        order__portfolio=portfolio, order__product="CNC", order__side="SELL", filled_at__gte=start
    )
    held = ZERO
    for fill in sales:
        proceeds = money(fill.price * fill.quantity) - fill.charges
        held += money(max(ZERO, proceeds) * UNSETTLED_PART)
    return held
