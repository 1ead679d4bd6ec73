"""The calendar against a table written by hand, minute by minute, and against a library."""

from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import holidays
import pytest

from marketdata import calendar_table, sessions
from marketdata.sessions import (
    ALWAYS_OPEN,
    CAS_MARKET,
    Calendar,
    DayRule,
    Phase,
    Span,
    SpansError,
    format_spans,
    parse_spans,
)
from mockmarket.core.clock import IST
from tests.support.zones import ZONES, server_zone

__all__ = ["server_zone"]

CALENDAR = Calendar.of(calendar_table.day_rules())

# --- The hand-written table: nothing below is derived from the code under test -----------
NO_TRADING = """
2024: 01-22 01-26 03-08 03-25 03-29 04-11 04-17 05-01 05-20 06-17 07-17 08-15 10-02 11-15 11-20 12-25
2025: 02-26 03-14 03-31 04-10 04-14 04-18 05-01 08-15 08-27 10-02 10-22 11-05 12-25
2026: 01-15 01-26 03-03 03-26 03-31 04-03 04-14 05-01 05-28 06-26 09-14 10-02 10-20 11-10 11-24 12-25
"""  # noqa: E501
CLOSED = {
    f"{line[:4]}-{word}" for line in NO_TRADING.strip().splitlines() for word in line[5:].split()
}
DRILL = "P 0900 C 0915 - 1000 P 1115 C 1130 A 1230 - 1300"
FULL = "P 0900 C 0915 A 1530 - 1600"
SPECIAL = {
    "2024-01-20": FULL,
    "2024-03-02": DRILL,
    "2024-05-18": DRILL,
    "2024-11-01": "P 1745 C 1800 - 1900",
    "2025-02-01": FULL,
    "2025-10-21": "P 1330 C 1345 - 1445",
    "2026-02-01": FULL,
    "2026-11-08": "P 1745 C 1800 - 1900",
}
# market -> (from this day on, the regular day); letters: Pre-open, Continuous, closing aUction,
# After (post-close), - closed; each until the next time.
REGULAR = {
    "NSE_EQ": [("2024-01-01", FULL)],
    CAS_MARKET: [("2024-01-01", FULL), ("2026-08-03", "P 0900 C 0915 U 1515 A 1535 - 1600")],
    "NSE_INDEX": [("2024-01-01", "C 0915 - 1530"), ("2026-08-03", "C 0915 U 1515 - 1535")],
    "NSE_FO": [
        ("2024-01-01", "C 0915 - 1530"),
        ("2025-12-08", "P 0900 C 0915 - 1530"),
        ("2026-08-03", "P 0900 C 0915 - 1540"),
    ],
}
LETTERS = {
    "P": Phase.PRE_OPEN,
    "C": Phase.CONTINUOUS,
    "U": Phase.CLOSING_AUCTION,
    "A": Phase.POST_CLOSE,
    "-": Phase.CLOSED,
}


@cache
def minutes_of(text: str) -> list[Phase]:
    """1,440 phases of a day from its line of the table."""
    found = [Phase.CLOSED] * 1440
    words = text.split()
    for letter, clock in zip(words[::2], words[1::2], strict=True):
        start = int(clock[:2]) * 60 + int(clock[2:])
        found[start:] = [LETTERS[letter]] * (1440 - start)
    return found


def expected_day(market: str, day: date) -> list[Phase]:
    """The phases of `day` by the hand-written table."""
    if day.isoformat() in SPECIAL:
        text = SPECIAL[day.isoformat()]
        if market == "NSE_INDEX":
            text = text.replace("P", "-").replace("A", "-")
        return minutes_of(text)
    if day.isoformat() in CLOSED or day.weekday() >= 5:
        return minutes_of("")
    return minutes_of([text for since, text in REGULAR[market] if since <= day.isoformat()][-1])


@pytest.mark.parametrize("server_zone", ZONES, indirect=True)
def test_every_minute_of_three_years_agrees_with_the_table(server_zone):
    """Every market, 25 million instants in all: a day's minutes are made once for all markets,
    and a day's expected phases once for all days of the same line of the table."""
    zone = ZoneInfo(server_zone)
    day, mismatches = date(2024, 1, 1), []
    while day <= date(2026, 12, 31):
        midnight = int(datetime(day.year, day.month, day.day, tzinfo=IST).timestamp())
        minutes = [datetime.fromtimestamp(midnight + 60 * minute, zone) for minute in range(1440)]
        for market in REGULAR:
            found = [sessions.phase(market=market, at=at, calendar=CALENDAR) for at in minutes]
            if found != expected_day(market, day):
                mismatches.append((market, day))
        day += timedelta(days=1)
    assert mismatches == []


