"""Watchlists, headlines and option chains over REST."""

from datetime import timedelta

import pytest

from marketdata.models import Instrument, NewsItem, NewsSource
from mockmarket.core import clock
from mockmarket.core.models import User
from tests.support.api import client_of, index, live_market, share, student

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return student("alice")


class TestWatchlists:
    def test_are_made_filled_ordered_and_deleted(self, alice: User) -> None:
        client, keys = client_of(alice), [share(name).key for name in ("ACME", "BOLT")]
        made = client.post("/api/v1/watchlists/", {"name": "Mine"}, format="json")
        assert made.status_code == 201
        url = f"/api/v1/watchlists/{made.json()['id']}/"
        for key in keys:
            added = client.post(f"{url}items/", {"instrument_key": key}, format="json")
            assert added.status_code == 201
        assert client.get(url).json()["instruments"] == keys
        turned = client.patch(url, {"name": "Ours", "instruments": keys[::-1]}, format="json")
        assert turned.json() == {**made.json(), "name": "Ours", "instruments": keys[::-1]}
        assert client.delete(f"{url}items/{keys[0]}/").status_code == 204
        assert client.get(url).json()["instruments"] == keys[1:]
        assert client.delete(url).status_code == 204
        assert client.get(url).status_code == 404

    def test_of_others_are_404(self, alice: User) -> None:
        made = client_of(alice).post("/api/v1/watchlists/", {"name": "Mine"}, format="json")
        url, bob = f"/api/v1/watchlists/{made.json()['id']}/", client_of(student("bob"))
        body = {"instrument_key": share("ACME").key}
        assert bob.get(url).status_code == 404
        assert bob.patch(url, {"name": "x"}, format="json").status_code == 404
        assert bob.post(f"{url}items/", body, format="json").status_code == 404
        assert bob.delete(url).status_code == 404
        assert client_of(alice).get(url).status_code == 200


def test_news_is_listed_by_share(alice: User) -> None:
    acme, bolt = share("ACME"), share("BOLT")
    source = NewsSource.objects.create(name="Paper", url="https://example.org/feed")
    for number, row in enumerate((acme, bolt)):
        item = NewsItem.objects.create(
            source=source,
            guid=str(number),
            title=f"{row.symbol} rises",
            link="https://example.org/1",
            published_at=clock.now() - timedelta(minutes=number),
            fetched_at=clock.now(),
        )
        item.instruments.add(row)
    everything = client_of(alice).get("/api/v1/news/").json()["results"]
    assert [row["title"] for row in everything] == ["ACME rises", "BOLT rises"]
    about = client_of(alice).get("/api/v1/news/", {"instrument": bolt.key}).json()["results"]
    assert [row["instruments"] for row in about] == [[bolt.key]]


class TestOptions:
    @pytest.fixture
    def nifty(self) -> Instrument:
        nifty = index()
        expiry = (clock.now() + timedelta(days=7)).date()
        for strike in (24900, 25000, 25100):
            for kind in ("CE", "PE"):
                share(
                    f"NIFTY {strike} {kind}",
                    key=f"NSE_FO|{strike}{kind}",
                    segment="NSE_FO",
                    instrument_type=kind,
                    underlying_key=nifty.key,
                    expiry_date=expiry,
                    strike_price=str(strike),
                    lot_size=75,
                )
        live_market({nifty: 25010.0})
        return nifty

    def test_chain_has_both_legs_of_each_strike(self, alice: User, nifty: Instrument) -> None:
        client = client_of(alice)
        listed = client.get("/api/v1/options/underlyings/").json()["results"]
        assert [row["instrument_key"] for row in listed] == [nifty.key]
        [expiry] = client.get(f"/api/v1/options/{nifty.key}/").json()["expiries"]
        chain = client.get(f"/api/v1/options/{nifty.key}/chain/?expiry={expiry}").json()
        assert [row["strike"] for row in chain["strikes"]] == ["24900.00", "25000.00", "25100.00"]
        assert chain["strikes"][0]["put"]["instrument_key"] == "NSE_FO|24900PE"

    def test_analytics_name_what_is_unknown(self, alice: User, nifty: Instrument) -> None:
        body = client_of(alice).get(f"/api/v1/options/{nifty.key}/analytics/").json()
        assert body["put_call_ratio_interest"] is None
        assert body["history_days"] == 0

    def test_shares_without_options_are_404(self, alice: User) -> None:
        answer = client_of(alice).get(f"/api/v1/options/{share('ACME').key}/chain/")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "unknown_option_chain"


def test_sentiment_before_its_first_measurement(alice: User) -> None:
    answer = client_of(alice).get("/api/v1/sentiment/")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_measured"
