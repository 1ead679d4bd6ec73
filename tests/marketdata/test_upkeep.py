"""The reconciler: each minute, what should be true by now is made true, whatever step fails."""

import http.server
import threading
from datetime import datetime, timedelta

import pytest
import requests

from marketdata import broker, closing, instruments, mirror, selectors, upkeep
from marketdata import services as listings
from marketdata.models import Candle, Instrument, NewsItem, NewsSource
from mockmarket.core import alarms
from mockmarket.core import redis as store
from mockmarket.core.clock import IST
from mockmarket.core.models import JobRun
from tests.support.exchange import HDFC, exchange

pytestmark = pytest.mark.django_db
OPEN = datetime(2026, 11, 20, 10, tzinfo=IST)
NIGHT = datetime(2026, 11, 20, 22, tzinfo=IST)


@pytest.fixture(autouse=True)
def _real_hours(settings):
    settings.MARKET_HOURS = "nse"
    store.client().delete(store.key("alarms"))
    selectors.forget()
    mirror.mirror.cache_clear()
    yield
    store.client().delete(store.key("alarms"))
    selectors.forget()
    mirror.mirror.cache_clear()


@pytest.fixture
def share() -> Instrument:
    return Instrument.objects.create(
        key=HDFC, symbol="HDFCBANK", name="HDFC Bank", exchange="NSE", segment="NSE_EQ",
        instrument_type="EQ", in_universe=True, cas_eligible=True,
    )  # fmt: skip


def test_the_days_instrument_file_comes_once_and_only_in_the_window(settings, share):
    with exchange() as server:
        settings.UPSTOX_REST_URL = server.rest_url
        assert upkeep.reconcile(at=NIGHT)["instruments"] is None
        assert not Instrument.objects.filter(segment="NSE_FO").exists()
        first = upkeep.reconcile(at=OPEN)["instruments"]
        assert isinstance(first, listings.SyncResult)
        assert first.added == Instrument.objects.filter(segment="NSE_FO").count() > 1_000
        assert upkeep.reconcile(at=OPEN + timedelta(minutes=1))["instruments"] is None


def test_the_live_source_brings_bse_s_contracts_too_and_a_replay_nothing(
    settings, share, monkeypatch
):
    asked, synced = [], []

    class Files(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    def sync(*, data, segments):
        synced.append(set(segments))
        return listings.SyncResult(1, 0, 0, 0, {"broken": 1})

    monkeypatch.setattr(listings, "sync_instruments", sync)
    with http.server.HTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(listings, "UPSTOX_INSTRUMENTS_URL", url)
        settings.MARKET_SOURCE = "replay"
        assert upkeep.reconcile(at=OPEN)["instruments"] is None
        assert asked == []
        settings.MARKET_SOURCE = "upstox"
        found = listings.refresh_instruments()
        server.shutdown()
    assert asked == ["/NSE.json.gz", "/BSE.json.gz"]
    assert synced == [{*instruments.SHARES, "NSE_FO"}, {"BSE_FO"}]
    assert (found.added, found.skipped["broken"]) == (2, 2)


def test_a_step_that_fails_raises_its_alarm_is_tried_again_and_stops_no_other(
    settings, share, monkeypatch
):
    def down():
        raise requests.ConnectionError("no route")

    monkeypatch.setattr(listings, "refresh_instruments", down)
    monkeypatch.setattr(closing, "rest_quotes", lambda keys: [])
    for minute in range(2):  # the claim was taken back, so the second minute tries too
        done = upkeep.reconcile(at=OPEN + timedelta(minutes=minute))
        assert "no route" in str(done["instruments"])
        assert set(done) == {
            "backups", "broker-token", "closing", "option-closes", "instruments", "prune",
        }  # fmt: skip
    assert [alarm.name for alarm in alarms.current()] == ["upkeep:instruments"]
    assert JobRun.objects.filter(job="prune").count() == 1
    monkeypatch.setattr(listings, "refresh_instruments", lambda: "done")
    assert upkeep.reconcile(at=OPEN + timedelta(minutes=3))["instruments"] == "done"
    assert alarms.current() == []


def test_the_brokers_token_is_watched_and_the_close_is_taken(settings, share, monkeypatch):
    settings.MARKET_SOURCE = "upstox"
    monkeypatch.setattr(listings, "refresh_instruments", lambda: None)
    upkeep.reconcile(at=OPEN)
    assert broker.ALARM in {alarm.name for alarm in alarms.current()}
    settings.MARKET_SOURCE = "simulated"
    with exchange() as server:
        settings.UPSTOX_REST_URL = server.rest_url
        at = datetime.now(IST)
        # Whatever today is: the newest session whose close is known has its snapshot.
        upkeep.reconcile(at=at)
    assert JobRun.objects.filter(job=closing.job_name("NSE_EQ_CAS")).exists()


def test_old_minutes_and_headlines_go_and_days_stay(settings, share):
    old = OPEN - timedelta(days=settings.MINUTE_CANDLE_DAYS + 1)
    for interval, start in (("1m", old), ("1d", old), ("1m", OPEN)):
        Candle.objects.create(
            instrument=share, interval=interval, start=start, open=1, high=1, low=1, close=1
        )
    source = NewsSource.objects.create(name="n", url="https://example.com/rss")
    for days in (settings.NEWS_DAYS + 1, 1):
        NewsItem.objects.create(
            source=source, guid=str(days), title="t", link="https://example.com",
            published_at=OPEN - timedelta(days=days), fetched_at=OPEN,
        )  # fmt: skip
    assert upkeep.prune(at=OPEN) == 2
    assert set(Candle.objects.values_list("interval", "start")) == {("1d", old), ("1m", OPEN)}
    assert NewsItem.objects.count() == 1
