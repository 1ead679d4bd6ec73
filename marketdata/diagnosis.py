"""What `manage.py doctor` asks of the market: the broker's token and the calendar's reach."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from marketdata import broker, calendar, calendar_table
from marketdata.models import BrokerToken, CalendarDay, Instrument
from mockmarket.core.clock import IST
from mockmarket.core.doctor import Check, Finding, Level

ANALYTICS_LEFT_WANTED = timedelta(days=14)
CALENDAR_AHEAD = timedelta(days=45)


def check_token(at: datetime) -> Iterable[Finding]:
    """The live source is allowed, and has a token that lasts through the session."""
    if settings.MARKET_SOURCE != "upstox":
        yield Finding(check="broker token", level=Level.OK, message="none needed here")
        return
    try:
        token = broker.current_token(at=at)
    except (broker.NotAcknowledged, broker.NoKey) as error:
        cure = "See docs/operations/broker-token.md, before the first day."
        yield Finding(check="broker token", level=Level.FAIL, message=error.message, cure=cure)
        return
    kept = broker.status(at=at)
    expires = kept.expires_at or broker.token_expiry(token)
    if expires is None:
        level, message = Level.FAIL, "none is connected, and UPSTOX_ACCESS_TOKEN is no token"
    elif expires <= at:
        level, message = Level.FAIL, f"expired at {_shown(expires)}"
    else:
        level = Level.WARN if _ends_soon(expires, kept.kind, at) else Level.OK
        message = f"valid until {_shown(expires)}"
    yield Finding(
        check="broker token",
        level=level,
        message=message,
        cure="" if level is Level.OK else "Connect Upstox in the admin before 09:00 IST.",
    )


def _ends_soon(expires: datetime, kind: str, at: datetime) -> bool:
    """Whether it ends before the day's session does, or a year's token within the fortnight."""
    if kind == BrokerToken.Kind.ANALYTICS:
        return expires - at < ANALYTICS_LEFT_WANTED
    return at < expires < broker.session_end(at=at)


def _shown(moment: datetime) -> str:
    return f"{moment.astimezone(IST):%d %b %H:%M} IST"


def check_calendar(at: datetime) -> Iterable[Finding]:
    """Holidays are known for as far ahead as anybody plans."""
    if calendar.always_open():
        yield Finding(check="calendar", level=Level.OK, message="the market never closes here")
        return
    known = {day.year for day in CalendarDay.objects.values_list("session_date", flat=True)}
    known |= {rule.session_date.year for rule in calendar_table.day_rules()}
    wanted = {at.astimezone(IST).year, (at + CALENDAR_AHEAD).astimezone(IST).year}
    missing = sorted(wanted - known)
    yield Finding(
        check="calendar",
        level=Level.WARN if missing else Level.OK,
        message=f"no holidays of {missing[0]}" if missing else f"known to the end of {max(known)}",
        cure="Enter the exchange's circular under Market, Calendar in the admin."
        if missing
        else "",
    )


def check_instruments(at: datetime) -> Iterable[Finding]:
    """There is something to trade."""
    count = Instrument.objects.count()
    yield Finding(
        check="instruments",
        level=Level.OK if count else Level.FAIL,
        message=f"{count} known",
        cure="" if count else "Run `manage.py seed_market`.",
    )


CHECKS = (
    Check("broker token", check_token, needs=("database", "migrations")),
    Check("calendar", check_calendar, needs=("database", "migrations")),
    Check("instruments", check_instruments, needs=("database", "migrations")),
)
