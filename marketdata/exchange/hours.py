"""The simulated exchange's hours: when it trades, and what it calls its phases.

By default it never closes. With NSE's hours it keeps the bundled calendar: holidays, special
sessions, the pre-open, and since 2026-08-03 the closing auction. Pure but for the choice by
settings.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final

from django.conf import settings

from marketdata import calendar_table, sessions
from marketdata.sessions import CAS_MARKET, Calendar, Phase
from mockmarket.core.clock import IST

SEGMENTS: Final = (
    "NSE_EQ", "NSE_FO", "NSE_INDEX", "BSE_EQ", "BSE_FO", "BSE_INDEX", "NCD_FO", "BCD_FO",
    "MCX_FO", "MCX_INDEX", "NSE_COM",
)  # fmt: skip
# Collecting orders for the open ends, and matching begins, eight minutes into the pre-open.
_PRE_OPEN_COLLECTS: Final = timedelta(minutes=8)
# Of the closing auction: the reference is fixed, orders, limit orders only, no orders, the match.
_AUCTION_STEPS: Final = (
    (timedelta(0), "CTS_CLOSE"),
    (timedelta(minutes=5), "CAS_LM_START"),
    (timedelta(minutes=10), "CAS_M_STOP"),
    (timedelta(minutes=15), "CAS_STOP"),
)
# The auction's one trade comes so long after its begin; the facts say only 15:30 to 15:35.
_AUCTION_MATCH_MS: Final = 17 * 60_000
# The post-close session is the last part of what the calendar calls post-close.
_POST_CLOSE_SESSION: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Phases:
    """What the exchange says of itself: MarketStatus by segment, finer words of its auctions."""

    segments: dict[str, str]
    closing_auction: dict[str, str]
    pre_open: dict[str, str]


_ALWAYS_OPEN: Final = Phases(dict.fromkeys(SEGMENTS, "NORMAL_OPEN"), {}, {})


@dataclass(frozen=True, slots=True)
class Hours:
    """A regular day opens `opens_s` after midnight in India and trades for `length_s`.

    Without a calendar every day is such a day. A special session of another length plays the
    whole day's path in its time, so that every day ends where the next begins.
    """

    opens_s: int = 0
    length_s: int = 86_400
    calendar: Calendar | None = None

    @property
    def minutes(self) -> int:
        return self.length_s // 60

    def parts(self, day: date) -> tuple[tuple[int, int], ...]:
        """Continuous trading of `day`, (from, to) in seconds after midnight; () when closed."""
        if self.calendar is None:
            return ((self.opens_s, self.opens_s + self.length_s),)
        # BSE's share market trades to 15:30 with and without NSE's closing auction.
        return _parts(sessions.spans_on(market="BSE_EQ", day=day, calendar=self.calendar))

    def is_session(self, day: date) -> bool:
        return bool(self.parts(day))

    def is_regular(self, day: date) -> bool:
        """Whether the day's minutes are the path's minutes."""
        return self.parts(day) == ((self.opens_s, self.opens_s + self.length_s),)

    def position(self, at_ms: float) -> tuple[date, float]:
        """(session, seconds of its path) of an instant; a closed market stands at its end."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(IST)
        day = local.date()
        seconds = (local - _midnight(day)).total_seconds()
        parts = self.parts(day)
        if not parts or seconds < parts[0][0]:
            return self.previous(day), float(self.length_s)
        traded = sum(min(seconds, end) - start for start, end in parts if seconds > start)
        total = sum(end - start for start, end in parts)
        return day, min(traded * self.length_s / total, float(self.length_s))

    def clock_ms(self, day: date, second: float) -> int:
        """The instant of a second of the day's path, the inverse of `position`."""
        parts = self.parts(day)
        left = second * sum(end - start for start, end in parts) / self.length_s
        for start, end in parts:
            if left < end - start:
                return self.midnight_ms(day) + round((start + left) * 1000)
            left -= end - start
        return self.close_ms(day)

    def is_open(self, at_ms: float) -> bool:
        """Whether anything trades continuously."""
        local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(IST)
        seconds = (local - _midnight(local.date())).total_seconds()
        return any(start <= seconds < end for start, end in self.parts(local.date()))

    def midnight_ms(self, day: date) -> int:
        return round(_midnight(day).timestamp() * 1000)

    def start_ms(self, day: date) -> int:
        """Epoch milliseconds of the session's open."""
        parts = self.parts(day)
        return self.midnight_ms(day) + (parts[0][0] if parts else self.opens_s) * 1000

    def close_ms(self, day: date) -> int:
        """Epoch milliseconds of the end of continuous trading."""
        parts = self.parts(day)
        end = parts[-1][1] if parts else self.opens_s + self.length_s
        return self.midnight_ms(day) + end * 1000

    def previous(self, day: date) -> date:
        """The session before `day`."""
        for _ in range(30):
            day -= timedelta(days=1)
            if self.is_session(day):
                return day
        raise ValueError(f"no session in the month before {day}")

    # --- phases ---------------------------------------------------------------------------
    def phase(self, market: str, *, at_ms: float) -> Phase:
        """What a market (a segment, or the closing-auction shares) does at an instant."""
        if self.calendar is None:
            return Phase.CONTINUOUS
        at = datetime.fromtimestamp(at_ms / 1000, UTC)
        return sessions.phase(market=market, at=at, calendar=self.calendar)

    def auction_ms(self, day: date) -> int | None:
        """When the closing auction of `day` begins; None on days without one."""
        if self.calendar is None:
            return None
        for span in sessions.spans_on(market=CAS_MARKET, day=day, calendar=self.calendar):
            if span.phase is Phase.CLOSING_AUCTION:
                return round(datetime.combine(day, span.start, IST).timestamp() * 1000)
        return None

    def match_ms(self, day: date) -> int | None:
        """When the closing auction of `day` has its one trade; None on days without one."""
        begins_ms = self.auction_ms(day)
        return None if begins_ms is None else begins_ms + _AUCTION_MATCH_MS

    def phases(self, *, at_ms: int) -> Phases:
        """The exchange's own words, as its feed and REST tell them."""
        if self.calendar is None:
            return _ALWAYS_OPEN
        at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(IST)
        statuses = {segment: self._status(segment, at) for segment in SEGMENTS}
        auction = self.auction_ms(at.date())
        closing = {}
        if auction is not None and at_ms >= auction:
            since = timedelta(milliseconds=at_ms - auction)
            ended = self.phase(CAS_MARKET, at_ms=at_ms) is not Phase.CLOSING_AUCTION
            said = [word for after, word in _AUCTION_STEPS if since >= after]
            closing["NSE_EQ"] = "NORMAL_CLOSE" if ended else said[-1]
        before = {
            segment: status for segment, status in statuses.items() if status.startswith("PRE_OPEN")
        }
        return Phases(statuses, closing, before)

    def _status(self, segment: str, at: datetime) -> str:
        assert self.calendar is not None
        # Currencies and commodities are not simulated; they keep the share market's hours.
        market = segment if segment in sessions.MARKETS else "BSE_EQ"
        for span in sessions.spans_on(market=market, day=at.date(), calendar=self.calendar):
            if not span.start <= at.time() < span.end:
                continue
            begun = at - datetime.combine(at.date(), span.start, IST)
            left = datetime.combine(at.date(), span.end, IST) - at
            if span.phase is Phase.PRE_OPEN:
                return "PRE_OPEN_START" if begun < _PRE_OPEN_COLLECTS else "PRE_OPEN_END"
            if span.phase is Phase.POST_CLOSE:
                return "CLOSING_START" if left <= _POST_CLOSE_SESSION else "NORMAL_CLOSE"
            return "NORMAL_OPEN"
        return "CLOSING_END"


@lru_cache(maxsize=64)
def _parts(spans: tuple[sessions.Span, ...]) -> tuple[tuple[int, int], ...]:
    return tuple(
        (_seconds(span.start), _seconds(span.end))
        for span in spans
        if span.phase is Phase.CONTINUOUS
    )


def _seconds(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60 + clock.second


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=IST)


ALWAYS: Final = Hours()
NSE: Final = Hours(
    opens_s=9 * 3600 + 15 * 60,
    length_s=375 * 60,
    calendar=Calendar.of(calendar_table.day_rules()),
)


def hours() -> Hours:
    """The timetable that the settings ask for: always open, or that of NSE."""
    return NSE if settings.MARKET_HOURS == "nse" else ALWAYS
