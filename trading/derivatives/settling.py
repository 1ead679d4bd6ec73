"""Daily settlement of futures and expiry of contracts, made true whenever it is asked.

Level-triggered and exactly once: each event has a reference (`mtm:<session>:<position>`,
`expiry:<position>`) that is looked for under the portfolio's lock and unique in the ledger. A
price that is not known yet leaves the event for the next call.
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import QuerySet

from marketdata import selectors as market
from marketdata import sessions
from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.records import DAY, record, sentence
from portfolios import booking, contests
from portfolios.models import Portfolio, Position
from trading import charges, collateral, gtt, lifecycle, marking, quoting, selectors, services
from trading.days import day_over
from trading.derivatives import prices, records
from trading.lifecycle import Event
from trading.models import Gtt, Order, PositionChange


def open_positions() -> QuerySet[Position]:
    """Open futures and options of everybody who is valued, in a fixed order."""
    found = Position.objects.filter(
        collateral.FUTURES_AND_OPTIONS,
        portfolio__left_at__isnull=True,
        portfolio__contest__state__in=contests.LIVE,
    ).exclude(quantity=0)
    return found.select_related("instrument", "portfolio").order_by("portfolio_id", "pk")


# --- Expiry -----------------------------------------------------------------------------
def expired(*, at: datetime) -> list[Position]:
    """Positions whose contract has expired."""
    past = open_positions().filter(instrument__expiry_date__lte=at.astimezone(clock.IST).date())
    return [position for position in past if _has_expired(position, at=at)]


def _has_expired(row: Position | Order | Gtt, *, at: datetime) -> bool:
    expiry = row.instrument.expiry_date
    if expiry is None:
        return False
    name = quoting.market_name(row.instrument)
    return day_over(market_name=name, session=expiry, at=at)


def expire(seen: Position, *, at: datetime) -> bool:
    """Settle an expired position in cash and end its orders. False when that is done already, or
    the closing price of the underlying is still to come."""
    contract, expiry = seen.instrument, seen.instrument.expiry_date
    assert expiry is not None, "only contracts that expire come here"
    spot = prices.of_underlying(key=contract.underlying_key, session=expiry, at=at)
    if spot is None:
        return False
    with transaction.atomic():
        portfolio = booking.lock_portfolio(portfolio_id=seen.portfolio_id)
        position = Position.objects.select_for_update().get(pk=seen.pk)
        reference = f"expiry:{position.pk}"
        if not position.quantity or records.written(portfolio=portfolio, reference=reference):
            return False
        position.instrument = contract
        _end_orders(portfolio, position, at=at)
        value = marking.final_value(
            kind=contract.instrument_type, strike=contract.strike_price, spot=spot.value
        )
        schedule = selectors.schedule(
            kind=charges.kind_of(
                instrument_type=contract.instrument_type, product=position.product
            ),
            on=expiry,
        )
        cost = exercise_charges(
            contract=contract, quantity=position.quantity, value=value, schedule=schedule
        )
        change = marking.expire(booking.book_of(position), value=value, charges=cost.total)
        records.count_in_day(position, change, price=value, session=expiry)
        records.write(
            portfolio=portfolio,
            settlement=records.Settlement(
                kind=PositionChange.Kind.EXPIRY,
                reference=reference,
                description=_said(position, value),
                changes=[(position, change)],
                price=value,
                inputs=[
                    {
                        "spot": str(spot.value),
                        "source": spot.source,
                        "rates": schedule.as_json(),
                        "session": expiry.isoformat(),
                    }
                ],
                at=at,
            ),
        )
    return True


def exercise_charges(
    *, contract: Instrument, quantity: int, value: Decimal, schedule: charges.Schedule
) -> charges.Charges:
    """What expiry costs: the holder of an option in the money pays the tax on its value."""
    if contract.instrument_type == "FUT" or quantity < 0 or not value:
        return charges.NONE
    return charges.of_exercise(schedule, value=value * quantity)


_REASON: Final = record("contract_expired")


def _end_orders(portfolio: Portfolio, position: Position, *, at: datetime) -> None:
    live = Order.objects.select_for_update(of=("self",)).select_related("instrument")
    for order in live.filter(
        portfolio=portfolio, instrument=position.instrument, status__in=lifecycle.LIVE
    ).order_by("pk"):
        order.portfolio = portfolio
        services.end_order(order=order, event=Event.EXPIRE, reason=_REASON, at=at)


def left_over(*, at: datetime) -> list[Order | Gtt]:
    """What still waits on contracts that have expired, whoever holds a position in them."""
    past = {"instrument__expiry_date__lte": at.astimezone(clock.IST).date()}
    orders = Order.objects.filter(status__in=lifecycle.LIVE, **past)
    gtts = Gtt.objects.filter(status__in=gtt.LIVE, **past)
    rows: list[Order | Gtt] = [*orders.select_related("instrument")]
    rows += gtts.select_related("instrument")
    return [row for row in rows if _has_expired(row, at=at)]


def end_left_over(row: Order | Gtt, *, at: datetime) -> bool:
    """End an order or an instruction whose contract has expired."""
    with transaction.atomic():
        if isinstance(row, Gtt):
            gtt.end(gtt_id=row.pk, portfolio_id=row.portfolio_id, reason=_REASON, at=at)
            return True
        try:
            order = services.lock_order(order=row)
        except services.OrderNotLive:
            return False
        services.end_order(order=order, event=Event.EXPIRE, reason=_REASON, at=at)
    return True


def _said(position: Position, value: Decimal) -> str:
    kind, symbol = position.instrument.instrument_type, position.instrument.symbol
    if kind != "FUT" and not value:
        return f"{symbol} expired worthless"
    what = "settled" if kind == "FUT" else "exercised" if position.quantity > 0 else "assigned"
    return f"{symbol} expired: {abs(position.quantity)} {what} at ₹{value.normalize():f}"


# --- Mark to market ---------------------------------------------------------------------
def last_session_over(*, market_name: str, at: datetime) -> date:
    """The newest session of a market that has seen its last match."""
    calendar = market.calendar()
    session = sessions.session_date(market=market_name, at=at, calendar=calendar)
    if day_over(market_name=market_name, session=session, at=at):
        return session
    return sessions.previous_session(market=market_name, day=session, calendar=calendar)


@dataclass(frozen=True, slots=True)
class Mark:
    """A future whose session is to be settled."""

    position: Position
    session: date

    @property
    def reference(self) -> str:
        """The event's name, once."""
        return f"mtm:{self.session.isoformat()}:{self.position.pk}"


