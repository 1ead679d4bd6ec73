"""The closing auction's reference price and band, from the minutes that the engine has stored.

The reference is the average price by volume of the last quarter of an hour of continuous trading;
where nothing traded in it the last price before. Where no minute of the day is known, an order is
judged by the last price shown, and the auction's price by the day's band alone.
Orders of the auction and its price lie within a band around it (trading/bands.py).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata import selectors as market_selectors
from marketdata import sessions
from marketdata.models import Candle, Instrument
from mockmarket.core import clock
from mockmarket.core.clock import IST
from mockmarket.core.money import price as exact_price
from trading import auction, bands, quoting
from trading.days import MATCH_GRACE
from trading.matching import Market

# How long before the auction its reference begins to be reckoned.
REFERENCE_SPAN: Final = timedelta(minutes=15)


def begins(market_name: str, *, at: datetime) -> datetime | None:
    """When the closing auction of the day begins; None on days without one."""
    span = _span(market_name, at=at)
    return None if span is None else span[0]


def _span(market_name: str, *, at: datetime) -> tuple[datetime, datetime] | None:
    return sessions.closing_auction(
        market=market_name, day=at.astimezone(IST).date(), calendar=market_selectors.calendar()
    )


def references(instruments: Collection[Instrument], *, began: datetime) -> dict[int, Decimal]:
    """Reference prices by instrument id, of those that traded on the day before `began`."""
    minutes = Candle.objects.filter(
        instrument__in=instruments, interval=Candle.Interval.MINUTE, start__lt=began
    )
    sums: dict[int, tuple[Decimal, int]] = {}
    recent = minutes.filter(start__gte=began - REFERENCE_SPAN)
    for pk, high, low, close, volume in recent.values_list(
        "instrument_id", "high", "low", "close", "volume"
    ):
        value, units = sums.get(pk, (Decimal(0), 0))
        sums[pk] = value + (high + low + close) / 3 * volume, units + volume
    found = {pk: exact_price(value / units) for pk, (value, units) in sums.items() if units}
    silent = [row.pk for row in instruments if row.pk not in found]
    if silent:
        midnight = began.astimezone(IST).replace(hour=0, minute=0, second=0, microsecond=0)
        today = minutes.filter(instrument__in=silent, start__gte=midnight).order_by("start")
        found.update(today.values_list("instrument_id", "close"))
    return found


def band(instrument: Instrument, reference: Decimal, *, at: datetime) -> bands.Bounds:
    """The auction's band of an instrument on the day of `at`."""
    percent = bands.auction_percent(on=at.astimezone(IST).date())
    if percent is None:
        return None, None
    return bands.auction_band(reference=reference, percent=percent, tick_size=instrument.tick_size)


def of_auction(market: Market, instrument: Instrument, *, at: datetime) -> Market:
    """The market as an order for the auction under way sees it: with the auction's own band."""
    began = begins(quoting.market_name(instrument), at=at)
    if began is None:
        return market
    reference = references([instrument], began=began).get(instrument.pk) or market.last_price
    if reference is None:
        return market
    low, high = band(instrument, reference, at=at)
    return replace(market, band_low=low, band_high=high)


@dataclass(frozen=True, slots=True)
class Ended:
    """A closing auction that has just ended: the bands that are known, by instrument id, and the
    first instant that a price of it can be from (epoch milliseconds)."""

    bands: Mapping[int, bands.Bounds]
    since_ms: int


def ended(market_name: str, instruments: Collection[Instrument], *, at: datetime) -> Ended | None:
    """The auction of a market while it is matched, the minute after its end; else None."""
    span = _span(market_name, at=at)
    if span is None or not span[1] <= at < span[1] + MATCH_GRACE:
        return None
    known = references(instruments, began=span[0])
    return Ended(
        bands={row.pk: band(row, known[row.pk], at=at) for row in instruments if row.pk in known},
        since_ms=clock.to_ms(span[0] + auction.NOBODY_ORDERS),
    )
