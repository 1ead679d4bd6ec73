"""Instruments, quotes, lists and status over REST."""

from datetime import UTC, datetime, timedelta

import pytest
from rest_framework.test import APIClient

from marketdata.models import Candle, Instrument
from tests.support.api import client_of, index, kept_price, live_market, share, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def reliance() -> Instrument:
    return share("RELIANCE")


@pytest.fixture
def client() -> APIClient:
    return client_of(student("alice"))


class TestInstruments:
    def test_are_found_by_symbol_name_and_isin(
        self, client: APIClient, reliance: Instrument
    ) -> None:
        share("TCS", name="Tata Consultancy")
        for search in ("REL", "reliance lim", reliance.isin):
            found = client.get("/api/v1/instruments/", {"search": search}).json()["results"]
            assert [row["symbol"] for row in found] == ["RELIANCE"]

    def test_show_what_programs_need(self, client: APIClient, reliance: Instrument) -> None:
        body = client.get(f"/api/v1/instruments/{reliance.key}/").json()
        assert body["instrument_key"] == reliance.key
        assert (body["tick_size"], body["lot_size"], body["halted"]) == ("0.05", 1, False)

    def test_answer_304_while_unchanged(self, client: APIClient, reliance: Instrument) -> None:
        url = f"/api/v1/instruments/{reliance.key}/"
        etag = client.get(url)["ETag"]
        assert client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 304
        Instrument.objects.update(halted=True)
        assert client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 200

    def test_are_paged_by_cursor(self, client: APIClient) -> None:
        for letter in "ABCDE":
            share(letter * 4)
        seen, url = [], "/api/v1/instruments/?limit=2&fields=symbol"
        while url:
            page = client.get(url).json()
            assert all(set(row) == {"symbol"} for row in page["results"])
            seen += [row["symbol"] for row in page["results"]]
            url = page["next"]
        assert seen == [letter * 4 for letter in "ABCDE"]

    @pytest.mark.parametrize("key", ["NSE_EQ|NOTHING", "nonsense", "NSE_EQ%7C%00"])
    def test_unknown_is_404(self, client: APIClient, key: str) -> None:
        answer = client.get(f"/api/v1/instruments/{key}/")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] in {"unknown_instrument", "not_found"}

    @pytest.mark.parametrize("cursor", ["cD1cMDA=", "cD0AAA==", "%00", "bz0xMDAwMDAwMDA="])
    def test_forged_cursors_never_fault(self, client: APIClient, cursor: str) -> None:
        assert client.get(f"/api/v1/instruments/?cursor={cursor}").status_code in {200, 400}


class TestQuotes:
    def test_are_strings_with_their_source_and_age(
        self, client: APIClient, reliance: Instrument
    ) -> None:
        live_market({reliance: 2450.5})
        data = client.get("/api/v1/quotes/", {"instruments": reliance.key}).json()["data"]
        quote = data[reliance.key]
        assert quote["last_price"] == "2450.50"
        assert (quote["change"], quote["change_percent"]) == ("10.00", "0.41")
        assert (quote["bid"], quote["ask"]) == ("2450.45", "2450.55")
        assert quote["source"] == "stream"
        assert 0 <= quote["age_ms"] < 5000
        assert quote["timestamp"].endswith("Z")

    def test_fall_back_to_the_database(self, client: APIClient, reliance: Instrument) -> None:
        kept_price(reliance, "99.95")
        quote = client.get("/api/v1/quotes/", {"instruments": reliance.key}).json()["data"]
        assert quote[reliance.key]["last_price"] == "99.95"
        assert quote[reliance.key]["source"] == "database"

    def test_of_unknown_keys_are_missing(self, client: APIClient) -> None:
        assert client.get("/api/v1/quotes/?instruments=NSE_EQ|NOPE").json() == {"data": {}}

    @pytest.mark.parametrize(
        "instruments", ["", ",", ",".join(map(str, range(501))), "a\x00b"], ids=len
    )
    def test_take_1_to_500_keys(self, client: APIClient, instruments: str) -> None:
        answer = client.get("/api/v1/quotes/", {"instruments": instruments})
        assert answer.status_code == 400
        assert "instruments" in answer.json()["error"]["fields"]

    def test_depth_has_five_levels(self, client: APIClient, reliance: Instrument) -> None:
        live_market({reliance: 100.0})
        client.get("/api/v1/market/status/")
        depth = client.get(f"/api/v1/instruments/{reliance.key}/depth/").json()
        assert [level["price"] for level in depth["bids"]] == [
            "99.95",
            "99.90",
            "99.85",
            "99.80",
            "99.75",
        ]
        assert depth["asks"][0] == {"price": "100.05", "quantity": 100}


class TestLists:
    def test_movers_sectors_breadth_indices(self, client: APIClient, reliance: Instrument) -> None:
        nifty = index()
        live_market({reliance: 200.0, nifty: 25000.0})
        movers = client.get("/api/v1/movers/?kind=gainers&limit=1").json()["results"]
        assert [row["symbol"] for row in movers] == ["RELIANCE"]
        assert client.get("/api/v1/movers/?kind=losers").json() == {"results": []}
        assert client.get("/api/v1/movers/?kind=odd").status_code == 400
        assert client.get("/api/v1/sectors/").json()["results"][0]["name"] == "Energy"
        assert client.get("/api/v1/breadth/").json()["advances"] == 1
        indices = client.get("/api/v1/indices/").json()["results"]
        assert [row["instrument_key"] for row in indices] == [nifty.key]

    def test_empty_market_is_no_fault(self, client: APIClient) -> None:
        for path in ("movers", "sectors", "breadth", "indices", "market/status"):
            assert client.get(f"/api/v1/{path}/").status_code == 200

    def test_status_says_source_and_phases(self, client: APIClient, reliance: Instrument) -> None:
        live_market({reliance: 200.0})
        body = client.get("/api/v1/market/status/").json()
        assert (body["source"], body["status"]) == ("simulated", "live")
        assert body["phase"]["NSE_EQ"] == "CONTINUOUS"
        assert body["as_of"]


class TestCandles:
    def test_are_rows_oldest_first(self, client: APIClient, reliance: Instrument) -> None:
        start = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
        for minute in (1, 0):
            Candle.objects.create(
                instrument=reliance,
                interval="1m",
                start=start + timedelta(minutes=minute),
                open="100",
                high="101.5",
                low="99",
                close="100.25",
                volume=10,
            )
        url = f"/api/v1/instruments/{reliance.key}/candles/"
        body = client.get(
            url, {"interval": "1m", "from": "2026-11-20T04:00:00Z", "to": "2026-11-20T04:02:00Z"}
        ).json()
        assert body["candles"] == [
            ["2026-11-20T04:00:00Z", "100.00", "101.50", "99.00", "100.25", 10],
            ["2026-11-20T04:01:00Z", "100.00", "101.50", "99.00", "100.25", 10],
        ]

    @pytest.mark.parametrize(
        "query",
        [
            {"interval": "7m"},
            {"from": "2026-11-20T04:00:00Z", "to": "2026-11-20T04:00:00Z"},
            {"from": "0001-01-01T00:00:00Z"},
            {"to": "9999-12-31T23:59:59-14:00"},
            {"from": "yesterday"},
        ],
    )
    def test_refuse_what_cannot_be(
        self, client: APIClient, reliance: Instrument, query: dict[str, str]
    ) -> None:
        answer = client.get(f"/api/v1/instruments/{reliance.key}/candles/", query)
        assert answer.status_code == 400
