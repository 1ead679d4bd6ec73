"""Candles: a fold of ticks into one-minute bars, longer bars derived from them. Pure.

A bar covers [start, start + interval) of exchange time. Its prices come from trades only: a
tick that repeats the last trade (same price, same trade time, same volume) adds nothing. Its
volume is the growth of the day's volume, so a lost frame loses no volume.

The feed conflates: between two frames it tells the last trade only, so a minute's extreme may
belong to a trade that was never told. Where the feed carries the exchange's own bar of the
minute before, that bar replaces ours.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final

from marketdata.quotes import Tick
from mockmarket.core.clock import IST, from_ms

MINUTE_MS: Final = 60_000
INTERVALS: Final = {
    "1m": timedelta(minutes=1),
    "5m": timedelta(minutes=5),
    "15m": timedelta(minutes=15),
    "1h": timedelta(hours=1),
    "1d": timedelta(days=1),
}
_IST_OFFSET_MS: Final = 19_800_000
# (start, open, high, low, close, volume): start aware UTC, prices in rupees.
Row = tuple[datetime, float, float, float, float, int]
# Intraday bars of an hour count from the open, as Indian charts draw them: 09:15, 10:15, …
_OPEN: Final = time(9, 15)


@dataclass(slots=True)
class Bar:
    """One bar. Prices in rupees, `start_ms` in epoch milliseconds."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: int = 0

    def add(self, price: float, volume: int) -> None:
        """One more trade price and the shares traded since the last."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.volume += volume


@dataclass(slots=True)
class _State:
    bar: Bar | None = None
    last: Bar | None = None  # the bar closed before; a late trade of its minute reopens it
    official_ms: int = 0  # start of the newest bar that the exchange gave itself
    trade_ms: int = 0
    day_volume: int | None = None
    day: int = 0


class Folder:
    """Folds the ticks of many instruments into one-minute bars.

    `fold` takes ticks in the order of arrival; a trade older than the newest seen is a late
    packet and changes no bar. Closed bars wait in `take_closed`.
    """

    def __init__(self) -> None:
        self._states: dict[str, _State] = {}
        self._closed: list[tuple[str, Bar]] = []

    def fold(self, tick: Tick) -> None:
        """Fold one accepted tick."""
        price = tick.last_price
        if price is None:
            return
        trade_ms = tick.last_trade_ms if tick.last_trade_ms is not None else tick.exchange_ms
        state = self._states.get(tick.instrument_key)
        if state is None:
            state = self._states[tick.instrument_key] = _State()
        official = tick.minute
        # A replay moves the day to now, and its minutes off the grid: they are no minutes here.
        if official and official[0] > state.official_ms and official[0] % MINUTE_MS == 0:
            self._replace(tick.instrument_key, state, Bar(*official))
        if trade_ms < state.trade_ms:
            return
        traded = _traded(state, tick, trade_ms)
        start_ms = trade_ms - trade_ms % MINUTE_MS
        bar = state.bar
        newest = bar or state.last
        repeated = trade_ms == state.trade_ms and not traded
        if repeated and newest is not None and price == newest.close:
            return
        state.trade_ms = trade_ms
        if bar is None or start_ms > bar.start_ms:
            if start_ms <= state.official_ms:
                return  # the exchange has closed that minute
            if bar is None and state.last is not None and start_ms <= state.last.start_ms:
                state.last.add(price, traded)
                self._closed.append((tick.instrument_key, state.last))
                return
            if bar is not None:
                self._closed.append((tick.instrument_key, bar))
            state.bar = Bar(start_ms, price, price, price, price, traded)
        else:
            bar.add(price, traded)

    def _replace(self, key: str, state: _State, official: Bar) -> None:
        """Take over the exchange's bar of a completed minute."""
        state.official_ms = official.start_ms
        if state.bar is not None and state.bar.start_ms < official.start_ms:
            self._closed.append((key, state.bar))
        if state.bar is not None and state.bar.start_ms <= official.start_ms:
            state.bar = None
        state.last = official
        self._closed.append((key, official))

    def close_before(self, *, at_ms: int) -> None:
        """Close the bars of minutes that ended before `at_ms`: their last trade has come."""
        minute = at_ms - at_ms % MINUTE_MS
        for key, state in self._states.items():
            if state.bar is not None and state.bar.start_ms < minute:
                self._closed.append((key, state.bar))
                state.last, state.bar = state.bar, None

    def begin_anew(self) -> None:
        """Close every bar and forget all times: a replay began again at its first minute."""
        self._closed += [
            (key, state.bar) for key, state in self._states.items() if state.bar is not None
        ]
        self._states.clear()

    def take_closed(self) -> list[tuple[str, Bar]]:
        """The bars closed since the last call, oldest first."""
        closed, self._closed = self._closed, []
        return closed

    def forming(self) -> dict[str, Bar]:
        """The bar of the current minute of each instrument that has traded in it."""
        return {key: state.bar for key, state in self._states.items() if state.bar is not None}


def _traded(state: _State, tick: Tick, trade_ms: int) -> int:
    """Shares traded since the tick before; the day's volume starts anew each day."""
    day = (trade_ms + _IST_OFFSET_MS) // 86_400_000
    if tick.volume is None:
        return 0
    before, state.day_volume = state.day_volume, int(tick.volume)
    if before is None or state.day != day:
        state.day = day
        return int(tick.last_quantity or 0)
    if tick.volume < before:
        # A late packet: the larger count was true already.
        state.day_volume = before
        return 0
    return int(tick.volume) - before


def bucket_start(*, start: datetime, interval: str) -> datetime:
    """The start of the bar of `interval` that the minute `start` falls in (UTC).

    Days begin at midnight IST. Hours count from 09:15; shorter bars from the hour, which is the
    same grid. Raises KeyError for an unknown interval.
    """
    length = INTERVALS[interval]
    local = start.astimezone(IST)
    if interval == "1d":
        return datetime.combine(local.date(), time.min, IST).astimezone(UTC)
    anchor = datetime.combine(local.date(), _OPEN, IST)
    steps = (local - anchor) // length
    return (anchor + steps * length).astimezone(UTC)


def derive(*, bars: Iterable[Row], interval: str) -> list[Row]:
    """Longer bars from one-minute rows (start, open, high, low, close, volume), oldest first."""
    derived: list[Row] = []
    for start, open_, high, low, close, volume in bars:
        bucket = bucket_start(start=start, interval=interval)
        if derived and derived[-1][0] == bucket:
            _, o, h, lo, _, v = derived[-1]
            derived[-1] = (bucket, o, max(h, high), min(lo, low), close, v + volume)
        else:
            derived.append((bucket, open_, high, low, close, volume))
    return derived


def start_of(bar: Bar) -> datetime:
    """When the bar begins, aware, in UTC."""
    return from_ms(bar.start_ms)
