"""The calendar's rows: seeding, and reading them into the pure calendar."""

from datetime import date

from django.conf import settings
from django.db import transaction

from marketdata import calendar_table, sessions
from marketdata.models import CalendarDay
from marketdata.sessions import Calendar, DayRule


def seed() -> int:
    """Write the bundled table where a year has no row yet; how many rows were added.

    A year that an administrator has touched is left alone: a row removed there was removed on
    purpose.
    """
    with transaction.atomic():
        years = {row.year for row in CalendarDay.objects.values_list("session_date", flat=True)}
        rows = [
            CalendarDay(
                session_date=rule.session_date,
                description=rule.description,
                spans=sessions.format_spans(rule.spans),
                markets=",".join(rule.markets),
            )
            for rule in calendar_table.day_rules()
            if rule.session_date.year not in years
        ]
        CalendarDay.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def read() -> Calendar:
    """The calendar from the database and the settings.

    Years without a row follow the bundled table. A replayed day trades whenever it is played, an
    invented market never closes unless the settings give it hours; Upstox keeps NSE's.
    """
    rules: list[DayRule] = []
    years: set[int] = set()
    for row in CalendarDay.objects.order_by("session_date", "pk"):
        years.add(row.session_date.year)
        rules.append(
            DayRule(
                session_date=row.session_date,
                description=row.description,
                spans=sessions.parse_spans(row.spans),
                markets=tuple(row.markets.split(",")) if row.markets else (),
            )
        )
    rules += [rule for rule in calendar_table.day_rules() if rule.session_date.year not in years]
    # A rule for named markets is more particular than one for all: it is found first.
    rules.sort(key=lambda rule: (rule.session_date, not rule.markets))
    return Calendar.of(rules, always_open=always_open())


def always_open() -> bool:
    """Whether the settings ask for a market that never closes."""
    source, hours = settings.MARKET_SOURCE, settings.MARKET_HOURS
    return bool(source == "replay" or (source == "simulated" and hours == "always"))


def describe(*, day: date, calendar: Calendar) -> str:
    """Why `day` differs, "" when it does not."""
    return "; ".join(rule.description for rule in calendar.days.get(day, ()))
