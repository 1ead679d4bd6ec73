"""Orders and trades over REST."""

from datetime import timedelta
from typing import Any

import pytest

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.models import IdempotencyRecord, User
from tests.support.api import client_of, live_market, share, student
from trading.models import Order

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice() -> User:
    return student("alice")


@pytest.fixture
def reliance() -> Instrument:
    row = share("RELIANCE")
    live_market({row: 2450.0})
    return row


@pytest.fixture(autouse=True)
def _roomy_limits(settings: Any) -> None:
    settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 1000


def place(user: User, row: Instrument, **given: Any) -> Any:
    headers = given.pop("headers", {})
    body = {"instrument_key": row.key, "side": "BUY", "quantity": 1, **given}
    return client_of(user).post("/api/v1/orders/", body, format="json", headers=headers)


class TestPlacing:
    def test_accepts_a_market_order(self, alice: User, reliance: Instrument) -> None:
        answer = place(alice, reliance, quantity=10)
        assert answer.status_code == 201, answer.content
        body = answer.json()
        assert (body["status"], body["quantity"], body["filled_quantity"]) == ("OPEN", 10, 0)
        assert float(body["reserved"]) > 24500
        fetched = client_of(alice).get(f"/api/v1/orders/{body['id']}/")
        assert fetched.json() == body
        listed = client_of(alice).get("/api/v1/orders/?live=true&status=OPEN").json()["results"]
        assert [row["id"] for row in listed] == [body["id"]]

    def test_same_client_order_id_is_the_same_order(
        self, alice: User, reliance: Instrument
    ) -> None:
        first = place(alice, reliance, client_order_id="bot-1")
        again = place(alice, reliance, client_order_id="bot-1", quantity=7)
        assert (first.status_code, again.status_code) == (201, 200)
        assert first.json() == again.json()
        assert Order.objects.count() == 1

    @pytest.mark.parametrize("quantity", [0, -1, 1.5, 10**12, 1e308, "x", True, None, [1]])
    def test_wrong_quantity_is_named(
        self, alice: User, reliance: Instrument, quantity: object
    ) -> None:
        answer = place(alice, reliance, quantity=quantity)
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert error["code"] in {"invalid_quantity", "invalid_input"}
        assert "quantity" in error["fields"]
        assert not Order.objects.exists()

    @pytest.mark.parametrize(
        ("given", "code"),
        [
            ({"instrument_key": "NSE_EQ|NOPE"}, "unknown_instrument"),
            ({"side": "HOLD"}, "invalid_order"),
            ({"order_type": "LIMIT", "price": "2450.03"}, "invalid_tick"),
            ({"order_type": "LIMIT", "price": "-1"}, "invalid_price"),
            ({"order_type": "LIMIT", "price": "NaN"}, "invalid_input"),
            ({"order_type": "LIMIT", "price": "1.00001"}, "invalid_input"),
            ({"quantity": 5000}, "insufficient_cash"),
            ({"side": "SELL"}, "insufficient_holdings"),
            ({"contest": "nothing"}, "no_portfolio"),
            ({"pirce": "1"}, "invalid_input"),
        ],
    )
    def test_refusals_are_named_and_leave_no_trace(
        self, alice: User, reliance: Instrument, given: dict[str, Any], code: str
    ) -> None:
        answer = place(alice, reliance, **given)
        assert answer.json()["error"]["code"] == code
        assert 400 <= answer.status_code < 500
        assert not Order.objects.exists()

    def test_is_throttled_per_user(self, alice: User, reliance: Instrument, settings: Any) -> None:
        settings.ORDERS_PER_SECOND = 3
        settings.ORDERS_PER_MINUTE = 3
        statuses = [place(alice, reliance).status_code for _ in range(5)]
        assert statuses == [201, 201, 201, 429, 429]
        refused = place(alice, reliance)
        assert int(refused["Retry-After"]) >= 1
        assert refused.json()["error"]["code"] == "throttled"
        bob = student("bob")
        assert place(bob, reliance).status_code == 201


