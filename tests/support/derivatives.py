"""NIFTY with options and a future in a contest that trades them."""

from datetime import date
from decimal import Decimal
from typing import Any

from marketdata.models import Instrument
from portfolios.models import Contest
from tests.support.api import index, share

EXPIRY = date(2026, 12, 1)  # a Tuesday
LOT = 65
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
