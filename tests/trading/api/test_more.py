"""Baskets, good-till-triggered instructions, brackets, alerts, notes and performance over REST."""

import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.models import IdempotencyRecord, User
from portfolios.models import Portfolio
from tests.support.api import client_of, live_market, share, student
from trading import alerting
from trading.models import Alert, Fill, Gtt, Order

pytestmark = pytest.mark.django_db
KEY = {"Idempotency-Key": "a-key"}


@pytest.fixture(autouse=True)
def _roomy_limits(settings: Any) -> None:
    settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 1000


@pytest.fixture
def alice() -> User:
    return student("alice")


@pytest.fixture
def acme() -> Instrument:
    row = share("ACME")
    live_market({row: 100.0})
    return row


@pytest.fixture
def filled(alice: User, acme: Instrument) -> Fill:
    at = clock.now()
    order = Order.objects.create(
        portfolio=alice.portfolios.get(),
        instrument=acme,
        side="BUY",
        order_type="MARKET",
        product="CNC",
        quantity=10,
        filled_quantity=10,
        status="FILLED",
        client_order_id=uuid.uuid4().hex,
        placed_at=at,
        updated_at=at,
        session_date=at.date(),
    )
    return Fill.objects.create(
        order=order,
        execution_ref="1",
        quantity=10,
        price="99.5",
        charges="1.25",
        charge_lines={"stt": "1.00", "gst": "0.25"},
        quote={},
        phase="CONTINUOUS",
        filled_at=at,
    )


def post(user: User, path: str, body: dict[str, Any], **headers: str) -> Any:
    return client_of(user).post(f"/api/v1/{path}", body, format="json", headers=headers)


class TestBaskets:
    def body(self, acme: Instrument, *quantities: int) -> dict[str, Any]:
        row = {"instrument_key": acme.key, "side": "BUY"}
        return {"orders": [{**row, "quantity": quantity} for quantity in quantities]}

    def test_orders_stand_or_fall_by_themselves(self, alice: User, acme: Instrument) -> None:
        answer = post(alice, "baskets/", self.body(acme, 1, 1_000_000, 2))
        assert answer.status_code == 201, answer.content
        assert [row["quantity"] for row in answer.json()["orders"]] == [1, 2]
        [refusal] = answer.json()["refusals"]
        assert (refusal["index"], refusal["code"]) == (1, "insufficient_cash")

    def test_preview_reckons_all_together(self, alice: User, acme: Instrument) -> None:
        body = post(alice, "baskets/preview/", self.body(acme, 4_000, 5_000)).json()
        assert Decimal(body["required"]) > 900_000
        assert body["enough"] is True
        assert [row["estimate"]["quantity"] for row in body["orders"]] == [4_000, 5_000]
        assert not Order.objects.exists()

    def test_repeats_nothing_even_after_a_crash(
        self, alice: User, acme: Instrument, crashed: Any
    ) -> None:
        first = post(alice, "baskets/", self.body(acme, 1, 2), **KEY)
        assert post(alice, "baskets/", self.body(acme, 1, 2), **KEY).content == first.content
        crashed()
        again = post(alice, "baskets/", self.body(acme, 1, 2), **KEY)
        assert again.json() == first.json()
        assert Order.objects.count() == 2

    def test_names_the_order_that_is_wrong(self, alice: User, acme: Instrument) -> None:
        body = self.body(acme, 1, 1)
        body["orders"][1]["colour"] = "red"
        fields = post(alice, "baskets/", body).json()["error"]["fields"]
        assert list(fields) == ["orders.1.colour"]
        assert post(alice, "baskets/", self.body(acme)).status_code == 400
        assert post(alice, "baskets/", self.body(acme, *[1] * 21)).status_code == 400

    def test_every_order_counts_against_the_minute(
        self, alice: User, acme: Instrument, settings: Any
    ) -> None:
        settings.ORDERS_PER_MINUTE = 20
        assert post(alice, "baskets/", self.body(acme, *[1] * 15)).status_code == 201
        refused = post(alice, "baskets/", self.body(acme, *[1] * 6))
        assert refused.status_code == 429
        assert int(refused["Retry-After"]) > 50
        assert Order.objects.count() == 15


