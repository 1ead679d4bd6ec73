"""What the doctor says of the broker's token and the calendar."""

import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from marketdata import broker, diagnosis
from mockmarket.core.doctor import Level
from mockmarket.core.models import User

AT = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


def token(expires: datetime) -> str:
    claims = json.dumps({"sub": "x", "exp": int(expires.timestamp())}).encode()
    return "e30." + urlsafe_b64encode(claims).decode().rstrip("=") + ".signature"


@pytest.mark.parametrize("text", ["", "simulated", "a.b.c", "e30.e30.x", "a." + "!" * 9 + ".c"])
def test_what_is_no_token_has_no_expiry(text: str) -> None:
    assert broker.token_expiry(text) is None


@pytest.fixture
def live(settings, db) -> User:
    """The live source, allowed by an administrator and able to keep a token."""
    settings.MARKET_SOURCE = "upstox"
    settings.BROKER_TOKEN_KEYS = [Fernet.generate_key().decode()]
    alice = User.objects.create_user("alice", is_staff=True)
    broker.acknowledge_live(user=alice, text=broker.ACKNOWLEDGEMENT, at=AT)
    return alice


@pytest.mark.parametrize(
    ("left", "level"),
    [
        (timedelta(hours=-1), Level.FAIL),
        (timedelta(hours=2), Level.WARN),
        (timedelta(hours=20), Level.OK),
    ],
)
def test_the_token_must_last_through_the_session(
    settings, live: User, left: timedelta, level: Level
) -> None:
    settings.UPSTOX_ACCESS_TOKEN = token(AT + left)
    (finding,) = diagnosis.check_token(AT)
    assert finding.level is level
    assert bool(finding.cure) == (level is not Level.OK)
    assert settings.UPSTOX_ACCESS_TOKEN not in finding.message


def test_a_daily_token_is_no_complaint_after_the_session(settings, live: User) -> None:
    evening = AT + timedelta(hours=10)  # 18:30 in India
    settings.UPSTOX_ACCESS_TOKEN = token(broker.daily_expiry(at=evening))
    (finding,) = diagnosis.check_token(evening)
    assert finding.level is Level.OK


@pytest.mark.parametrize(("days", "level"), [(5, Level.WARN), (60, Level.OK)])
def test_one_connected_in_the_admin_goes_before_the_setting(
    settings, live: User, days: int, level: Level
) -> None:
    settings.UPSTOX_ACCESS_TOKEN = token(AT - timedelta(days=1))
    broker.paste_analytics_token(user=live, token=token(AT + timedelta(days=days)), at=AT)
    (finding,) = diagnosis.check_token(AT)
    assert finding.level is level


def test_no_token_at_all_is_found(settings, live: User) -> None:
    settings.UPSTOX_ACCESS_TOKEN = "simulated"
    (finding,) = diagnosis.check_token(AT)
    assert finding.level is Level.FAIL
    assert "none is connected" in finding.message


@pytest.mark.django_db
def test_a_live_source_that_nobody_allowed_is_found(settings) -> None:
    settings.MARKET_SOURCE = "upstox"
    (finding,) = diagnosis.check_token(AT)
    assert finding.level is Level.FAIL
    assert "broker-token.md" in finding.cure


@pytest.mark.django_db
def test_a_year_without_holidays_is_found(settings) -> None:
    settings.MARKET_SOURCE = "upstox"
    (finding,) = diagnosis.check_calendar(AT.replace(month=3))
    assert finding.level is Level.OK
    (finding,) = diagnosis.check_calendar(AT.replace(year=2035))
    assert finding.level is Level.WARN
    assert "2035" in finding.message
