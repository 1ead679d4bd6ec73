"""The order ticket and the order list, as pages, against a real floor."""

import json
import re
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django.fixtures import Settings

from marketdata import selectors
from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.models import User
from tests.support.own_redis import own_redis_keys
from tests.trading.floor import Floor, again, portfolio, share
from trading.models import Gtt, Order

__all__ = ["own_redis_keys"]

D = Decimal


@pytest.fixture
def desk(alice: User, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Alice's browser, at the floor's time."""
    monkeypatch.setattr(clock, "now", lambda: floor.now)
    client = Client()
    client.force_login(alice)
    return client


def fields(instrument: Instrument, **more: str) -> dict[str, str]:
    return {
        "instrument_key": instrument.key,
        "side": "BUY",
        "quantity": "10",
        "order_type": "MARKET",
        "product": "CNC",
        "validity": "DAY",
        **more,
    }


def wrong(html: str) -> dict[str, str]:
    """The messages beside the fields, by field."""
    return dict(re.findall(r'id="e-(\w+)" role="alert">([^<]+)<', html))


def test_an_order_with_a_reason_for_the_journal(desk: Client, acme: Instrument) -> None:
    response = desk.post("/orders/ticket/", fields(acme, reason="  Cheap.  ", after_market="1"))
    assert response.status_code == 200
    order = Order.objects.get()
    assert (order.reason, order.status) == ("Cheap.", "OPEN")


def test_a_closed_market_queues_only_what_asks_for_it(
    desk: Client, floor: Floor, acme: Instrument, settings: Settings
) -> None:
    settings.MARKET_HOURS = "exchange"
    selectors.forget()
    floor.wait(12 * 3600)
    refused = desk.post("/orders/ticket/", fields(acme, order_type="LIMIT", price="100"))
    assert refused.status_code == 409
    assert "after-market order" in refused.content.decode()
    desk.post("/orders/ticket/", fields(acme, order_type="LIMIT", price="100", after_market="1"))
    assert Order.objects.get().status == "QUEUED"


def test_one_price_or_two_are_watched(desk: Client, acme: Instrument) -> None:
    response = desk.post(
        "/orders/ticket/", fields(acme, mode="GTT", lower="95", upper="110", upper_price="110.50")
    )
    assert response.status_code == 200
    made = Gtt.objects.get()
    assert (made.lower_trigger, made.lower_price) == (95, None)
    assert (made.upper_trigger, made.upper_price) == (110, D("110.5"))
    html = desk.get("/orders/?show=triggers").content.decode()
    assert f"/orders/triggers/{made.pk}/cancel/" in html
    assert desk.post(f"/orders/triggers/{made.pk}/cancel/").status_code == 204
    assert desk.post(f"/orders/triggers/{made.pk}/cancel/").status_code == 204
    made.refresh_from_db()
    assert made.status == "CANCELLED"


@pytest.mark.parametrize(
    ("more", "field", "said"),
    [
        ({"mode": "GTT"}, "lower", "Name a trigger."),
        ({"mode": "GTT", "lower": "100"}, "lower", "must lie below ₹100.00."),
        ({"mode": "GTT", "upper": "99"}, "upper", "must lie above ₹100.00."),
        ({"mode": "GTT", "lower": "94.98"}, "lower", "steps of ₹0.05"),
        ({"mode": "GTT", "lower": "95", "lower_price": "94.98"}, "lower_price", "steps of ₹0.05"),
        ({"mode": "GTT", "lower": "x"}, "lower", "as a number"),
        ({"mode": "GTT", "lower_price": "95"}, "lower", "needs the price"),
        ({"mode": "GTT", "lower": "95", "quantity": "0"}, "quantity", "at least 1"),
        ({"mode": "BRACKET", "target": "110"}, "stop", "Enter a price."),
        ({"mode": "BRACKET", "stop": "95"}, "target", "Enter a price."),
        ({"mode": "BRACKET", "stop": "105", "target": "110"}, "stop", "must lie below"),
        ({"mode": "BRACKET", "stop": "95", "target": "99"}, "target", "must lie above"),
        ({"mode": "BRACKET", "stop": "99", "target": "95"}, "target", "winning side"),
        ({"reason": "x" * 501}, "reason", "within 500"),
    ],
)
def test_a_refusal_stands_beside_its_field(
    desk: Client, acme: Instrument, more: dict[str, str], field: str, said: str
) -> None:
    response = desk.post("/orders/ticket/", fields(acme, **more))
    assert response.status_code == 400
    found = wrong(response.content.decode())
    assert list(found) == [field]
    assert said in found[field]
    assert not Order.objects.exists()
    assert not Gtt.objects.exists()


def test_a_bracket_to_sell_has_its_stop_above(desk: Client, acme: Instrument) -> None:
    more = {"mode": "BRACKET", "side": "SELL", "product": "MIS"}
    refused = desk.post("/orders/ticket/", fields(acme, stop="95", target="90", **more))
    assert list(wrong(refused.content.decode())) == ["stop"]
    made = desk.post("/orders/ticket/", fields(acme, stop="105", target="90", **more))
    assert made.status_code == 200
    assert Gtt.objects.get().upper_trigger == 105


def test_a_form_sent_twice_is_one_order(desk: Client, acme: Instrument) -> None:
    for _ in range(2):
        assert desk.post("/orders/ticket/", fields(acme, client_order_id="a1")).status_code == 200
    assert Order.objects.count() == 1


def test_orders_are_throttled(desk: Client, acme: Instrument) -> None:
    statuses = [desk.post("/orders/ticket/", {**fields(acme), "quantity": "0"}).status_code]
    while statuses[-1] == 400 and len(statuses) < 40:
        statuses.append(desk.post("/orders/ticket/", {**fields(acme), "quantity": "0"}).status_code)
    assert statuses[-1] == 429
    assert len(statuses) > 5


def test_the_estimate_shows_margin_charges_and_both_ends(desk: Client, acme: Instrument) -> None:
    html = desk.post(
        "/orders/estimate/",
        fields(acme, mode="BRACKET", product="MIS", stop="95.05", target="110.05"),
    ).content.decode()
    for said in ("Margin", "Cash held for it", "Securities transaction tax", "GST"):
        assert said in html
    assert "+₹100.00" in html  # from the ask of 100.05 to the target, ten times
    assert "−₹50.00" in html
    assert not Order.objects.exists()


def test_a_frozen_contest_is_said_before_anything_is_typed(
    desk: Client, alice: User, acme: Instrument
) -> None:
    contest = portfolio(alice).contest
    url = f"/orders/ticket/?instrument={acme.key}"
    assert "disabled" not in desk.get(url).content.decode()
    type(contest).objects.filter(pk=contest.pk).update(state="FROZEN")
    html = desk.get(url).content.decode()
    assert "is frozen" in html
    assert re.search(r"<button[^>]*data-submit disabled", html)


# --- The row of a live order ------------------------------------------------------------
def test_a_row_is_changed_where_it_stands(
    desk: Client, floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 10, order_type="LIMIT", price=95)
    row = desk.get(f"/orders/{order.pk}/edit/").content.decode()
    assert row.lstrip().startswith("<tr")
    assert 'value="95.00"' in row
    refused = desk.post(f"/orders/{order.pk}/edit/", {"quantity": "10", "price": "95.01"})
    assert refused.status_code == 400
    assert "steps of" in refused.content.decode()
    done = desk.post(f"/orders/{order.pk}/edit/", {"quantity": "20", "price": "96"})
    assert done.status_code == 200
    assert "data-editing" not in done.content.decode()
    assert (again(order).quantity, again(order).price) == (20, 96)


def test_a_row_that_filled_meanwhile_says_so(
    desk: Client, floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 10, order_type="LIMIT", price=95)
    floor.tick(acme, 94.0)
    assert again(order).status == "FILLED"
    html = desk.post(f"/orders/{order.pk}/edit/", {"quantity": "20", "price": "96"})
    assert 'data-status="FILLED"' in html.content.decode()


@pytest.mark.parametrize("part", ["edit", "row"])
def test_another_students_row_does_not_exist(
    desk: Client, floor: Floor, bob: User, acme: Instrument, part: str
) -> None:
    order = floor.buy(bob, acme, 10, order_type="LIMIT", price=95)
    assert desk.get(f"/orders/{order.pk}/{part}/").status_code == 404


def test_the_chart_is_told_of_fills_and_open_orders(
    desk: Client, floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.buy(alice, acme, 5, order_type="LIMIT", price=95)
    html = desk.get("/stocks/ACME/own/").content.decode()
    found = dict(re.findall(r'<data id="([\w-]+)" hidden value="([^"]*)"', html))
    read = {name: json.loads(text.replace("&quot;", '"')) for name, text in found.items()}
    assert [one["quantity"] for one in read["own-fills"]] == [10]
    assert [(one["price"], one["side"]) for one in read["own-lines"]] == [
        (95.0, "BUY"),
        (100.05, ""),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/orders/?show=all",
        "/orders/",
        "/orders/?show=triggers",
        "/portfolio/",
        "/portfolio/?show=holdings",
        "/portfolio/?show=allocation",
        "/funds/",
    ],
)
def test_a_page_asks_no_more_for_more_rows(
    desk: Client, floor: Floor, alice: User, path: str
) -> None:
    """One query a row is how a page becomes slow unnoticed."""
    counts = []
    for symbols in (("AAA",), ("BBB", "CCC", "DDD", "EEE")):
        for symbol in symbols:
            instrument = share(symbol)
            floor.tick(instrument, 100.0, previous_close=100.0)
            floor.buy(alice, instrument, 10)
            floor.buy(alice, instrument, 1, order_type="LIMIT", price=95)
            desk.post("/orders/ticket/", fields(instrument, mode="GTT", lower="90"))
        desk.get(path)  # what is read once and kept
        with CaptureQueriesContext(connection) as queries:
            assert desk.get(path).status_code == 200
        counts.append(len(queries))
    assert counts[1] <= counts[0]


def test_only_the_contests_products_are_offered(
    desk: Client, alice: User, acme: Instrument
) -> None:
    url = f"/orders/ticket/?instrument={acme.key}"
    offered = re.compile(r'name="product" value="(\w+)"')
    assert offered.findall(desk.get(url).content.decode()) == ["CNC", "MIS"]
    contest = portfolio(alice).contest
    for products in (["CNC"], ["MIS"]):
        contest.rules = {**contest.rules, "products": products}
        contest.save()
        page = desk.get(url).content.decode()
        assert offered.findall(page) == products
        assert f'value="{products[0]}" checked' in page
