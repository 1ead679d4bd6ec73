"""The same orders posted again and again at once: one order a key, one answer for all.

A short storm here; `make faults` sends 100 keys 200 times each to the running product over HTTP.
"""

import os
import threading
import uuid
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from django.db import connections
from rest_framework.test import APIClient

from mockmarket.core import clock
from tests.support.product import running
from tests.trading.floor import Floor, share, student
from trading import verification
from trading.models import Order

# (status, body) of one attempt.
Answer = tuple[int, bytes]
AGAIN = {409, 429, 503}
ATTEMPTS_MAX = 200
TIMES = int(os.environ.get("STORM_TIMES", "200"))


def storm(
    post: Callable[[str], Answer], *, keys: list[str], times: int, threads: int
) -> dict[str, set[Answer]]:
    """Every key posted `times` times, in no order, tried again where told to; answers by key."""
    found: dict[str, set[Answer]] = defaultdict(set)
    lock = threading.Lock()

    def one(key: str) -> None:
        for attempt in range(ATTEMPTS_MAX):
            answer = post(key)
            if answer[0] not in AGAIN:
                break
            threading.Event().wait(0.01 * (attempt + 1))
        with lock:
            found[key].add(answer)

    # Copies of one key stand beside each other, so that they meet.
    work = [key for key in keys for _ in range(times)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, work))
    return found


def body(key: str, *, quantity: int = 1) -> dict[str, Any]:
    return {
        "instrument_key": key, "side": "BUY", "quantity": quantity, "order_type": "LIMIT",
        "price": "99.00",
    }  # fmt: skip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("protected", [True, False], ids=["with keys", "control: without"])
def test_a_storm_of_repeats_is_one_order_a_key(settings: Any, protected: bool) -> None:
    settings.ORDERS_PER_SECOND = settings.ORDERS_PER_MINUTE = 100_000
    floor = Floor(now=clock.now())
    acme, alice = share("ACME"), student("alice")
    floor.tick(acme, 100.0, previous_close=100.0)

    def post(key: str) -> Answer:
        client = APIClient()
        client.force_authenticate(alice)
        headers = {"Idempotency-Key": key} if protected else {}
        try:
            answer = client.post("/api/v1/orders/", body(acme.key), format="json", headers=headers)
            return answer.status_code, answer.content
        finally:
            connections.close_all()

    keys = [f"storm-{number}" for number in range(3)]
    found = storm(post, keys=keys, times=10, threads=6)
    if not protected:  # the rule of 60 orders a minute aside, each repeat is an order
        assert Order.objects.count() == 30
        return
    assert Order.objects.count() == len(keys)
    assert {len(answers) for answers in found.values()} == {1}
    assert {status for answers in found.values() for status, _ in answers} == {201}
    client = APIClient()
    client.force_authenticate(alice)
    other = client.post(
        "/api/v1/orders/", body(acme.key, quantity=2), format="json",
        headers={"Idempotency-Key": keys[0]},
    )  # fmt: skip
    assert other.status_code == 422
    assert verification.check_ledger() == []


@pytest.mark.fault
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("flavour", ["sqlite", "postgres"])
def test_a_hundred_keys_two_hundred_times_over_http(flavour: str) -> None:
    """Again after a restart: the first answers are still given."""
    limits = {
        "ORDERS_PER_SECOND": "100000",
        "ORDERS_PER_MINUTE": "100000",
        "LOGINS_PER_ADDRESS_PER_MINUTE": "10000",
        "JWT_ACCESS_MINUTES": "120",  # on a busy machine the storm outlasts the usual ten
    }
    local = threading.local()
    with running(flavour, **limits) as product:
        names = [f"student{number:02d}" for number in range(1, 21)]
        tokens = {name: _token(product.url, name, product.password) for name in names}
        listed = requests.get(
            f"{product.url}/api/v1/instruments/?segment=NSE_EQ", timeout=60,
            headers={"Authorization": f"Bearer {tokens[names[0]]}"},
        )  # fmt: skip
        instrument = listed.json()["results"][0]["instrument_key"]
        keys = [f"{name} {uuid.uuid4()}" for name in names for _ in range(5)]

        def post(key: str) -> Answer:
            if not hasattr(local, "session"):
                local.session = requests.Session()
            try:
                answer = local.session.post(
                    f"{product.url}/api/v1/orders/",
                    json={
                        "instrument_key": instrument, "side": "BUY", "quantity": 1,
                        "order_type": "MARKET",
                    },
                    headers={
                        "Authorization": f"Bearer {tokens[key.split()[0]]}",
                        "Idempotency-Key": key,
                    },
                    timeout=60,
                )  # fmt: skip
            except requests.ConnectionError:
                return 503, b""
            return answer.status_code, answer.content

        before = _orders(product, tokens)
        found = storm(post, keys=keys, times=TIMES, threads=16)
        assert {len(answers) for answers in found.values()} == {1}
        assert {status for answers in found.values() for status, _ in answers} == {201}
        assert _orders(product, tokens) - before == len(keys)
        product.stop()
        product.start()
        again = storm(post, keys=keys, times=2, threads=8)
        assert again == found
        assert _orders(product, tokens) - before == len(keys)
        product.manage("check_ledger")


def _token(url: str, name: str, password: str) -> str:
    answer = requests.post(
        f"{url}/api/v1/auth/token/", json={"username": name, "password": password}, timeout=60
    )
    answer.raise_for_status()
    return str(answer.json()["access"])


def _orders(product: Any, tokens: dict[str, str]) -> int:
    """How many orders there are, as the API pages them."""
    count = 0
    for token in tokens.values():
        url: str | None = f"{product.url}/api/v1/orders/?limit=100"
        while url:
            page = requests.get(
                url, headers={"Authorization": f"Bearer {token}"}, timeout=60
            ).json()
            count += len(page["results"])
            url = page.get("next")
    return count
