"""The prices that futures and options settle at, with where each came from."""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata import selectors as market
from marketdata import sessions
from marketdata.models import ClosingPrice, Instrument
from marketdata.options.selectors import EXPIRY_TIME
from mockmarket.core.clock import IST
from mockmarket.core.money import price as exact_price
from trading.collateral import RATE

# The closing snapshot of a session is waited for so long; then the newest quote stands in.
PATIENCE: Final = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Price:
    """Rupees a unit; `source` says how it was found."""

    value: Decimal
    source: str


def of_underlying(*, key: str, session: date, at: datetime) -> Price | None:
    """The closing price of an index or share in a session; None while it is still to come."""
    row = ClosingPrice.objects.filter(instrument__key=key, session_date=session).first()
    if row is not None:
        return Price(row.close, "close")
    if at < _patience_ends(session):
        return None
    return _quoted(key, session, at)


def of_future(*, contract: Instrument, session: date, at: datetime) -> Price | None:
    """What a future is marked to at the end of a session: its last price of that session, or,
    where it did not trade, its underlying's close carried to its expiry. None while unknown."""
    quoted = _quoted(contract.key, session, at)
    if quoted is not None:
        return quoted
    spot = of_underlying(key=contract.underlying_key, session=session, at=at)
    if spot is None or contract.expiry_date is None:
        return None
    years = max((contract.expiry_date - session).days, 0) / 365
    return Price(exact_price(float(spot.value) * math.exp(RATE * years)), "theoretical")


def _quoted(key: str, session: date, at: datetime) -> Price | None:
    """The last price of the session, or the previous close of the session after it."""
    quote = market.quote(key, at)
    if quote is None or quote.timestamp is None:
        return None
    day = quote.timestamp.astimezone(IST).date()
    if day == session and quote.last_price:
        return Price(quote.last_price, "quote")
    if day > session and quote.previous_close:
        return Price(quote.previous_close, "previous_close")
    return None


def _patience_ends(session: date) -> datetime:
    close = sessions.final_close(market="NSE_INDEX", day=session, calendar=market.calendar())
    # A day that was made a holiday after the contracts were listed has no close.
    known = close or datetime.combine(session, EXPIRY_TIME, tzinfo=IST)
    return known + PATIENCE
