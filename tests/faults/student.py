"""A student's program that trades while something is broken, and remembers what it was told."""

import time
import uuid
from typing import Any

import requests

from tests.support.product import Product
from tests.support.waiting import eventually

RELIANCE = "NSE_EQ|INE002A01018"
AT_MARKET = {"order_type": "MARKET", "product": "CNC", "validity": "DAY"}


class Student:
    """One student's program: orders, and the status that each got."""

    def __init__(self, product: Product, user: str = "student01") -> None:
        self.url = product.url
        self.name, self._password = user, product.password
        self.client = requests.Session()
        self.sign_in()
        self.acknowledged: list[str] = []
        self.slowest = 0.0

    def sign_in(self) -> None:
        """With the password; again when the token has run out."""
        answer = self.client.post(
            f"{self.url}/api/v1/auth/token/",
            json={"username": self.name, "password": self._password},
            timeout=60,
        )
        answer.raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access']}"

    def get(self, path: str, **query: Any) -> Any:
        """What the API answers to a GET, which must succeed."""
        answer = self.client.get(f"{self.url}/api/v1/{path}", params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def buy(self, key: str, quantity: int, **fields: Any) -> requests.Response:
        """An order to buy, however it is answered."""
        body = {"instrument_key": key, "side": "BUY", "quantity": quantity, **fields}
        return self.client.post(f"{self.url}/api/v1/orders/", json=body, timeout=60)

    def order(self) -> requests.Response:
        """Buy one share; what was acknowledged is remembered."""
        began = time.monotonic()
        answer = self.buy(RELIANCE, 1, client_order_id=f"fault-{uuid.uuid4()}", **AT_MARKET)
        self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status_code == 201:
            self.acknowledged.append(answer.json()["id"])
        return answer

    def ordered(self) -> bool:
        """Whether an order goes through, at the rate that is allowed."""
        time.sleep(0.15)
        answer = self.order()
        assert answer.status_code == 201, answer.text
        return True

    def refused(self) -> requests.Response:
        """The first order that is refused because a store is away."""

        def away() -> list[requests.Response]:  # a refusal alone would be false
            time.sleep(0.15)
            answer = self.order()
            assert answer.status_code == 503, answer.text
            return [answer]

        return eventually(away, seconds=20)[0]

    def prove(self, product: Product) -> None:
        """What was acknowledged exists, and the books prove."""
        for number in self.acknowledged:
            found = self.client.get(f"{self.url}/api/v1/orders/{number}/", timeout=30)
            assert found.status_code == 200
        assert "The books prove" in product.manage("check_ledger")
