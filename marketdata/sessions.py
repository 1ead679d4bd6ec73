"""The session calendar: which phase a segment is in at an instant. Pure.

Rules are data with effective dates (`TIMETABLES`); days that differ are rows (`DayRule`) that
an administrator edits and the caller passes in. Spans are half-open, [start, end), in exchange
time (IST), which has no daylight saving; everything given and returned is aware.

Shares with F&O contracts trade by their own timetable since 2026-08-03 (closing auction), so
callers name the *market* of an instrument, `market_of(segment=, cas_eligible=)`, which is the
segment itself except for those shares.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final

from mockmarket.core.clock import IST

CAS_MARKET: Final = "NSE_EQ_CAS"
MARKETS: Final = (
    "NSE_EQ", CAS_MARKET, "NSE_INDEX", "NSE_FO", "BSE_EQ", "BSE_INDEX", "BSE_FO",
)  # fmt: skip
# Fetchers and feed start this long before continuous trading.
SERVICE_LEAD: Final = timedelta(minutes=2)
# How far next_open looks: the longest closed stretch so far is five days.
_SEARCH_DAYS: Final = 30


class Phase(StrEnum):
    """What a market does at an instant."""

    PRE_OPEN = "PRE_OPEN"
    CONTINUOUS = "CONTINUOUS"
    CLOSING_AUCTION = "CLOSING_AUCTION"
    POST_CLOSE = "POST_CLOSE"
    CLOSED = "CLOSED"


class SpansError(ValueError):
    """The text of a special session's spans cannot be read; the message says where."""


@dataclass(frozen=True, slots=True)
class Span:
    """One phase from `start` up to, not including, `end`, in exchange time."""

    phase: Phase
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Timetable:
    """The regular day of some markets from `effective_from` until a newer row replaces it."""

    markets: tuple[str, ...]
    effective_from: date
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class DayRule:
    """A day that differs: a holiday (no spans) or a special session (its own spans).

    `markets` empty means every market. A special session may have several parts, with the
    time between them closed.
    """

    session_date: date
    description: str
    spans: tuple[Span, ...] = ()
    markets: tuple[str, ...] = ()

    @property
    def holiday(self) -> bool:
        return not self.spans

    def concerns(self, market: str) -> bool:
        return not self.markets or market in self.markets


@dataclass(frozen=True, slots=True)
class Calendar:
    """The days that differ. `always_open` is the simulated market that never closes."""

    days: Mapping[date, tuple[DayRule, ...]] = field(default_factory=dict)
    always_open: bool = False

    @classmethod
    def of(cls, rules: Iterable[DayRule], *, always_open: bool = False) -> "Calendar":
        days: dict[date, tuple[DayRule, ...]] = {}
        for rule in rules:
            days[rule.session_date] = (*days.get(rule.session_date, ()), rule)
        return cls(days=days, always_open=always_open)


ALWAYS_OPEN: Final = Calendar(always_open=True)


def parse_spans(text: str) -> tuple[Span, ...]:
    """Spans from text, one `PHASE HH:MM-HH:MM` a line or comma; in order, without overlap.

    Raises SpansError naming the part that cannot be read.
    """
    spans: list[Span] = []
    for part in text.replace(",", "\n").splitlines():
        if not part.strip():
            continue
        try:
            name, hours = part.split()
            start, end = (time.fromisoformat(hour) for hour in hours.split("-"))
            span = Span(Phase(name), start, end)
        except ValueError as error:
            message = f"expected 'PHASE HH:MM-HH:MM', was {part.strip()!r}"
            raise SpansError(message) from error
        if span.phase is Phase.CLOSED or span.start >= span.end:
            raise SpansError(f"{part.strip()!r} is not a span of trading")
        if spans and span.start < spans[-1].end:
            raise SpansError(f"{part.strip()!r} begins before the part above it ends")
        spans.append(span)
    return tuple(spans)


def format_spans(spans: Iterable[Span]) -> str:
    """The text that `parse_spans` reads."""
    return ", ".join(f"{s.phase} {s.start:%H:%M}-{s.end:%H:%M}" for s in spans)