def unmarked(*, at: datetime) -> list[Mark]:
    """Open futures whose newest session that is over is not settled yet. Not those that were
    opened later, or expire: their expiry settles them."""
    ended: dict[str, tuple[date, datetime | None]] = {}
    due: dict[str, Mark] = {}
    for position in open_positions().filter(instrument__instrument_type="FUT"):
        contract = position.instrument
        name = quoting.market_name(contract)
        if name not in ended:
            session = last_session_over(market_name=name, at=at)
            close = sessions.final_close(market=name, day=session, calendar=market.calendar())
            ended[name] = session, close
        session, close = ended[name]
        expires = contract.expiry_date is not None and contract.expiry_date <= session
        if close is not None and position.opened_at < close and not expires:
            one = Mark(position, session)
            due[one.reference] = one
    done = PositionChange.objects.filter(
        position__in=[one.position for one in due.values()], reference__in=due
    )
    for reference in done.values_list("reference", flat=True):
        del due[reference]
    return list(due.values())


def mark(due: Mark, *, at: datetime) -> bool:
    """Settle a session of a future. False when that is done already, or has no price yet."""
    seen, session, reference = due.position, due.session, due.reference
    contract = seen.instrument
    price = prices.of_future(contract=contract, session=session, at=at)
    if price is None:
        return False
    with transaction.atomic():
        portfolio = booking.lock_portfolio(portfolio_id=seen.portfolio_id)
        position = Position.objects.select_for_update().get(pk=seen.pk)
        if not position.quantity or records.written(portfolio=portfolio, reference=reference):
            return False
        change = marking.mark_to_market(booking.book_of(position), price=price.value)
        records.write(
            portfolio=portfolio,
            settlement=records.Settlement(
                kind=PositionChange.Kind.MARK_TO_MARKET,
                reference=reference,
                description=sentence(
                    "marked",
                    symbol=contract.symbol,
                    price=f"₹{price.value.normalize():f}",
                    day=f"{session:{DAY}}",
                ),
                changes=[(position, change)],
                price=price.value,
                inputs=[{"source": price.source, "session": session.isoformat()}],
                at=at,
            ),
        )
    return True
