"""Analysis, comparison, the screen and index members over REST."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache

from marketdata import research
from marketdata.models import Candle, IndexMember, Instrument
from mockmarket.core import clock
from mockmarket.core.models import User
from tests.support.api import client_of, index, live_market, share, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return student("alice")


def history(row: Instrument, *, days: int) -> None:
    start = clock.now() - timedelta(days=days)
    Candle.objects.bulk_create(
        Candle(
            instrument=row,
            interval=Candle.Interval.DAY,
            start=start + timedelta(days=day),
            open=price,
            high=price + 1,
            low=price - 1,
            close=price,
            volume=1000,
        )
        for day, price in ((day, Decimal(100 + day % 7)) for day in range(days))
    )


def test_analysis_and_comparison_of_a_year(alice: User) -> None:
    nifty, acme = index(), share("ACME")
    live_market({nifty: 25_000.0, acme: 104.0})
    history(nifty, days=90)
    history(acme, days=90)
    client = client_of(alice)
    body = client.get(f"/api/v1/instruments/{acme.key}/analysis/").json()
    assert [one["name"] for one in body["trend"]][:2] == ["sma20", "sma50"]
    assert next(x for x in body["trend"] if x["name"] == "sma200")["value"] is None
    [own] = client.get("/api/v1/compare/", {"instruments": acme.key}).json()["results"]
    assert own["returns"]["1w"] is not None
    assert own["points"][0][1] == 0
    many = ",".join(f"NSE_EQ|X{n}" for n in range(6))
    assert client.get("/api/v1/compare/", {"instruments": many}).status_code == 400


def test_too_short_a_history_says_so(alice: User) -> None:
    acme = share("ACME")
    live_market({acme: 104.0})
    answer = client_of(alice).get(f"/api/v1/instruments/{acme.key}/analysis/")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_measured")


def test_screen_has_a_record(alice: User) -> None:
    client = client_of(alice)
    cache.delete("screen")
    assert client.get("/api/v1/screen/").status_code == 404
    pick = {"column": 0, "key": "NSE_EQ|A", "lead": 3.0, "rsi": 55.0, "above": 4.0}
    record = {"listings": 4, "hits": 3, "share_return": 2.0, "market_return": 1.0, "days": 9}
    made = {
        "as_of": "2026-11-20T00:00:00+05:30",
        "since": "2026-01-02T00:00:00+05:30",
        "shares": 200,
        "picks": [pick],
        "record": {**record, "hit_rate": 75.0},
        "made_on": "2026-11-21",
    }
    cache.set("screen", made)
    body = client.get("/api/v1/screen/").json()
    cache.delete("screen")
    assert body["picks"] == [{"instrument_key": "NSE_EQ|A", "lead": 3.0, "rsi": 55.0, "above": 4.0}]
    assert body["record"]["hit_rate"] == 75.0


def test_index_members_are_listed_by_weight(alice: User) -> None:
    nifty = index()
    for symbol, weight in (("ACME", 20.0), ("BOLT", 60.0)):
        IndexMember.objects.create(index=nifty, instrument=share(symbol), weight=weight)
    url = f"/api/v1/indices/{research.NIFTY}/members/"
    found = client_of(alice).get(url).json()["results"]
    assert [row["weight"] for row in found] == [60.0, 20.0]


def test_server_status_names_what_is_wrong(alice: User) -> None:
    body = client_of(alice).get("/api/v1/server/status/").json()
    wrong = {check["name"]: check["message"] for check in body["checks"] if not check["ok"]}
    assert list(wrong) == ["engine"]  # no engine runs in this test
    assert body["ready"] is False