# POST_CLOSE is everything from the end of trading to 16:00: the exchange's calculation of the
# close and its post-close session (15:40, since 2026-08-03 15:50, to 16:00).
_CASH = "PRE_OPEN 09:00-09:15, CONTINUOUS 09:15-15:30, POST_CLOSE 15:30-16:00"
_AUCTION = (
    "PRE_OPEN 09:00-09:15, CONTINUOUS 09:15-15:15, CLOSING_AUCTION 15:15-15:35,"
    " POST_CLOSE 15:35-16:00"
)
_BEGINNING = date(2000, 1, 1)

TIMETABLES: Final = (
    Timetable(("NSE_EQ", CAS_MARKET, "BSE_EQ"), _BEGINNING, parse_spans(_CASH)),
    Timetable(("NSE_INDEX", "BSE_INDEX"), _BEGINNING, parse_spans("CONTINUOUS 09:15-15:30")),
    Timetable(("NSE_FO", "BSE_FO"), _BEGINNING, parse_spans("CONTINUOUS 09:15-15:30")),
    # Futures take part in the pre-open session.
    Timetable(
        ("NSE_FO",), date(2025, 12, 8), parse_spans("PRE_OPEN 09:00-09:15, CONTINUOUS 09:15-15:30")
    ),
    # The closing auction (SEBI HO/47/11/11(3)2025-MRD-POD2/I/2765/2026).
    Timetable((CAS_MARKET,), date(2026, 8, 3), parse_spans(_AUCTION)),
    Timetable(
        ("NSE_INDEX",),
        date(2026, 8, 3),
        # The indices' shares go into the auction; the closing index follows its prices.
        parse_spans("CONTINUOUS 09:15-15:15, CLOSING_AUCTION 15:15-15:35"),
    ),
    Timetable(
        ("NSE_FO",), date(2026, 8, 3), parse_spans("PRE_OPEN 09:00-09:15, CONTINUOUS 09:15-15:40")
    ),
)


def market_of(*, segment: str, cas_eligible: bool = False) -> str:
    """The market whose timetable an instrument follows."""
    return CAS_MARKET if cas_eligible and segment == "NSE_EQ" else segment


@lru_cache(maxsize=4096)
def _regular(market: str, day: date) -> tuple[Span, ...]:
    found: tuple[Span, ...] = ()
    newest = date.min
    for row in TIMETABLES:
        if market in row.markets and newest <= row.effective_from <= day:
            found, newest = row.spans, row.effective_from
    return found


def spans_on(*, market: str, day: date, calendar: Calendar) -> tuple[Span, ...]:
    """The spans of `market` on `day`; empty on holidays, weekends and for unknown markets."""
    for rule in calendar.days.get(day, ()):
        if rule.concerns(market):
            if market.endswith("_INDEX"):
                return tuple(s for s in rule.spans if s.phase is Phase.CONTINUOUS)
            return rule.spans
    return () if day.weekday() >= 5 else _regular(market, day)


def phase(*, market: str, at: datetime, calendar: Calendar) -> Phase:
    """The phase of `market` at the aware instant `at`."""
    if calendar.always_open:
        return Phase.CONTINUOUS
    local = at.astimezone(IST)
    clock = local.time()
    for span in spans_on(market=market, day=local.date(), calendar=calendar):
        if span.start <= clock < span.end:
            return span.phase
    return Phase.CLOSED


def is_session(*, market: str, day: date, calendar: Calendar) -> bool:
    """Whether `market` trades at all on `day`."""
    return calendar.always_open or bool(spans_on(market=market, day=day, calendar=calendar))


def session_date(*, market: str, at: datetime, calendar: Calendar) -> date:
    """The session that `at` belongs to: today's when it has begun or lies ahead today, else
    the newest one before.

    A night, a weekend or a holiday belongs to the session before it.
    """
    day = at.astimezone(IST).date()
    for _ in range(_SEARCH_DAYS):
        if is_session(market=market, day=day, calendar=calendar):
            return day
        day -= timedelta(days=1)
    return day


def _instant(day: date, clock: time) -> datetime:
    return datetime.combine(day, clock, IST).astimezone(UTC)


def continuous(*, market: str, day: date, calendar: Calendar) -> list[tuple[datetime, datetime]]:
    """Each part of continuous trading on `day`, as UTC instants [start, end)."""
    if calendar.always_open:
        start = _instant(day, time.min)
        return [(start, start + timedelta(days=1))]
    return [
        (_instant(day, span.start), _instant(day, span.end))
        for span in spans_on(market=market, day=day, calendar=calendar)
        if span.phase is Phase.CONTINUOUS
    ]