class TestGtt:
    def test_pair_is_placed_read_and_cancelled(self, alice: User, acme: Instrument) -> None:
        body = {
            "instrument_key": acme.key,
            "side": "BUY",
            "quantity": 5,
            "lower": {"trigger": "95.00", "price": "95.50"},
            "upper": {"trigger": "110.00"},
        }
        made = post(alice, "gtt/", body)
        assert made.status_code == 201, made.content
        assert made.json()["lower"] == {"trigger": "95.00", "price": "95.50"}
        assert made.json()["upper"] == {"trigger": "110.00", "price": None}
        url = f"/api/v1/gtt/{made.json()['id']}/"
        client = client_of(alice)
        assert client.get(url).json() == made.json()
        listed = client.get("/api/v1/gtt/?status=ACTIVE").json()["results"]
        assert [row["id"] for row in listed] == [made.json()["id"]]
        assert client.delete(url).json()["status"] == "CANCELLED"
        assert client.delete(url).json()["error"]["code"] == "order_not_live"

    def test_a_leg_on_the_wrong_side_is_named(self, alice: User, acme: Instrument) -> None:
        body = {"instrument_key": acme.key, "side": "BUY", "quantity": 5}
        error = post(alice, "gtt/", {**body, "lower": {"trigger": "105"}}).json()["error"]
        assert (error["code"], list(error["fields"])) == ("invalid_leg", ["lower"])
        assert post(alice, "gtt/", body).json()["error"]["code"] == "invalid_leg"

    def test_a_crash_between_work_and_answer_places_one(
        self, alice: User, acme: Instrument, crashed: Any
    ) -> None:
        body = {
            "instrument_key": acme.key,
            "side": "BUY",
            "quantity": 5,
            "lower": {"trigger": "95"},
        }
        first = post(alice, "gtt/", body, **KEY).json()
        crashed()
        assert post(alice, "gtt/", body, **KEY).json() == first
        assert Gtt.objects.count() == 1

    def test_bracket_has_an_entry_a_stop_and_a_target(
        self, alice: User, acme: Instrument, crashed: Any
    ) -> None:
        body = {
            "instrument_key": acme.key,
            "side": "BUY",
            "quantity": 5,
            "stop": {"trigger": "95.00"},
            "target": {"trigger": "110.00"},
        }
        made = post(alice, "brackets/", body, **KEY)
        assert made.status_code == 201, made.content
        assert made.json()["order"]["status"] == "OPEN"
        assert made.json()["gtt"]["status"] == "PENDING"
        assert made.json()["gtt"]["entry_order_id"] == made.json()["order"]["id"]
        crashed()
        assert post(alice, "brackets/", body, **KEY).json() == made.json()
        assert Order.objects.count() == Gtt.objects.count() == 1


@pytest.fixture
def crashed() -> Any:
    """Leaves the claims as a process does that dies after its work and before its answer."""

    def leave() -> None:
        IdempotencyRecord.objects.update(
            status=None, body=None, created_at=clock.now() - timedelta(minutes=2)
        )

    return leave


