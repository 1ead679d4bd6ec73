"""The fetchers over a simulated week: how many calls, and when."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from marketdata import fetching, mirror, selectors
from marketdata.models import Instrument
from marketdata.upstox import rest
from mockmarket.core import alarms
from mockmarket.core import redis as store
from mockmarket.core.clock import IST

pytestmark = pytest.mark.django_db


class Claims:
    """Redis's SET NX PX under a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.until: dict[str, int] = {}

    def claim(self, name: str, *, every_ms: int) -> bool:
        if self.until.get(name, 0) > self.now_ms:
            return False
        self.until[name] = self.now_ms + every_ms - fetching.CLAIM_SLACK_MS
        return True


class Upstream:
    """Counts calls and keys."""

    def __init__(self) -> None:
        self.calls: list[list[str]] = []
        self.error: rest.UpstoxError | None = None

    def quotes(self, keys):
        self.calls.append(list(keys))
        if self.error:
            raise self.error
        return []


@pytest.fixture
def universe(settings):
    """2,200 shares, real hours, no engine."""
    settings.MARKET_HOURS = "nse"
    store.client().delete(store.key("upstox", "refused"), store.key("alarms"))
    Instrument.objects.bulk_create(
        Instrument(
            key=f"NSE_EQ|{number:05}", symbol=f"S{number}", name="", exchange="NSE",
            segment="NSE_EQ", instrument_type="EQ", in_universe=True,
        )
        for number in range(2_200)
    )  # fmt: skip
    mirror.mirror.cache_clear()
    selectors.forget()
    yield
    store.client().delete(store.key("upstox", "refused"), store.key("alarms"))
    mirror.mirror.cache_clear()
    selectors.forget()


def test_a_week_costs_720_calls_an_hour_in_session_and_none_outside(universe, monkeypatch):
    claims, upstream = Claims(), Upstream()
    monkeypatch.setattr(fetching, "claim", claims.claim)
    calls: Counter[tuple[int, int]] = Counter()
    keys_of_window: dict[int, set[str]] = {}
    monday = datetime(2026, 11, 23, tzinfo=IST).astimezone(UTC)
    calendar = selectors.calendar()
    monkeypatch.setattr(selectors, "calendar", lambda: calendar)
    monkeypatch.setattr(selectors, "movers", lambda **_: [])
    monkeypatch.setattr(fetching, "token_refused", lambda: False)
    at = monday
    while at < monday + timedelta(days=7):
        claims.now_ms = round(at.timestamp() * 1000)
        upstream.calls.clear()
        # Two beats run: the second must find nothing to do.
        for _ in range(2):
            fetching.fetch_due(at=at, client=upstream)
        if upstream.calls:
            local = at.astimezone(IST)
            calls[(local.weekday(), local.hour)] += len(upstream.calls)
            assert all(len(keys) <= 500 for keys in upstream.calls)
            if local.weekday() == 0:
                window = int(at.timestamp()) // 120
                keys_of_window.setdefault(window, set()).update(*upstream.calls)
        # Monday's session by the beat, everything else by the minute.
        local = at.astimezone(IST)
        busy = local.weekday() == 0 and 9 <= local.hour < 16
        at += timedelta(seconds=5) if busy else timedelta(minutes=1)
    # Tuesday 24 November is a holiday.
    assert {day for day, _ in calls} == {0, 2, 3, 4}
    assert {hour for _, hour in calls} == set(range(9, 16))
    assert max(calls.values()) <= 720
    assert calls[(0, 10)] == 720
    # 09:13 to 10:00 and 15:00 to 15:35.
    assert (calls[(0, 9)], calls[(0, 15)]) == (47 * 12, 35 * 12)
    full = [keys for keys in keys_of_window.values() if len(keys) == 2_209]
    assert len(full) >= 188  # each two minutes of Monday's 6:22 hours, but for the ends


def test_a_refused_token_stops_every_call_until_it_changes(universe, settings):
    for name in ("indices", "active"):
        store.client().delete(store.key("fetch", name))
    upstream = Upstream()
    upstream.error = rest.Unauthorised("401 UDAPI100050")
    at = datetime(2026, 11, 20, 10, tzinfo=IST)
    for _ in range(3):
        store.client().delete(store.key("fetch", "indices"))
        fetching.fetch_due(at=at, client=upstream)
    assert len(upstream.calls) == 1
    assert [alarm.name for alarm in alarms.current()] == ["upstox-token"]
    upstream.error, settings.UPSTOX_ACCESS_TOKEN = None, "renewed"
    store.client().delete(store.key("fetch", "indices"))
    fetching.fetch_due(at=at, client=upstream)
    assert len(upstream.calls) == 2
    assert alarms.current() == []
    store.client().delete(store.key("fetch", "indices"))


def test_an_upstream_error_is_not_fatal(universe):
    store.client().delete(store.key("fetch", "indices"))
    upstream = Upstream()
    upstream.error = rest.Unavailable("503")
    at = datetime(2026, 11, 20, 10, tzinfo=IST)
    assert fetching.fetch_due(at=at, client=upstream) == fetching.Swept(1, 0)
    store.client().delete(store.key("fetch", "indices"))
