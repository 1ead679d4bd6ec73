"""Price bands and the grid of prices. Pure.

Shares trade within a band around the previous close. Shares with F&O contracts have none, but an
operating range of 10 % that widens by steps of 5 % when the price comes within 0.1 % of its edge
(9.90 % -> 15 %, 14.90 % -> 20 %, ...); both sides widen together here. The closing auction has a
band of its own around its reference price.
"""

from collections.abc import Sequence
from datetime import date
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

Bounds = tuple[Decimal | None, Decimal | None]

BAND_PERCENT = Decimal(20)
DYNAMIC_START_PERCENT = Decimal(10)
DYNAMIC_STEP_PERCENT = Decimal(5)
_EDGE_PERCENT = Decimal("0.10")
_HUNDRED = Decimal(100)
# (effective from, percent of the reference price), the newest last.
AUCTION_PERCENTS: Final[Sequence[tuple[date, Decimal]]] = ((date(2026, 8, 3), Decimal(3)),)


def to_tick(price: Decimal, tick_size: Decimal, *, up: bool) -> Decimal:
    """`price` moved onto the grid of `tick_size`, up or down; unchanged without a grid."""
    if not tick_size:
        return price
    steps = (price / tick_size).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR)
    return steps * tick_size


def band_percent(
    *, dynamic: bool, previous_close: Decimal, high: Decimal | None, low: Decimal | None
) -> Decimal:
    """The width in force, in percent of the previous close, after the day's range so far."""
    if not dynamic:
        return BAND_PERCENT
    percent = DYNAMIC_START_PERCENT
    moved = max(
        (abs(price - previous_close) for price in (high, low) if price is not None),
        default=Decimal(0),
    )
    moved_percent = moved / previous_close * _HUNDRED
    while moved_percent >= percent - _EDGE_PERCENT:
        percent += DYNAMIC_STEP_PERCENT
    return percent


def band(
    *,
    segment: str,
    dynamic: bool,
    previous_close: Decimal | None,
    high: Decimal | None,
    low: Decimal | None,
    tick_size: Decimal,
) -> Bounds:
    """Lowest and highest price that may trade, on the grid; None where there is no bound."""
    if previous_close is None or not previous_close or not segment.endswith("_EQ"):
        return None, None
    percent = band_percent(dynamic=dynamic, previous_close=previous_close, high=high, low=low)
    return _around(previous_close, percent, tick_size)


def auction_percent(*, on: date) -> Decimal | None:
    """How far from its reference price the closing auction of a day may go; None: no auction."""
    return next((percent for since, percent in reversed(AUCTION_PERCENTS) if since <= on), None)


def auction_band(*, reference: Decimal, percent: Decimal, tick_size: Decimal) -> Bounds:
    """Lowest and highest price of the closing auction, on the grid."""
    return _around(reference, percent, tick_size)


def _around(middle: Decimal, percent: Decimal, tick_size: Decimal) -> Bounds:
    away = middle * percent / _HUNDRED
    return to_tick(middle - away, tick_size, up=True), to_tick(middle + away, tick_size, up=False)
