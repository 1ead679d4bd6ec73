"""Candles of the historical and intraday endpoints: spans, intervals, folding. Pure."""

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from marketdata.exchange.envelope import Refusal
from marketdata.exchange.records import Bar
from mockmarket.core.clock import IST

MINUTE_MS = 60_000
_INTERVALS = {"minutes": 300, "hours": 5, "days": 1, "weeks": 1, "months": 1}


def parse_interval(unit: str, interval: str) -> int:
    """The interval as a number. Raises Refusal for a unit or an interval that does not exist."""
    if unit not in _INTERVALS:
        raise Refusal(400, "UDAPI1146", "Invalid unit")
    if not interval.isdigit() or not 1 <= int(interval) <= _INTERVALS[unit]:
        raise Refusal(400, "UDAPI1147", "Invalid interval")
    return int(interval)


def parse_date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refusal(
            400, "UDAPI1015", "to_date must be greater than or equal to from_date"
        ) from None


def span(unit: str, interval: int, *, to_date: date, from_date: date | None) -> tuple[date, date]:
    """(first, last) session dates, clipped or refused as Upstox does."""
    longest = {
        "minutes": timedelta(days=31 if interval <= 15 else 92),
        "hours": timedelta(days=92),
        "days": timedelta(days=3653),
        "weeks": timedelta(days=9500),
        "months": timedelta(days=9500),
    }[unit]
    if from_date is None:
        return to_date - longest, to_date
    if from_date > to_date:
        raise Refusal(400, "UDAPI1015", "to_date must be greater than or equal to from_date")
    if to_date - from_date > longest:
        raise Refusal(400, "UDAPI1148", "Invalid date range")
    return from_date, to_date


def fold_minutes(bars: Sequence[Bar], *, minutes: int) -> list[Bar]:
    """One-minute bars of one session into bars of `minutes`, counted from its open."""
    if minutes == 1 or not bars:
        return list(bars)
    start = bars[0].start_ms
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        groups.setdefault((bar.start_ms - start) // (minutes * MINUTE_MS), []).append(bar)
    return [
        join(group, start_ms=start + number * minutes * MINUTE_MS)
        for number, group in groups.items()
    ]


def by_minute(bars: Iterable[Bar]) -> list[Bar]:
    """Bars that begin anywhere as bars of the clock's minutes."""
    groups: dict[int, list[Bar]] = {}
    for bar in bars:
        groups.setdefault(bar.start_ms // MINUTE_MS * MINUTE_MS, []).append(bar)
    return [join(group, start_ms=start) for start, group in groups.items()]


def fold_days(bars: Iterable[Bar], *, unit: str) -> list[Bar]:
    """Daily bars into weeks (from Monday) or months, stamped with their first calendar day."""
    groups: dict[date, list[Bar]] = {}
    for bar in bars:
        day = datetime.fromtimestamp(bar.start_ms / 1000, UTC).astimezone(IST).date()
        first = day.replace(day=1) if unit == "months" else day - timedelta(days=day.weekday())
        groups.setdefault(first, []).append(bar)
    return [join(group, start_ms=_midnight_ms(first)) for first, group in groups.items()]


def join(bars: Sequence[Bar], *, start_ms: int) -> Bar:
    """Consecutive bars as one."""
    return Bar(
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
        start_ms,
    )


def rows(bars: Sequence[Bar]) -> list[list[object]]:
    """Upstox's candle rows, newest first: [ISO start in India, o, h, l, c, volume, oi]."""
    return [
        [iso(bar.start_ms), bar.open, bar.high, bar.low, bar.close, bar.volume, 0]
        for bar in reversed(bars)
    ]


def iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(IST).isoformat(timespec="seconds")


def _midnight_ms(day: date) -> int:
    return round(datetime(day.year, day.month, day.day, tzinfo=IST).timestamp() * 1000)