class TestIdempotencyKey:
    KEY = {"Idempotency-Key": "a-key"}

    def test_repeats_the_first_answer_byte_for_byte(
        self, alice: User, reliance: Instrument
    ) -> None:
        first = place(alice, reliance, headers=self.KEY)
        again = place(alice, reliance, headers=self.KEY)
        assert first.status_code == again.status_code == 201
        assert first.content == again.content
        assert again["Idempotency-Replayed"] == "true"
        assert Order.objects.count() == 1

    def test_refuses_another_body(self, alice: User, reliance: Instrument) -> None:
        place(alice, reliance, headers=self.KEY)
        other = place(alice, reliance, quantity=2, headers=self.KEY)
        assert other.status_code == 422
        assert other.json()["error"]["code"] == "idempotency_key_reused"

    def test_belongs_to_one_user(self, alice: User, reliance: Instrument) -> None:
        bob = student("bob")
        assert place(alice, reliance, headers=self.KEY).status_code == 201
        assert place(bob, reliance, headers=self.KEY).status_code == 201
        assert Order.objects.count() == 2

    def test_remembers_refusals_of_the_request_itself(
        self, alice: User, reliance: Instrument
    ) -> None:
        first = place(alice, reliance, quantity=0, headers=self.KEY)
        again = place(alice, reliance, quantity=0, headers=self.KEY)
        assert first.status_code == again.status_code == 400
        assert first.content == again.content

    def test_survives_a_process_that_died_between_order_and_answer(
        self, alice: User, reliance: Instrument
    ) -> None:
        first = place(alice, reliance, headers=self.KEY)
        IdempotencyRecord.objects.update(status=None, body=None)
        waiting = place(alice, reliance, headers=self.KEY)
        assert waiting.status_code == 409
        assert waiting.json()["error"]["code"] == "idempotency_in_progress"
        IdempotencyRecord.objects.update(created_at=clock.now() - timedelta(minutes=2))
        again = place(alice, reliance, headers=self.KEY)
        assert again.json()["id"] == first.json()["id"]
        assert Order.objects.count() == 1


class TestChanging:
    def test_modifies_and_cancels(self, alice: User, reliance: Instrument) -> None:
        placed = place(alice, reliance, order_type="LIMIT", price="2400.00").json()
        url = f"/api/v1/orders/{placed['id']}/"
        changed = client_of(alice).patch(url, {"price": "2401.05", "quantity": 2}, format="json")
        assert changed.status_code == 200, changed.content
        assert (changed.json()["price"], changed.json()["quantity"]) == ("2401.05", 2)
        cancelled = client_of(alice).delete(url)
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
        again = client_of(alice).delete(url)
        assert again.status_code == 409
        assert again.json()["error"]["code"] == "order_not_live"

    def test_of_others_is_404(self, alice: User, reliance: Instrument) -> None:
        placed = place(alice, reliance).json()
        bob = client_of(student("bob"))
        url = f"/api/v1/orders/{placed['id']}/"
        assert bob.get(url).status_code == 404
        assert bob.get(f"{url}trades/").status_code == 404
        assert bob.patch(url, {"quantity": 2}, format="json").status_code == 404
        assert bob.delete(url).status_code == 404
        assert Order.objects.get().status == "OPEN"


def test_trades_are_listed(alice: User, reliance: Instrument) -> None:
    order = place(alice, reliance).json()
    for path in ("/api/v1/trades/", f"/api/v1/orders/{order['id']}/trades/"):
        assert client_of(alice).get(path).json() == {"results": [], "next": None, "previous": None}


class TestPreview:
    def test_estimates_and_places_nothing(self, alice: User, reliance: Instrument) -> None:
        body = {"instrument_key": reliance.key, "side": "BUY", "quantity": 150}
        answer = client_of(alice).post("/api/v1/orders/preview/", body, format="json")
        assert answer.status_code == 200, answer.content
        found = answer.json()
        assert found["levels"][0] == {"price": "2450.05", "quantity": 100}
        assert found["expected_quantity"] == 150
        assert float(found["charges"]) > 0
        assert found["refusal"] is None
        assert not Order.objects.exists()

    def test_tells_why_it_would_be_refused(self, alice: User, reliance: Instrument) -> None:
        body = {"instrument_key": reliance.key, "side": "SELL", "quantity": 1}
        found = client_of(alice).post("/api/v1/orders/preview/", body, format="json").json()
        assert found["refusal"]["code"] == "insufficient_holdings"
