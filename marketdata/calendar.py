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

    Years without a row follow the bundled table. Only an invented or replayed market may be
    always open; Upstox keeps NSE's hours.
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
    always = settings.MARKET_HOURS == "always" and settings.MARKET_SOURCE != "upstox"
    return Calendar.of(rules, always_open=always)


def describe(*, day: date, calendar: Calendar) -> str:
    """Why `day` differs, "" when it does not."""
    return "; ".join(rule.description for rule in calendar.days.get(day, ()))
