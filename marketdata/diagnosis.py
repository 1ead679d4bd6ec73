"""What `manage.py doctor` asks of the market: the broker's token and the calendar's reach."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings

from marketdata import calendar, calendar_table
from marketdata.models import CalendarDay, Instrument
from mockmarket.core.clock import IST, from_ms
from mockmarket.core.doctor import Finding, Level

TOKEN_LEFT_WANTED = timedelta(hours=10)
CALENDAR_AHEAD = timedelta(days=45)


def check_token(at: datetime) -> Iterable[Finding]:
    """The live source has a token that lasts through the session."""
    if settings.MARKET_SOURCE != "upstox":
        yield Finding(check="broker token", level=Level.OK, message="none needed here")
        return
    expires = token_expiry(settings.UPSTOX_ACCESS_TOKEN)
    if expires is None:
        level, message = Level.FAIL, "UPSTOX_ACCESS_TOKEN is not a token of Upstox"
    elif expires <= at:
        level, message = Level.FAIL, f"expired at {expires.astimezone(IST):%d %b %H:%M} IST"
    else:
        level = Level.WARN if expires - at < TOKEN_LEFT_WANTED else Level.OK
        message = f"valid until {expires.astimezone(IST):%d %b %H:%M} IST"
    yield Finding(
        check="broker token",
        level=level,
        message=message,
        cure="" if level is Level.OK else "Renew it before 09:00 IST: docs/operations/alarms.md.",
    )


def token_expiry(token: str) -> datetime | None:
    """When a JWT says that it ends; None when it is not one. Pure; the signature is not ours."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return from_ms(int(claims["exp"]) * 1000)
    except (IndexError, ValueError, KeyError, TypeError):
        return None


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
        cure="Enter the exchange's circular under Calendar days in the admin." if missing else "",
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


CHECKS = (check_token, check_calendar, check_instruments)
