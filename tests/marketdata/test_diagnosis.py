"""What the doctor says of the broker's token and the calendar."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest

from marketdata import diagnosis
from mockmarket.core.doctor import Level

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def token(expires: datetime) -> str:
    claims = json.dumps({"sub": "x", "exp": int(expires.timestamp())}).encode()
    return "e30." + urlsafe_b64encode(claims).decode().rstrip("=") + ".signature"


@pytest.mark.parametrize("text", ["", "simulated", "a.b.c", "e30.e30.x", "a." + "!" * 9 + ".c"])
def test_what_is_no_token_has_no_expiry(text: str) -> None:
    assert diagnosis.token_expiry(text) is None


@pytest.mark.parametrize(
    ("left", "level"),
    [
        (timedelta(hours=-1), Level.FAIL),
        (timedelta(hours=2), Level.WARN),
        (timedelta(hours=20), Level.OK),
    ],
)
def test_the_token_must_last_through_the_session(settings, left: timedelta, level: Level) -> None:
    settings.MARKET_SOURCE, settings.UPSTOX_ACCESS_TOKEN = "upstox", token(AT + left)
    (finding,) = diagnosis.check_token(AT)
    assert finding.level is level
    assert bool(finding.cure) == (level is not Level.OK)
    assert settings.UPSTOX_ACCESS_TOKEN not in finding.message


@pytest.mark.django_db
def test_a_year_without_holidays_is_found(settings) -> None:
    settings.MARKET_SOURCE = "upstox"
    (finding,) = diagnosis.check_calendar(AT.replace(month=3))
    assert finding.level is Level.OK
    (finding,) = diagnosis.check_calendar(AT.replace(year=2035))
    assert finding.level is Level.WARN
    assert "2035" in finding.message
