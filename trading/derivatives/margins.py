"""Margin reckoned anew as the market moves, and what happens when there is not enough.

A rise is taken from free cash, a fall given back. Where free cash does not reach, the orders that
wait to open more on the same underlying are cancelled; where what is put down and free together
falls below `CALL_PART` of the margin, the futures and written options of that underlying are
closed at market. Moves within `TOLERANCE` of the margin, and small ones, are left alone.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db import transaction

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.formats import rupees
from mockmarket.core.records import record, sentence
from portfolios import booking
from portfolios.models import Contest, Portfolio, Position
from portfolios.positions import Change
from trading import collateral, lifecycle, marking, quoting, risk, selectors, services
from trading.derivatives import records
from trading.derivatives.settling import open_positions
from trading.lifecycle import Event
from trading.matching import CONTINUOUS
from trading.models import Order, PositionChange

TOLERANCE: Final = Decimal("0.02")
TOLERANCE_RUPEES: Final = Decimal(500)  # or a small spread would write an entry with each tick
CALL_PART: Final = Decimal("0.80")


@dataclass(frozen=True, slots=True)
class Moved:
    """What one reckoning did: whether margin moved, and how many positions it ordered closed."""

    moved: bool = False
    called: int = 0


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Margin of one underlying: the whole, what the student must put down, and what stands."""

    reckoning: collateral.Reckoning
    gross: Decimal
    premiums: Decimal
    stands: Decimal

    @property
    def missing(self) -> Decimal:
        return self.gross - self.premiums - self.stands


def groups() -> list[tuple[int, str]]:
    """(portfolio, underlying key) of everything that stands on margin."""
    found = {
        (row.portfolio_id, row.instrument.underlying_key)
        for row in open_positions()
        if collateral.needs_margin(row)
    }
    return sorted(found)


def reckon(*, portfolio_id: int, underlying_key: str, at: datetime) -> Moved:
    """Make the margin of one underlying what the market asks for by now.

    Looks without a lock first: mostly nothing is to do, and orders need not wait for that.
    """
    if _look(portfolio_id, underlying_key, at=at) is None:
        return Moved()
    with transaction.atomic():
        portfolio = booking.lock_portfolio(portfolio_id=portfolio_id)
        found = _look(portfolio_id, underlying_key, at=at)
        if found is None:
            return Moved()
        on_margin, wanted = found
        if wanted.missing > portfolio.buying_power:
            _cancel_waiting(portfolio, underlying_key, at=at)
        taken = min(wanted.missing, portfolio.buying_power)
        if taken:
            _move(portfolio, on_margin, wanted, taken, at=at)
        enough = wanted.missing - taken <= wanted.gross * (1 - CALL_PART)
        called = 0 if enough else _close(portfolio, on_margin, at=at)
    return Moved(bool(taken), called)


def _look(
    portfolio_id: int, underlying_key: str, *, at: datetime
) -> tuple[list[Position], _Wanted] | None:
    """The positions on margin and what they need; None where that stands, or is not known."""
    rows = collateral.held(portfolio_id=portfolio_id, underlying_key=underlying_key)
    on_margin = [row for row in rows if collateral.needs_margin(row)]
    if not on_margin:
        return None
    try:
        wanted = _wanted(rows, underlying_key, at=at)
    except risk.StaleQuote:
        return None
    if abs(wanted.missing) <= max(wanted.gross * TOLERANCE, TOLERANCE_RUPEES):
        return None
    return on_margin, wanted


def _wanted(rows: list[Position], underlying_key: str, *, at: datetime) -> _Wanted:
    quantities: dict[int, int] = {}
    contracts: dict[int, Instrument] = {}
    for row in rows:
        contracts[row.instrument_id] = row.instrument
        quantities[row.instrument_id] = quantities.get(row.instrument_id, 0) + row.quantity
    reckoning = collateral.reckon(
        underlying_key=underlying_key, quantities=quantities, contracts=contracts, at=at
    )
    return _Wanted(
        reckoning=reckoning,
        gross=reckoning.margin.total,
        premiums=collateral.premiums(rows),
        stands=collateral.put_down(rows),
    )


def _move(
    portfolio: Portfolio, rows: list[Position], wanted: _Wanted, taken: Decimal, *, at: datetime
) -> None:
    weights = [abs(row.quantity) for row in rows]
    shares = marking.allot(wanted.stands + taken, weights=weights)
    underlying_key = rows[0].instrument.underlying_key
    records.write(
        portfolio=portfolio,
        settlement=records.Settlement(
            kind=PositionChange.Kind.MARGIN,
            reference=f"margin:{clock.to_ms(at)}:{rows[0].pk}",
            description=sentence(
                "margin_reckoned", symbol=_name(underlying_key), amount=rupees(wanted.gross)
            ),
            changes=[
                (row, Change(margin=share - row.margin))
                for row, share in zip(rows, shares, strict=True)
            ],
            inputs=[
                {
                    "reckoning": wanted.reckoning.as_json(),
                    "gross": str(wanted.gross),
                    "premiums": str(wanted.premiums),
                    "stands": str(wanted.stands),
                    "taken": str(taken),
                    "weights": weights,
                    "place": place,
                }
                for place in range(len(rows))
            ],
            at=at,
        ),
    )


def _name(underlying_key: str) -> str:
    found = Instrument.objects.filter(key=underlying_key).values_list("symbol", flat=True).first()
    return found or underlying_key


def _cancel_waiting(portfolio: Portfolio, underlying_key: str, *, at: datetime) -> None:
    live = Order.objects.select_for_update(of=("self",)).select_related("instrument")
    for order in live.filter(
        portfolio=portfolio,
        status__in=lifecycle.LIVE,
        margin_unit__isnull=False,
        instrument__underlying_key=underlying_key,
    ).order_by("pk"):
        order.portfolio = portfolio
        services.end_order(order=order, event=Event.CANCEL, reason=record("margin_call"), at=at)


def _close(portfolio: Portfolio, rows: list[Position], *, at: datetime) -> int:
    """Order the positions on margin closed where their market trades; how many."""
    if portfolio.contest.state != Contest.State.RUNNING:
        return 0
    closed = 0
    for row in rows:
        if quoting.phase_of(row.instrument, at=at) != CONTINUOUS:
            continue
        session = selectors.session_date(market_name=quoting.market_name(row.instrument), at=at)
        name = f"{services.EXIT_PREFIX}margin-{session:%Y%m%d}-{row.pk}"
        orders = Order.objects.filter(
            portfolio=portfolio,
            instrument=row.instrument,
            product=row.product,
            client_order_id__startswith=services.EXIT_PREFIX,
        )
        if orders.filter(status__in=lifecycle.LIVE).exists():
            continue
        number = orders.filter(client_order_id__startswith=f"{name}-").count() + 1
        services.place_exit(
            portfolio=portfolio, position=row, client_order_id=f"{name}-{number}", at=at
        )
        closed += 1
    return closed
