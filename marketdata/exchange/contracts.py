"""The futures and options that the simulated exchange lists on a day. Pure.

A contract belongs to its share as it stood when its expiry was first listed: strikes lie on the
grid of that price, the key is made of that strike. A split that comes later divides its strike and
multiplies its lot as the product does with positions, and leaves its key.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Final

from marketdata.exchange.hours import Hours
from marketdata.exchange.listing import Listing, Split
from marketdata.exchange.prices import Market
from mockmarket.core.clock import IST

TICK: Final = 0.05
_STRIKE_TICK: Final = Decimal("0.05")
_EXPIRY_WEEKDAY: Final = 1  # Tuesday, since 2025-09
STRIKES_EACH_SIDE: Final = 20
# Strikes are added as the underlying wanders and stay until expiry, as on NSE.
_LISTED_DAYS: Final = 75
# Whoever has derivatives here, with the most lots of one order: NSE's file of 2026-02-23.
_FREEZE_LOTS: Final = {
    "NIFTY": 27, "BANKNIFTY": 20, "FINNIFTY": 30, "MIDCPNIFTY": 23, "NIFTYNXT50": 24,
    "RELIANCE": 30, "HDFCBANK": 50, "ICICIBANK": 30, "INFY": 40, "TCS": 40,
    "SBIN": 30, "BHARTIARTL": 30, "ITC": 40, "LT": 40, "AXISBANK": 30,
}  # fmt: skip
# Between an index's strikes, near the money, in the same file.
_STEPS: Final = {
    "NIFTY": 50.0, "BANKNIFTY": 100.0, "FINNIFTY": 50.0, "MIDCPNIFTY": 25.0, "NIFTYNXT50": 100.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Contract:
    """What a listing does not say of a future or an option. A future's strike is 0."""

    listing: Listing
    underlying: Listing
    expiry: date
    strike: float
    kind: str  # FUT, CE, PE
    weekly: bool

    @property
    def expiry_ms(self) -> int:
        """The last instant of the expiry day in India, as the instrument file states it."""
        end = datetime.combine(self.expiry, time(23, 59, 59), tzinfo=IST)
        return round(end.timestamp() * 1000)

    @property
    def listed_from(self) -> date:
        """The first day of its past."""
        return self.expiry - timedelta(days=_LISTED_DAYS)


def underlyings(market: Market) -> list[Listing]:
    """The listings that have derivatives here."""
    return [row for row in market.listings if row.symbol in _FREEZE_LOTS and row.fo_lot > 0]


def expiries(day: date, *, weekly: bool, hours: Hours) -> list[tuple[date, bool]]:
    """(expiry, whether it is a weekly one) listed on `day`, nearest first.

    Months expire on their last Tuesday; the NIFTY also on each Tuesday between. A Tuesday without
    a session passes its expiry to the session before.
    """

    def traded(tuesday: date) -> date:
        return tuesday if hours.is_session(tuesday) else hours.previous(tuesday)

    months = [
        (day.year + (day.month - 1 + n) // 12, (day.month - 1 + n) % 12 + 1) for n in range(4)
    ]
    monthly = [found for month in months if (found := traded(_last_tuesday(*month))) >= day]
    listed = dict.fromkeys(monthly[:2], False)
    if weekly:
        first = day + timedelta(days=(_EXPIRY_WEEKDAY - day.weekday()) % 7)
        for number in range(3):
            found = traded(first + timedelta(days=7 * number))
            if found >= day:
                listed.setdefault(found, True)
    return sorted(listed.items())


def _last_tuesday(year: int, month: int) -> date:
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - _EXPIRY_WEEKDAY) % 7)


def listed(market: Market, day: date) -> list[Contract]:
    """Every contract of `day`, by underlying, expiry and strike."""
    return [one for share in underlyings(market) for one in _contracts(market, share, day)]


def _contracts(market: Market, underlying: Listing, day: date) -> list[Contract]:
    def listed_on(day: date) -> list[tuple[date, bool]]:
        return expiries(day, weekly=underlying.symbol == "NIFTY", hours=market.hours)

    row = market.rows[underlying.key]
    splits = [split for split in market.splits if split.key == underlying.key]
    out = []
    for expiry, weekly in listed_on(day):
        later = [s for s in splits if s.day is not None and (expiry, weekly) in listed_on(s.day)]
        lot = underlying.fo_lot
        for split in splits:
            lot = lot if split in later else _lot(lot, split)
        base = replace(underlying, fo_lot=lot)
        if not weekly:
            out.append(_contract(base, expiry, Decimal(0), "FUT", later, weekly=False))
        # One share of then is so many of today's.
        units = float(math.prod(split.factor for split in later))
        step = _step(underlying, market.reference[row] * units)
        first = expiry - timedelta(days=_LISTED_DAYS)
        days = [first + timedelta(days=number) for number in range((day - first).days + 1)]
        centres = [round(close / step) for close in market.previous_closes(row, days, units=units)]
        low, high = min(centres) - STRIKES_EACH_SIDE, max(centres) + STRIKES_EACH_SIDE
        out += [
            _contract(base, expiry, Decimal(str(number * step)), kind, later, weekly=weekly)
            for number in range(max(low, 1), high + 1)
            for kind in ("CE", "PE")
        ]
    return out


def _step(underlying: Listing, reference: float) -> float:
    wanted = reference * 0.01
    steps = (1.0, 2.5, 5.0, 10.0, 20.0, 25.0, 50.0, 100.0)
    return _STEPS.get(underlying.symbol) or min(steps, key=lambda step: abs(step - wanted))


def _contract(
    underlying: Listing,
    expiry: date,
    strike: Decimal,
    kind: str,
    splits: Sequence[Split],
    *,
    weekly: bool,
) -> Contract:
    """A contract with the terms that `splits` have left it."""
    named = _symbol(underlying, expiry, strike, kind)
    digest = hashlib.blake2b(named.encode(), digest_size=8).digest()
    token = str(100_000_000 + int.from_bytes(digest, "big") % 900_000_000)
    lot, freeze = underlying.fo_lot, underlying.fo_lot * _FREEZE_LOTS[underlying.symbol]
    for split in splits:
        strike, lot, freeze = _strike(strike, split), _lot(lot, split), int(freeze * split.factor)
    listing = replace(
        underlying,
        key=f"NSE_FO|{token}",
        symbol=_symbol(underlying, expiry, strike, kind),
        name=underlying.name if not underlying.is_index else underlying.symbol,
        sector="",
        isin="",
        reference=0.0,
        tick=TICK,
        lot=lot,
        volume=0.0,
        weights={},
        exchange="NSE",
        exchange_token=token,
        instrument_type=kind,
        freeze_quantity=freeze,
    )
    return Contract(listing, underlying, expiry, float(strike), kind, weekly)


def _symbol(underlying: Listing, expiry: date, strike: Decimal, kind: str) -> str:
    shown = "" if kind == "FUT" else f"{strike.normalize():f} "
    return f"{underlying.symbol} {shown}{kind} {expiry:%d %b %y}".upper()


def _strike(strike: Decimal, split: Split) -> Decimal:
    """To the nearest 5 paise; a future's stays 0."""
    if not strike:
        return strike
    exact = strike * split.denominator / split.numerator / _STRIKE_TICK
    return max(_STRIKE_TICK, exact.to_integral_value(ROUND_HALF_UP) * _STRIKE_TICK)


def _lot(lot: int, split: Split) -> int:
    return max(1, int(lot * split.factor))