def pre_open_start(*, market: str, at: datetime, calendar: Calendar) -> datetime | None:
    """When the pre-open that `at` lies in began; None outside of one."""
    day = at.astimezone(IST).date()
    for span in spans_on(market=market, day=day, calendar=calendar):
        began = _instant(day, span.start)
        if span.phase is Phase.PRE_OPEN and began <= at < _instant(day, span.end):
            return began
    return None


def closing_auction(
    *, market: str, day: date, calendar: Calendar
) -> tuple[datetime, datetime] | None:
    """The closing auction of `day` as UTC instants [start, end); None on days without one."""
    for span in spans_on(market=market, day=day, calendar=calendar):
        if span.phase is Phase.CLOSING_AUCTION:
            return _instant(day, span.start), _instant(day, span.end)
    return None


def final_close(*, market: str, day: date, calendar: Calendar) -> datetime | None:
    """When the closing price of `day` is known: the end of its last trading or auction span."""
    if calendar.always_open:
        # An exchange that never closes begins its next day at midnight.
        return _instant(day, time(23, 59))
    ends = [
        span.end
        for span in spans_on(market=market, day=day, calendar=calendar)
        if span.phase in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION)
    ]
    return _instant(day, max(ends)) if ends else None


def service_windows(
    *, market: str, day: date, calendar: Calendar
) -> list[tuple[datetime, datetime]]:
    """When fetchers and feed may run: from two minutes before continuous trading to the close.

    One window a part of the session. A closing auction belongs to the window of the trading
    before it, because its price is the close.
    """
    if calendar.always_open:
        return continuous(market=market, day=day, calendar=calendar)
    windows: list[tuple[datetime, datetime]] = []
    for span in spans_on(market=market, day=day, calendar=calendar):
        if span.phase is Phase.CONTINUOUS:
            windows.append((_instant(day, span.start) - SERVICE_LEAD, _instant(day, span.end)))
        elif span.phase is Phase.CLOSING_AUCTION and windows:
            windows[-1] = (windows[-1][0], _instant(day, span.end))
    return windows


def in_service(*, market: str, at: datetime, calendar: Calendar) -> bool:
    """Whether upstream calls for `market` are allowed at `at`."""
    day = at.astimezone(IST).date()
    return any(
        start <= at < end
        for start, end in service_windows(market=market, day=day, calendar=calendar)
    )


def any_in_service(*, at: datetime, calendar: Calendar) -> bool:
    """Whether any market is inside its service window."""
    return any(in_service(market=market, at=at, calendar=calendar) for market in MARKETS)


def next_open(*, market: str, at: datetime, calendar: Calendar) -> datetime | None:
    """The next start of continuous trading after `at`; None while it trades already."""
    if phase(market=market, at=at, calendar=calendar) is Phase.CONTINUOUS:
        return None
    day = at.astimezone(IST).date()
    for offset in range(_SEARCH_DAYS):
        for start, _ in continuous(
            market=market, day=day + timedelta(days=offset), calendar=calendar
        ):
            if start > at:
                return start
    return None


def next_session(*, market: str, day: date, calendar: Calendar) -> date:
    """The first session after `day`."""
    for offset in range(1, _SEARCH_DAYS):
        candidate = day + timedelta(days=offset)
        if is_session(market=market, day=candidate, calendar=calendar):
            return candidate
    raise LookupError(f"no session of {market} within {_SEARCH_DAYS} days of {day}")


def previous_session(*, market: str, day: date, calendar: Calendar) -> date:
    """The last session before `day`."""
    for offset in range(1, _SEARCH_DAYS):
        candidate = day - timedelta(days=offset)
        if is_session(market=market, day=candidate, calendar=calendar):
            return candidate
    raise LookupError(f"no session of {market} within {_SEARCH_DAYS} days of {day}")


def overall_phase(*, at: datetime, calendar: Calendar) -> Phase:
    """The liveliest phase of the cash market: what the page's status line says."""
    found = {phase(market=market, at=at, calendar=calendar) for market in ("NSE_EQ", CAS_MARKET)}
    order = (
        Phase.CONTINUOUS, Phase.CLOSING_AUCTION, Phase.PRE_OPEN, Phase.POST_CLOSE, Phase.CLOSED
    )  # fmt: skip
    return next(name for name in order if name in found)
