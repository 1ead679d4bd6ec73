"""A cast and terse literals for portfolios' tests."""

import uuid
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from marketdata.models import Instrument, LastPrice
from mockmarket.core.models import User
from portfolios import services
from portfolios.models import Contest, Portfolio, Position
from portfolios.valuation import PortfolioRow, PositionRow

AT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)  # a Friday, 11:30 in India
TODAY = date(2026, 11, 20)


def user(name: str, **fields: Any) -> User:
    return User.objects.create(username=f"{name}-{uuid.uuid4().hex[:8]}", password="!", **fields)


def contest(name: str = "class", *, state: str = "RUNNING", **fields: Any) -> Contest:
    unique = uuid.uuid4().hex[:8]
    return Contest.objects.create(
        **{
            "name": f"{name} {unique}",
            "slug": f"{name}-{unique}",
            "state": state,
            "starts_at": AT,
            "starting_cash": Decimal("1000000.00"),
            "join_code": services.new_join_code(),
            "created_at": AT,
            **fields,
        }
    )


def instrument(symbol: str, *, last: str | None = None, close: str | None = None) -> Instrument:
    made = Instrument.objects.create(
        key=f"NSE_EQ|{symbol}{uuid.uuid4().hex[:8]}",
        symbol=symbol,
        name=f"{symbol} Limited",
        exchange="NSE",
        segment="NSE_EQ",
        instrument_type="EQ",
        sector="Energy",
    )
    if last is not None:
        LastPrice.objects.create(
            instrument=made,
            last_price=Decimal(last),
            previous_close=None if close is None else Decimal(close),
            traded_at=AT,
            source="rest",
            stored_at=AT,
        )
    return made


def hold(portfolio: Portfolio, what: Instrument, quantity: int, cost: str, **day: Any) -> Position:
    """A position and the cash that it took, written past the ledger: for reads alone."""
    Portfolio.objects.filter(id=portfolio.id).update(cash=portfolio.cash - Decimal(cost))
    portfolio.refresh_from_db()
    return Position.objects.create(
        portfolio=portfolio,
        instrument=what,
        product=Position.Product.CNC,
        quantity=quantity,
        cost=Decimal(cost),
        margin=Decimal(cost),
        opened_at=AT,
        updated_at=AT,
        **day,
    )


def position_row(key: str, quantity: int, cost: str, **day: Any) -> PositionRow:
    return PositionRow(
        instrument_key=key, symbol=key, product="CNC", quantity=quantity, cost=Decimal(cost), **day
    )


def portfolio_row(number: int, *positions: PositionRow, **fields: Any) -> PortfolioRow:
    return PortfolioRow(
        **{
            "id": number,
            "contest_id": 1,
            "contest": "class",
            "user_id": number,
            "alias": f"student {number}",
            "version": 1,
            "cash": Decimal("1000.00"),
            "reserved": Decimal("0.00"),
            "margin": Decimal("0.00"),
            "paid_in": Decimal("1000.00"),
            "realised": Decimal("0.00"),
            "charges": Decimal("0.00"),
            "dividends": Decimal("0.00"),
            "fills": 1,
            "ranked": True,
            "positions": positions,
            **fields,
        }
    )