class TestAlerts:
    def test_are_made_listed_and_deleted(self, alice: User, acme: Instrument) -> None:
        body = {"instrument_key": acme.key, "kind": "PRICE_ABOVE", "threshold": "120"}
        made = post(alice, "alerts/", body)
        assert made.status_code == 201, made.content
        assert (made.json()["threshold"], made.json()["armed"]) == ("120.00", True)
        alert = Alert.objects.get()
        now = clock.now()
        alerting.keep(fired=[alerting.Fired(alert.pk, 120.5, now)], rearmed=[], at=now)
        client = client_of(alice)
        [event] = client.get("/api/v1/alerts/events/").json()["results"]
        assert (event["alert_id"], event["price"]) == (alert.pk, "120.50")
        url = f"/api/v1/alerts/{alert.pk}/"
        assert client.get(url).json()["fired_count"] == 1
        assert client.delete(url).status_code == 204
        assert client.get("/api/v1/alerts/").json()["results"] == []

    def test_refusals_name_the_field(self, alice: User, acme: Instrument) -> None:
        body = {"instrument_key": acme.key, "kind": "PRICE_ABOVE", "threshold": "90"}
        assert post(alice, "alerts/", body).json()["error"]["code"] == "already_true"
        error = post(alice, "alerts/", {**body, "kind": "MOON"}).json()["error"]
        assert (error["code"], list(error["fields"])) == ("invalid_alert", ["kind"])
        error = post(alice, "alerts/", {**body, "instrument_key": "NSE_EQ|X"}).json()["error"]
        assert list(error["fields"]) == ["instrument_key"]

    def test_a_key_makes_one(self, alice: User, acme: Instrument) -> None:
        body = {"instrument_key": acme.key, "kind": "RANGE_BREAKOUT"}
        first = post(alice, "alerts/", body, **KEY)
        assert post(alice, "alerts/", body, **KEY).content == first.content
        assert Alert.objects.count() == 1


class TestContractNotes:
    def test_as_json_csv_and_pdf(self, alice: User, filled: Fill) -> None:
        client = client_of(alice)
        [day] = client.get("/api/v1/contract-notes/").json()["results"]
        url = f"/api/v1/contract-notes/{day['session_date']}/"
        note = client.get(url).json()
        assert (note["number"], note["bought"], note["net"]) == (day["number"], "995.00", "-996.25")
        assert note["charge_lines"]["stt"] == "1.00"
        assert [line["price"] for line in note["lines"]] == ["99.50"]
        table = client.get(f"{url}csv/")
        assert table["Content-Type"] == "text/csv"
        assert b"ACME" in table.content
        printed = client.get(f"{url}pdf/")
        assert printed["Content-Type"] == "application/pdf"
        assert printed.content.startswith(b"%PDF")

    @pytest.mark.parametrize("day", ["2020-01-01", "2026-02-30", "9999-12-31", "today"])
    def test_of_other_days_do_not_exist(self, alice: User, filled: Fill, day: str) -> None:
        answer = client_of(alice).get(f"/api/v1/contract-notes/{day}/csv/")
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] in {"no_contract_note", "not_found"}


class TestPerformance:
    def test_speaks_of_trips_and_costs(self, alice: User, filled: Fill) -> None:
        client = client_of(alice)
        body = client.get("/api/v1/performance/").json()
        assert (body["fills"], body["open_trips"], body["turnover"]) == (1, 1, "995.00")
        assert body["sectors"] == [{"sector": "Energy", "pnl": "5.00", "trips": 1}]
        [trip] = client.get("/api/v1/performance/trips/").json()["results"]
        assert (trip["entry_price"], trip["exit_price"], trip["pnl"]) == ("99.50", "100.00", "5.00")
        curve = client.get("/api/v1/performance/curve/").json()["results"]
        assert curve[-1]["equity"] == body["equity"]

    def test_practice_is_started_afresh(self, alice: User) -> None:
        old = alice.portfolios.get()
        made = post(alice, "practice/reset/", {})
        assert made.status_code == 201, made.content
        assert made.json()["portfolio_id"] != old.pk
        assert Portfolio.objects.get(user=alice, left_at=None).pk == made.json()["portfolio_id"]


def test_operations_are_for_staff(alice: User) -> None:
    assert client_of(alice).get("/api/v1/operations/").status_code == 403
    body = client_of(student("ta", is_staff=True)).get("/api/v1/operations/").json()
    assert {"title", "lines"} == set(body["groups"][0])
    assert body["bad"] >= 1  # no engine runs in this test
