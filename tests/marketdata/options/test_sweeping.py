"""The sweep's turn: within the window, one call a chain, stopping at a closed door."""

from datetime import UTC, datetime, timedelta

import pytest

from marketdata import fetching, selectors, sessions
from marketdata.models import OptionChainSnapshot
from marketdata.options import services, sweeping
from marketdata.upstox import rest
from mockmarket.core import redis
from tests.support.options import AT, EXPIRY, Exchange, listed_nifty

pytestmark = pytest.mark.django_db

NIGHT = datetime(2026, 11, 20, 20, 0, tzinfo=UTC)  # 01:30 in India
AFTER_CLOSE = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)  # 16:00 in India


@pytest.fixture(autouse=True)
def _real_hours(monkeypatch):
    """The exchange's own hours, and a Redis without what other tests left, or this one."""
    monkeypatch.setattr(selectors, "calendar", lambda: sessions.Calendar.of([]))
    _forget()
    yield
    _forget()


def _forget():
    client = redis.client()
    for pattern in (redis.key("chain", "*"), redis.key("upstox", "*"), redis.key("alarm*")):
        for key in client.scan_iter(pattern):
            client.delete(key)


class ClosedDoor(Exchange):
    def option_chain(self, underlying_key, expiry_date):
        self.calls += 1
        raise rest.Unauthorised("token refused")


class Babel(Exchange):
    def option_chain(self, underlying_key, expiry_date):
        self.calls += 1
        return []


def test_a_turn_sweeps_what_is_due_once():
    listed_nifty()
    exchange = Exchange()
    assert sweeping.sweep_due(at=AT, source=exchange) == sweeping.Turn(1, 0)
    assert sweeping.sweep_due(at=AT, source=exchange) == sweeping.Turn(0, 0)
    assert exchange.calls == 1


def test_outside_the_window_nothing_is_asked():
    listed_nifty()
    exchange = Exchange()
    assert sweeping.sweep_due(at=NIGHT, source=exchange) == sweeping.Turn(0, 0)
    assert exchange.calls == 0


def test_a_refused_token_stops_the_sweeps():
    listed_nifty()
    door = ClosedDoor()
    assert sweeping.sweep_due(at=AT, source=door).failed == 1
    assert fetching.token_refused()
    assert sweeping.sweep_due(at=AT, source=door) == sweeping.Turn(0, 0)
    assert door.calls == 1


def test_an_unreadable_answer_is_counted_and_changes_nothing():
    listed_nifty()
    assert sweeping.sweep_due(at=AT, source=Babel()) == sweeping.Turn(0, 1)
    assert not OptionChainSnapshot.objects.exists()


def test_closes_are_kept_once_after_the_final_close():
    nifty = listed_nifty()
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    assert sweeping.close_due(at=AT) == 0
    assert sweeping.close_due(at=AFTER_CLOSE) == 1
    assert sweeping.close_due(at=AFTER_CLOSE + timedelta(minutes=1)) == 0
