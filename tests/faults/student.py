"""A student's program that trades while something is broken, and remembers what it was told."""

import time
import uuid

import requests

from tests.support.product import Product
from tests.support.waiting import eventually

RELIANCE = "NSE_EQ|INE002A01018"


class Student:
    """One student's program: orders, and the status that each got."""

    def __init__(self, product: Product, user: str) -> None:
        self.url = product.url
        self.client = requests.Session()
        answer = self.client.post(
            f"{self.url}/api/v1/auth/token/",
            json={"username": user, "password": product.password},
            timeout=30,
        )
        answer.raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access']}"
        self.acknowledged: list[str] = []
        self.slowest = 0.0

    def order(self) -> requests.Response:
        """Buy one share; what was acknowledged is remembered."""
        began = time.monotonic()
        answer = self.client.post(
            f"{self.url}/api/v1/orders/",
            json={
                "instrument_key": RELIANCE, "side": "BUY", "quantity": 1, "order_type": "MARKET",
                "product": "CNC", "validity": "DAY", "client_order_id": f"fault-{uuid.uuid4()}",
            },
            timeout=30,
        )  # fmt: skip
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
