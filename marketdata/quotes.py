"""Ticks, quotes and the sanity gate. Pure: no Django models, no I/O.

A tick is one received update: whatever its sender knew, absent fields are None. A quote is the
merged latest state of an instrument, as exact decimals, for matching. Between the two stands
`check`: what cannot be true is refused by name and never reaches the board.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal

import msgspec

Source = Literal["stream", "rest", "cache", "database"]
SOURCES: tuple[Source, ...] = ("stream", "rest", "cache", "database")

# (price in rupees, quantity in units), best first.
Levels = tuple[tuple[float, int], ...]

# (start in epoch milliseconds, open, high, low, close, volume) of one completed minute.
Minute = tuple[int, float, float, float, float, int]

DEPTH_LEVELS = 5
# An exchange clock may run a little ahead of ours; more is a damaged time stamp.
FUTURE_TOLERANCE_MS = 5_000
# Above any price that NSE lists and any quantity of a day: what lies beyond is damage.
PRICE_MAX = 1e8
QUANTITY_MAX = 10**13


class Greeks(msgspec.Struct, frozen=True, gc=False):
    """Option sensitivities as the feed gives them (theta per day, vega per volatility point)."""

    delta: float
    theta: float
    gamma: float
    vega: float
    rho: float


class Tick(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """One received update of one instrument. Prices in rupees, times in epoch milliseconds.

    `exchange_ms` is when the sender states this was true (the frame's `currentTs`, a REST
    quote's `timestamp`); `received_ms` is our clock. `bids` and `asks` are None when the
    update carries no book and () when that side of the book is empty. `implied_volatility` is
    a fraction (0.12 is 12 %). `minute` is the exchange's own bar of the last completed minute.
    msgspec encodes and decodes a tick as a map.
    """

    instrument_key: str
    exchange_ms: int
    received_ms: int
    source: Source
    last_price: float | None = None
    last_quantity: int | None = None
    last_trade_ms: int | None = None
    previous_close: float | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    volume: int | None = None
    average_price: float | None = None
    bids: Levels | None = None
    asks: Levels | None = None
    open_interest: float | None = None
    implied_volatility: float | None = None
    greeks: Greeks | None = None
    total_bid_quantity: float | None = None
    total_ask_quantity: float | None = None
    minute: Minute | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """One price level of the book."""

    price: Decimal
    quantity: int


@dataclass(frozen=True, slots=True)
class Quote:
    """The merged latest state of an instrument. Prices exact, times in epoch milliseconds.

    Trade and book carry their own time and source: a share that does not trade may still have
    a fresh book. `timestamp_ms` and `received_ms` belong to the newest update of any kind.
    """

    instrument_key: str
    last_price: Decimal | None
    previous_close: Decimal | None
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    volume: int | None
    average_price: Decimal | None
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    last_trade_ms: int | None
    timestamp_ms: int | None
    received_ms: int | None
    source: Source | None
    book_ms: int | None = None
    book_received_ms: int | None = None
    book_source: Source | None = None
    phase: str = ""

    @property
    def bid(self) -> Decimal | None:
        return self.bids[0].price if self.bids else None

    @property
    def ask(self) -> Decimal | None:
        return self.asks[0].price if self.asks else None

    def age_ms(self, *, now_ms: int) -> int | None:
        """Milliseconds since the newest update arrived; None when none ever did."""
        return None if self.received_ms is None else max(0, now_ms - self.received_ms)


class Reject(StrEnum):
    """Why a tick was refused. Counted by value and shown on the operations page."""

    MALFORMED_KEY = "malformed_key"
    EMPTY = "empty"
    NOT_A_NUMBER = "not_a_number"
    NON_POSITIVE = "non_positive"
    TOO_LARGE = "too_large"
    NEGATIVE_QUANTITY = "negative_quantity"
    OFF_GRID = "off_grid"
    OFF_BAND = "off_band"
    INCONSISTENT_RANGE = "inconsistent_range"
    CROSSED_BOOK = "crossed_book"
    UNSORTED_BOOK = "unsorted_book"
    FROM_THE_FUTURE = "from_the_future"
    BEFORE_TIME = "before_time"


@dataclass(frozen=True, slots=True)
class Reference:
    """What is already known of an instrument, to judge a tick by.

    `previous_close` and `band` (a fraction of it, 0.2 for ±20 %) bound every price; None means
    no bound (options, first sight). `grid` is the smallest step of a price in rupees.
    """

    previous_close: float | None = None
    band: float | None = None
    grid: float | None = None


NO_REFERENCE = Reference()
# 2000-01-01: a time before it is a zero or a damaged stamp.
_EARLIEST_MS = 946_684_800_000


def check(tick: Tick, *, reference: Reference = NO_REFERENCE, now_ms: int) -> Reject | None:
    """The sanity gate: why `tick` cannot be true, or None when it may be.

    A tick is refused whole. One bad field means a damaged frame, and a damaged frame's other
    fields deserve no more trust.
    """
    if "|" not in tick.instrument_key or len(tick.instrument_key) > 64:
        return Reject.MALFORMED_KEY
    latest = now_ms + FUTURE_TOLERANCE_MS
    trade_ms = tick.last_trade_ms
    if tick.exchange_ms > latest or (trade_ms is not None and trade_ms > latest):
        return Reject.FROM_THE_FUTURE
    if tick.exchange_ms < _EARLIEST_MS or (trade_ms is not None and trade_ms < _EARLIEST_MS):
        return Reject.BEFORE_TIME
    return (
        _check_prices(tick, reference)
        or _check_quantities(tick)
        or _check_book(tick, reference)
        or _check_range(tick)
        or _check_minute(tick, reference)
    )


def _check_price(value: float, reference: Reference, *, on_grid: bool = True) -> Reject | None:
    # One chained comparison passes the usual case: NaN fails it too.
    if not 0.0 < value < PRICE_MAX:
        if not math.isfinite(value):
            return Reject.NOT_A_NUMBER
        return Reject.NON_POSITIVE if value <= 0.0 else Reject.TOO_LARGE
    close = reference.previous_close
    if close is not None and reference.band is not None:
        margin = close * reference.band
        # Bands are rounded to the tick; a paisa of slack keeps a price on the edge inside.
        if not close - margin - 0.01 <= value <= close + margin + 0.01:
            return Reject.OFF_BAND
    if on_grid and reference.grid is not None:
        steps = value / reference.grid
        if abs(steps - round(steps)) > 1e-4:
            return Reject.OFF_GRID
    return None


def _check_prices(tick: Tick, reference: Reference) -> Reject | None:
    found = tick.bids is not None or tick.asks is not None
    for value in (tick.last_price, tick.open, tick.high, tick.low):
        if value is not None:
            found = True
            reject = _check_price(value, reference)
            if reject is not None:
                return reject
    # An average and an adjusted close need not lie on the grid.
    for value in (tick.average_price, tick.previous_close):
        if value is not None:
            found = True
            reject = _check_price(value, reference, on_grid=False)
            if reject is not None:
                return reject
    if not found and tick.volume is None and tick.open_interest is None and tick.greeks is None:
        return Reject.EMPTY
    return None


def _check_quantities(tick: Tick) -> Reject | None:
    for value in (
        tick.last_quantity,
        tick.volume,
        tick.open_interest,
        tick.implied_volatility,
        tick.total_bid_quantity,
        tick.total_ask_quantity,
    ):
        if value is not None and not 0 <= value <= QUANTITY_MAX:
            if not math.isfinite(value):
                return Reject.NOT_A_NUMBER
            return Reject.NEGATIVE_QUANTITY if value < 0 else Reject.TOO_LARGE
    greeks = tick.greeks
    if greeks is not None and not math.isfinite(
        greeks.delta + greeks.theta + greeks.gamma + greeks.vega + greeks.rho
    ):
        return Reject.NOT_A_NUMBER
    return None


def _check_book(tick: Tick, reference: Reference) -> Reject | None:
    for levels, sign in ((tick.bids, -1.0), (tick.asks, 1.0)):
        before = -math.inf
        for price, quantity in levels or ():
            reject = _check_price(price, reference)
            if reject is not None:
                return reject
            if not 0 <= quantity <= QUANTITY_MAX:
                return Reject.NEGATIVE_QUANTITY if quantity < 0 else Reject.TOO_LARGE
            if price * sign < before:
                return Reject.UNSORTED_BOOK
            before = price * sign
    if tick.bids and tick.asks and tick.bids[0][0] > tick.asks[0][0]:
        return Reject.CROSSED_BOOK
    return None


def _check_range(tick: Tick) -> Reject | None:
    high, low = tick.high, tick.low
    if high is not None and low is not None and high < low:
        return Reject.INCONSISTENT_RANGE
    return None


def _check_minute(tick: Tick, reference: Reference) -> Reject | None:
    if tick.minute is None:
        return None
    start_ms, open_, high, low, close, volume = tick.minute
    for value in (open_, high, low, close):
        reject = _check_price(value, reference)
        if reject is not None:
            return reject
    if not low <= min(open_, close) <= max(open_, close) <= high:
        return Reject.INCONSISTENT_RANGE
    if not 0 <= volume <= QUANTITY_MAX:
        return Reject.NEGATIVE_QUANTITY if volume < 0 else Reject.TOO_LARGE
    if start_ms > tick.exchange_ms:
        return Reject.FROM_THE_FUTURE
    return Reject.BEFORE_TIME if start_ms < _EARLIEST_MS else None