@pytest.mark.parametrize("market", list(REGULAR))
def test_control_a_phase_that_begins_a_minute_late_is_seen(market):
    spans = sessions.spans_on(market=market, day=date(2026, 11, 20), calendar=CALENDAR)
    late = [Span(s.phase, s.start.replace(minute=s.start.minute + 1), s.end) for s in spans]
    calendar = Calendar.of([DayRule(date(2026, 11, 20), "late", tuple(late), (market,))])
    midnight = datetime(2026, 11, 20, tzinfo=IST)
    found = [
        sessions.phase(market=market, at=midnight + timedelta(minutes=minute), calendar=calendar)
        for minute in range(1440)
    ]
    assert found != expected_day(market, date(2026, 11, 20))


# --- The library ------------------------------------------------------------------------
# Every day on which the `holidays` library and our table differ, and why ours is right.
DISAGREEMENTS = {
    "2024-01-22": "ours: declared on 19 January 2024 by the state; the library has no special days",
    "2024-05-20": "ours: poll day in Mumbai, NSE circular of 8 April 2024",
    "2024-11-20": "ours: assembly poll day in Mumbai, NSE circular of 8 November 2024",
    "2026-01-15": "ours: municipal poll day in Mumbai, declared in January 2026",
    "2024-11-01": "library: Diwali; there is an evening session, so ours is a special day",
    "2025-10-21": "library: Diwali; there is an afternoon session, so ours is a special day",
}


def test_every_disagreement_with_the_holidays_library_has_a_reason():
    library = {
        day.isoformat() for day in holidays.financial_holidays("XNSE", years=range(2024, 2027))
    }
    ours = {day for day, _ in calendar_table.HOLIDAYS}
    assert library ^ ours == set(DISAGREEMENTS)


def test_no_special_session_is_also_a_holiday():
    days = [day for day, _ in calendar_table.HOLIDAYS]
    assert len(days) == len(set(days))
    assert not set(days) & {day for day, _, _ in calendar_table.SPECIAL_SESSIONS}


# --- Around the phases ------------------------------------------------------------------
def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


class TestServiceWindow:
    @pytest.mark.parametrize(
        ("at", "market", "inside"),
        [
            ("2026-07-31T09:12:59", "NSE_EQ", False),
            ("2026-07-31T09:13:00", "NSE_EQ", True),
            ("2026-07-31T15:29:59", "NSE_EQ", True),
            ("2026-07-31T15:30:00", "NSE_EQ", False),
            ("2026-08-03T15:34:59", CAS_MARKET, True),
            ("2026-08-03T15:35:00", CAS_MARKET, False),
            ("2026-08-03T15:31:00", "NSE_EQ", False),
            ("2024-03-02T10:30:00", "NSE_EQ", False),
            ("2024-03-02T11:28:00", "NSE_EQ", True),
            ("2026-11-24T11:00:00", "NSE_EQ", False),
            ("2026-11-22T11:00:00", "NSE_EQ", False),
        ],
    )
    def test_it_opens_two_minutes_early_and_ends_at_the_close(self, at, market, inside):
        assert sessions.in_service(market=market, at=ist(at), calendar=CALENDAR) is inside

    def test_a_session_in_two_parts_has_two_windows(self):
        windows = sessions.service_windows(market="NSE_EQ", day=date(2024, 3, 2), calendar=CALENDAR)
        assert [
            (a.astimezone(IST).strftime("%H:%M"), b.astimezone(IST).strftime("%H:%M"))
            for a, b in windows
        ] == [("09:13", "10:00"), ("11:28", "12:30")]


