"""NIFTY with options and a future in a contest that trades them."""

from datetime import date
from decimal import Decimal
from typing import Any

from marketdata.models import Instrument
from mockmarket.core.models import User
from portfolios.models import Contest, Position
from tests.support.api import index, share

EXPIRY = date(2026, 12, 1)  # a Tuesday
LOT = 65
DEEP = 100_000  # units on each side of the book
RULES: dict[str, Any] = {"products": ["CNC", "MIS", "NRML"], "options": True, "futures": True}


def allow_derivatives(**rules: Any) -> None:
    """Let every contest trade futures and options."""
    for contest in Contest.objects.all():
        contest.rules = {**contest.rules, **RULES, **rules}
        contest.save(update_fields=["rules"])


def nifty() -> Instrument:
    found = Instrument.objects.filter(key="NSE_INDEX|Nifty 50").first()
    return found or index()


def contract(
    kind: str, strike: str | None = None, *, underlying: Instrument | None = None, **fields: Any
) -> Instrument:
    """A future (FUT) or an option (CE, PE) that expires on `EXPIRY`."""
    of = underlying or nifty()
    name = f"{of.symbol} {strike or ''} {kind}".replace("  ", " ")
    return share(
        name,
        **{
            "key": f"NSE_FO|{of.pk}{kind}{strike or ''}",
            "name": of.symbol,
            "isin": "",
            "sector": "",
            "segment": "NSE_FO",
            "instrument_type": kind,
            "underlying_key": of.key,
            "expiry_date": EXPIRY,
            "strike_price": None if strike is None else Decimal(strike),
            "lot_size": LOT,
            "freeze_quantity": LOT * 27,
            "in_universe": False,
            **fields,
        },
    )


def quoted(floor: Any, instrument: Instrument, price: float) -> Instrument:
    """The contract, quoted at a price with a deep book a tick off on each side."""
    floor.tick(
        instrument, price, bids=[(price - 0.05, DEEP)], asks=[(price + 0.05, DEEP)],
        previous_close=price,
    )  # fmt: skip
    return instrument


def held(user: User, instrument: Instrument) -> Position:
    """A user's position in a contract."""
    return Position.objects.get(portfolio__user=user, instrument=instrument)
