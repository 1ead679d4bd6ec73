"""What orders, fills and alerts keep is said in the reader's language, and in English to programs;
so are rows from before it was kept as records."""

from decimal import Decimal

import pytest
from django.test import Client
from rest_framework.test import APIClient

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.models import User
from mockmarket.core.records import english, record
from tests.support.own_redis import own_redis_keys
from tests.trading.floor import Floor
from trading import alerting, events, matching, verification
from trading.models import Alert, AlertEvent, Fill

__all__ = ["own_redis_keys"]

HINDI = {"HTTP_ACCEPT_LANGUAGE": "hi"}


@pytest.fixture
def desk(alice: User, floor: Floor, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Alice's browser, at the floor's time."""
    monkeypatch.setattr(clock, "now", lambda: floor.now)
    client = Client()
    client.force_login(alice)
    return client


@pytest.fixture
def api(alice: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(alice)
    return client


def fill_of(floor: Floor, alice: User, acme: Instrument) -> Fill:
    floor.tick(acme, 100.0, asks=[(100.0, 4), (100.05, 90)])
    floor.buy(alice, acme, 10)
    floor.tick(acme, 100.0, asks=[(100.0, 4), (100.05, 90)])
    found = Fill.objects.first()
    assert found is not None
    return found


def test_the_rules_of_a_fill(
    floor: Floor, alice: User, acme: Instrument, desk: Client, api: APIClient
) -> None:
    fill = fill_of(floor, alice, acme)
    assert fill.rule_path[-1] == "take_levels levels=2 side=ask"
    page = f"/orders/{fill.order_id}/"
    assert "take: walked 2 ask levels" in desk.get(page).content.decode()
    assert "बिक्री पक्ष के 2 स्तर" in desk.get(page, **HINDI).content.decode()
    body = api.get(f"/api/v1/trades/{fill.pk}/", **HINDI).json()
    assert body["rule_path"][-1] == "take: walked 2 ask levels"
    assert body["rules"][-1] == {"code": "take_levels", "values": {"levels": "2", "side": "ask"}}


def test_a_fill_kept_in_english_is_proved_and_said_like_any_other(
    floor: Floor,
    alice: User,
    acme: Instrument,
    desk: Client,
    api: APIClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(matching, "record", lambda code, **more: english(record(code, **more)))
        fill = fill_of(floor, alice, acme)
    assert fill.rule_path[-1] == "take: walked 2 ask levels"
    assert list(verification.verify_fills()) == [None] * Fill.objects.count()
    assert "स्तर" in desk.get(f"/orders/{fill.order_id}/", **HINDI).content.decode()
    body = api.get(f"/api/v1/trades/{fill.pk}/").json()
    assert (body["rule_path"], body["rules"][-1]["code"]) == (fill.rule_path, "take_levels")


@pytest.mark.parametrize("former", [False, True])
def test_why_an_order_waits(
    floor: Floor, alice: User, acme: Instrument, desk: Client, api: APIClient, former: bool
) -> None:
    floor.wait(12)
    order = floor.buy(alice, acme, 10)
    assert order.status_reason == "stale_quote seconds=12"
    if former:
        order.status_reason = "stale_quote: the newest price is 12 s old"
        order.save()
    assert "the newest price is 12 s old" in desk.get("/orders/").content.decode()
    assert "सबसे नया भाव 12 सेकंड पुराना है" in desk.get("/orders/", **HINDI).content.decode()
    expected = {
        "status_reason": "the newest price is 12 s old",
        "status_reason_code": "stale_quote",
        "status_reason_values": {"seconds": "12"},
    }
    for body in (api.get(f"/api/v1/orders/{order.pk}/").json(), events.order_update(order)):
        assert {name: body[name] for name in expected} == expected


@pytest.mark.parametrize("former", [False, True])
def test_what_an_alert_reports(
    floor: Floor, alice: User, acme: Instrument, desk: Client, api: APIClient, former: bool
) -> None:
    alert = alerting.create(
        user=alice,
        instrument=acme,
        kind="PRICE_ABOVE",
        threshold=Decimal(110),
        note="",
        at=floor.now,
    )
    fired = alerting.Fired(alert.pk, 112.5, floor.now)
    assert alerting.keep(fired=[fired], rearmed=[], at=floor.now) == 1
    event = AlertEvent.objects.get()
    assert event.message.startswith("price_above ")
    if former:
        AlertEvent.objects.update(message="rose to ₹112.50 (set at ₹110.00)")
    assert "rose to ₹112.50 (set at ₹110.00)" in desk.get("/alerts/").content.decode()
    assert "बढ़कर ₹112.50 (तय ₹110.00)" in desk.get("/alerts/", **HINDI).content.decode()
    body = api.get("/api/v1/alerts/events/").json()["results"][0]
    assert body["message"] == "rose to ₹112.50 (set at ₹110.00)"
    assert body["message_code"] == "price_above"
    assert body["message_values"]["price"] == "₹112.50"
    assert Alert.objects.get().fired_count == 1