class TestFinalClose:
    @pytest.mark.parametrize(
        ("day", "market", "close"),
        [
            (date(2026, 7, 31), CAS_MARKET, "15:30"),
            (date(2026, 8, 3), CAS_MARKET, "15:35"),
            (date(2026, 8, 3), "NSE_EQ", "15:30"),
            (date(2026, 8, 3), "NSE_FO", "15:40"),
            (date(2024, 3, 2), "NSE_EQ", "12:30"),
            (date(2026, 11, 8), CAS_MARKET, "19:00"),
        ],
    )
    def test_it_is_the_end_of_the_last_trading_span(self, day, market, close):
        found = sessions.final_close(market=market, day=day, calendar=CALENDAR)
        assert found is not None
        assert found.astimezone(IST).strftime("%H:%M") == close

    def test_a_holiday_has_none(self):
        day = date(2026, 11, 24)
        assert sessions.final_close(market="NSE_EQ", day=day, calendar=CALENDAR) is None


class TestSessionDate:
    @pytest.mark.parametrize(
        ("at", "session"),
        [
            ("2026-11-20T00:00:00", date(2026, 11, 20)),
            ("2026-11-20T23:59:59", date(2026, 11, 20)),
            ("2026-11-21T12:00:00", date(2026, 11, 20)),  # Saturday
            ("2026-11-24T12:00:00", date(2026, 11, 23)),  # holiday
            ("2026-11-08T12:00:00", date(2026, 11, 8)),  # Sunday with Muhurat
        ],
    )
    def test_closed_days_belong_to_the_session_before(self, at, session):
        assert sessions.session_date(market="NSE_EQ", at=ist(at), calendar=CALENDAR) == session

    def test_neighbours_skip_closed_days(self):
        day = date(2026, 11, 23)
        after = sessions.next_session(market="NSE_EQ", day=day, calendar=CALENDAR)
        before = sessions.previous_session(market="NSE_EQ", day=day, calendar=CALENDAR)
        assert (before, after) == (date(2026, 11, 20), date(2026, 11, 25))


class TestNextOpen:
    @pytest.mark.parametrize(
        ("at", "opens"),
        [
            ("2026-11-20T09:00:00", "2026-11-20T09:15:00"),
            ("2026-11-20T15:30:00", "2026-11-23T09:15:00"),
            ("2026-11-23T16:00:00", "2026-11-25T09:15:00"),
            ("2024-03-02T10:30:00", "2024-03-02T11:30:00"),
        ],
    )
    def test_it_finds_the_next_continuous_trading(self, at, opens):
        found = sessions.next_open(market="NSE_EQ", at=ist(at), calendar=CALENDAR)
        assert found == ist(opens)

    def test_it_is_none_while_trading(self):
        at = ist("2026-11-20T10:00:00")
        assert sessions.next_open(market="NSE_EQ", at=at, calendar=CALENDAR) is None


class TestAlwaysOpen:
    def test_every_instant_is_continuous_trading_in_service(self):
        at = datetime(2026, 11, 22, 3, tzinfo=UTC)
        assert sessions.phase(market="NSE_EQ", at=at, calendar=ALWAYS_OPEN) is Phase.CONTINUOUS
        assert sessions.in_service(market="NSE_EQ", at=at, calendar=ALWAYS_OPEN)
        assert sessions.session_date(market="NSE_EQ", at=at, calendar=ALWAYS_OPEN) == date(
            2026, 11, 22
        )


class TestSpans:
    def test_text_and_spans_round_trip(self):
        text = "PRE_OPEN 17:45-18:00, CONTINUOUS 18:00-19:00"
        assert format_spans(parse_spans(text)) == text
        assert parse_spans("") == ()

    @pytest.mark.parametrize(
        "text",
        [
            "18:00-19:00",
            "CONTINUOUS 19:00-18:00",
            "OPEN 09:00-10:00",
            "CONTINUOUS 9-10",
            "CONTINUOUS 09:15-10:00, CONTINUOUS 09:30-11:00",
            "CLOSED 09:00-10:00",
        ],
    )
    def test_what_cannot_be_read_is_refused(self, text):
        with pytest.raises(SpansError):
            parse_spans(text)

    def test_a_rule_for_some_markets_leaves_the_others(self):
        day = date(2026, 11, 20)
        calendar = Calendar.of([DayRule(day, "derivatives closed", (), ("NSE_FO",))])
        assert not sessions.is_session(market="NSE_FO", day=day, calendar=calendar)
        assert sessions.is_session(market="NSE_EQ", day=day, calendar=calendar)
