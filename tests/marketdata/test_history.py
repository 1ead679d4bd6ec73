"""Charts: stored minutes, the forming one, gaps filled from the exchange's history."""

from datetime import timedelta

import msgspec
import pytest
from django.core.cache import cache

from marketdata import history, mirror, selectors, storage
from marketdata.candles import Bar
from marketdata.models import Candle, Instrument
from mockmarket.core import clock
from mockmarket.core import redis as store
from tests.support.exchange import RELIANCE, exchange

pytestmark = pytest.mark.django_db


@pytest.fixture
def reliance(settings):
    settings.MARKET_HOURS = "always"
    settings.UPSTOX_REST_URL = "http://127.0.0.1:9"
    cache.clear()
    store.client().delete(store.key("minutes"), store.key("board"))
    mirror.mirror.cache_clear()
    selectors.forget()
    yield Instrument.objects.create(
        key=RELIANCE, symbol="RELIANCE", name="Reliance", exchange="NSE", segment="NSE_EQ",
        instrument_type="EQ", in_universe=True,
    )  # fmt: skip
    cache.clear()
    store.client().delete(store.key("minutes"))
    selectors.forget()


def minute(ago: int, price: float, volume: int = 10) -> Bar:
    now = clock.now_ms()
    return Bar(now - now % 60_000 - ago * 60_000, price, price + 1, price - 1, price, volume)


def test_stored_minutes_and_the_forming_one_in_order(reliance):
    storage.store_minutes(bars=[(RELIANCE, minute(2, 100.0)), (RELIANCE, minute(1, 101.0))])
    forming = {RELIANCE: msgspec.to_builtins(minute(0, 102.0))}
    store.client().set(store.key("minutes"), msgspec.msgpack.encode(forming), ex=10)
    at = clock.now()
    rows = history.candles(
        instrument=reliance, interval="1m", start=at - timedelta(minutes=10),
        end=at + timedelta(minutes=1), at=at,
    )  # fmt: skip
    assert [row[4] for row in rows] == [100.0, 101.0, 102.0]
    longer = history.candles(
        instrument=reliance, interval="1d", start=at - timedelta(days=2), end=at, at=at
    )
    assert longer == []


def test_a_bar_written_twice_is_one_row(reliance):
    bar = minute(1, 100.0)
    storage.store_minutes(bars=[(RELIANCE, bar)])
    bar.add(105.0, 7)
    storage.store_minutes(bars=[(RELIANCE, bar), ("NSE_EQ|UNKNOWN", bar)])
    stored = Candle.objects.get()
    assert (float(stored.high), float(stored.close), stored.volume) == (105.0, 105.0, 17)


def test_gaps_are_filled_from_the_exchange_once(reliance, settings):
    at = clock.now()
    with exchange() as server:
        settings.UPSTOX_REST_URL = server.rest_url
        day = at - timedelta(days=1)
        rows = history.candles(
            instrument=reliance, interval="5m", start=day - timedelta(hours=1), end=day, at=at
        )
        assert len(rows) in (12, 13)
        stored = Candle.objects.filter(interval="1m").count()
        assert stored >= 60
    # The exchange is gone: what was fetched stays, and nobody asks again.
    again = history.candles(
        instrument=reliance, interval="5m", start=day - timedelta(hours=1), end=day, at=at
    )
    assert again == rows


def test_outside_the_service_window_nothing_is_asked(reliance, settings, monkeypatch):
    settings.MARKET_HOURS = "nse"
    selectors.forget()
    monkeypatch.setattr(history.rest, "Client", lambda **_: pytest.fail("called upstream"))
    night = clock.now().replace(hour=20)
    for interval in ("1m", "1d"):
        rows = history.candles(
            instrument=reliance, interval=interval, start=night - timedelta(days=3), end=night,
            at=night,
        )  # fmt: skip
        assert rows == []


def test_an_unknown_interval_is_refused_by_name(reliance):
    at = clock.now()
    with pytest.raises(history.UnknownInterval):
        history.candles(instrument=reliance, interval="2m", start=at, end=at, at=at)
