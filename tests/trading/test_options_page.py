"""The option chain's page and the margin of a strategy."""

import re

import pytest
import time_machine
from django.urls import reverse

from marketdata.models import Instrument
from marketdata.options import services
from mockmarket.core.models import User
from portfolios.services import ensure_practice
from tests.support.options import AT, EXPIRY, SPOT, Exchange, listed_nifty, put_on_board

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client, settings):
    settings.PRACTICE_DERIVATIVES = True
    with time_machine.travel(AT, tick=False):
        alice = User.objects.create_user("alice", password="not-a-secret")
        ensure_practice(user=alice, at=AT)
        client.force_login(alice)
        yield client


@pytest.fixture
def swept(page):
    nifty = listed_nifty()
    services.sweep_chain(source=Exchange(), underlying=nifty, expiry_date=EXPIRY, at=AT)
    put_on_board({nifty.key: SPOT}, int(AT.timestamp() * 1000))
    return nifty


def test_without_contracts_the_page_says_what_to_do(page):
    answer = page.get(reverse("options_home"))
    assert answer.status_code == 200
    assert "No contracts yet" in answer.content.decode()


def test_home_opens_the_first_underlying(page, swept):
    answer = page.get(reverse("options_home"))
    assert answer.url == reverse("options", args=["NIFTY"])


def test_the_chain_has_calls_left_and_puts_right(page, swept):
    text = page.get(reverse("options", args=["NIFTY"])).content.decode()
    rows = re.findall(r"<tr.*?</tr>", text, re.DOTALL)
    centre = next(row for row in rows if 'class="centre"' in row)
    call, put = centre.index("NSE_FO|C24000"), centre.index("NSE_FO|P24000")
    assert call < centre.index('scope="row"') < put
    assert "14.0" in centre  # volatility in percent
    assert f"chain|NSE_INDEX|Nifty 50|{EXPIRY}" in text


def test_the_figures_say_how_old_their_interest_is_and_that_there_is_no_record(page, swept):
    text = page.get(reverse("options", args=["NIFTY"])).content.decode()
    assert re.search(r"open interest is <span [^>]*>0</span> s old", text)
    assert "No alert has been tested yet" in text


def test_a_share_without_options_says_so(page):
    nifty = listed_nifty()
    nifty.symbol, nifty.pk, nifty.key = "BARE", None, "NSE_EQ|BARE"
    nifty.save()
    text = page.get(reverse("options", args=["BARE"])).content.decode()
    assert "BARE has no options" in text


def test_margin_of_a_sold_straddle_is_that_of_its_worse_side(page, swept):
    url = reverse("strategy_margin", args=["NIFTY"])
    one = page.get(url, {"legs": "C24000:-1"}).json()
    both = page.get(url, {"legs": "C24000:-1,P24000:-1"}).json()
    assert float(one["span"]) <= float(both["span"]) < 1.2 * float(one["span"])
    assert float(both["exposure"]) == pytest.approx(2 * float(one["exposure"]))
    assert float(both["premium"]) < 0


def test_the_api_gives_the_same_margin(page, swept):
    url = f"/api/v1/options/{swept.key}/margin/"
    body = {"legs": [{"kind": "CE", "strike": "24000", "lots": -1}]}
    found = page.post(url, body, content_type="application/json").json()
    shown = page.get(reverse("strategy_margin", args=["NIFTY"]), {"legs": "C24000:-1"}).json()
    assert {name: found[name] for name in shown} == shown
    body["legs"][0]["strike"] = "1"
    refused = page.post(url, body, content_type="application/json")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_strategy")


@pytest.mark.parametrize(
    "legs", ["X24000:1", "C1:1", "C24000:0", "C24000", "C24000:99999", ",".join(["C24000:1"] * 9)]
)
def test_a_leg_that_is_none_is_refused_by_name(page, swept, legs):
    answer = page.get(reverse("strategy_margin", args=["NIFTY"]), {"legs": legs})
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_strategy"


def test_a_price_opens_the_ticket_and_futures_are_listed(page, swept):
    Instrument.objects.create(
        key="NSE_FO|FUT", symbol="NIFTY FUT 24 NOV 26", name="NIFTY", exchange="NSE",
        segment="NSE_FO", instrument_type="FUT", underlying_key=swept.key, expiry_date=EXPIRY,
        lot_size=65,
    )  # fmt: skip
    text = page.get(reverse("options", args=["NIFTY"])).content.decode()
    assert re.search(r'data-ticket-open="NSE_FO\|C24000" data-side="SELL" data-at-price', text)
    assert re.search(r'data-ticket-open="NSE_FO\|C24000" data-side="BUY" data-at-price', text)
    assert 'data-ticket-open="NSE_FO|FUT" data-side="BUY"' in text
    assert "Term structure" in text
    ticket = page.get(reverse("order_ticket"), {"instrument": "NSE_FO|C24000"}).content.decode()
    assert 'value="NRML" checked' in ticket
    assert 'value="65"' in ticket


def test_a_contract_has_a_page_with_a_way_back_to_its_chain(page, swept):
    text = page.get(reverse("stock", args=["NIFTY 24000 CE 24 NOV 26"])).content.decode()
    assert f"{reverse('options', args=['NIFTY'])}?expiry=2026-11-24" in text
    assert "expires 24 Nov 2026" in text
    index = page.get(reverse("stock", args=["NIFTY"])).content.decode()
    assert reverse("options", args=["NIFTY"]) in index
