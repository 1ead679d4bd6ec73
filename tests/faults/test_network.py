"""The network between the product and its stores: late, silent, cut (T4, T6, T9).

A proxy between them fails on request (`tests/support/proxy.py`); the servers themselves stay well.
"""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from redis import Redis

from mockmarket.core import redis
from mockmarket.core.databases.postgresql import ANSWER_SECONDS_MAX
from tests.faults.student import RELIANCE, Student
from tests.support import services
from tests.support.product import Product, running
from tests.support.proxy import FaultProxy, proxy_to
from tests.support.waiting import PATIENCE, eventually

pytestmark = [pytest.mark.fault, pytest.mark.timeout(900)]
LIMITS = {"ORDERS_PER_SECOND": "1000", "ORDERS_PER_MINUTE": "10000"}


class Lines:
    """A product, and the proxies between it and its stores."""

    def __init__(
        self, product: Product, database: FaultProxy, redis: FaultProxy, store: str
    ) -> None:
        self.product, self.database, self.redis = product, database, redis
        self.store = Redis.from_url(store)  # the server itself, past the proxy
        self.store.ping()


@pytest.fixture(scope="module")
def lines() -> Iterator[Lines]:
    found = services.found_postgres()
    own = services.start_postgres() if found is None else None
    server = found or (own.url if own else "")
    store = services.start_redis()
    name = f"mm_network_{uuid.uuid4().hex[:8]}"
    url = services.create_database(server, name)
    try:
        with (
            proxy_to(url) as database,
            proxy_to(store.url) as redis,
            running(
                "sqlite",
                DATABASE_URL=database.through(url),
                REDIS_URL=redis.through(store.url),
                **LIMITS,
            ) as product,
        ):
            yield Lines(product, database, redis, store.url)
    finally:
        services.drop_database(server, name)
        store.stop()
        if own is not None:
            own.stop()


@pytest.fixture(autouse=True)
def _well_again(lines: Lines) -> Iterator[None]:
    yield
    lines.store.config_set("maxclients", 10_000)
    for proxy in (lines.database, lines.redis):
        proxy.set("pass")
        proxy.reset()
    time.sleep(redis.AWAY_SECONDS)  # until then nobody signs in
    eventually(
        lambda: requests.get(f"{lines.product.url}/readyz", timeout=10).status_code == 200,
        seconds=30,
    )


def timed(call: Any) -> tuple[float, requests.Response]:
    began = time.monotonic()
    answer = call()
    return time.monotonic() - began, answer


@pytest.mark.parametrize("mode", ["hold", "half_open"])
def test_a_silent_database_is_said_soon_and_forgotten_after(lines: Lines, mode: Any) -> None:
    """T9: a server that is paused, or whose packets are lost."""
    student = Student(lines.product, "student01")
    assert eventually(student.ordered, seconds=10)
    lines.database.set(mode)
    first, answer = timed(student.order)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
    assert int(answer.headers["Retry-After"]) >= 1
    assert first <= (ANSWER_SECONDS_MAX + 1) * PATIENCE
    later = [timed(student.order) for _ in range(4)]
    assert {found.status_code for _, found in later} == {503}
    slowest = max(seconds for seconds, _ in later)
    ready, probe = timed(lambda: requests.get(f"{lines.product.url}/readyz", timeout=30))
    assert probe.status_code == 503
    lines.database.set("pass")
    if mode == "half_open":
        lines.database.reset()  # what lost bytes cannot be gone on with
    back, _ = timed(lambda: eventually(student.ordered, seconds=10))
    student.prove(lines.product)
    print(  # noqa: T201 (the figures are the point)
        f"{mode}: first 503 {first:.1f} s, later {slowest:.1f} s, /readyz {ready:.1f} s,"
        f" orders again {back:.1f} s"
    )


@pytest.mark.parametrize("mode", ["hold", "half_open", "refuse", "full"])
def test_orders_go_on_while_redis_is_silent(lines: Lines, mode: Any) -> None:
    """T6: nothing of value needs Redis; a request waits for it once."""
    # Sixty orders a minute each.
    student = Student(lines.product, f"student1{'hold half_open refuse full'.index(mode) % 9}")
    usual = [timed(student.order) for _ in range(20)]
    if mode == "full":
        lines.store.config_set("maxclients", 1)  # which is this test's own connection
    else:
        lines.redis.set(mode)
    if mode in {"refuse", "full"}:
        lines.redis.reset()
    without = [timed(student.order) for _ in range(20)]
    assert {answer.status_code for _, answer in usual + without} == {201}
    slowest = max(seconds for seconds, _ in without)
    # One of an order's questions waits, and only one order in AWAY_SECONDS.
    assert slowest <= (redis.ANSWER_SECONDS_MAX + 1) * PATIENCE
    assert median(without) <= max(2 * median(usual), 0.5)
    lines.store.config_set("maxclients", 10_000)
    lines.redis.set("pass")
    lines.redis.reset()
    back, _ = timed(
        lambda: eventually(
            lambda: requests.get(f"{lines.product.url}/readyz", timeout=10).status_code == 200,
            seconds=15,
        )
    )
    last = student.acknowledged[-1]
    filled, _ = timed(lambda: eventually(lambda: state(student, last) == "FILLED", seconds=15))
    student.prove(lines.product)
    print(  # noqa: T201
        f"{mode}: orders median {median(usual):.3f} s before, {median(without):.3f} s without,"
        f" slowest {slowest:.1f} s; ready again {back:.1f} s, last one filled {filled:.1f} s later"
    )


def test_late_answers_of_both_stores_only_cost_time(lines: Lines) -> None:
    student = Student(lines.product, "student03")
    usual = [timed(student.order) for _ in range(10)]
    for proxy in (lines.database, lines.redis):
        proxy.set("pass", delay=0.01)
    late = [timed(student.order) for _ in range(10)]
    assert {answer.status_code for _, answer in usual + late} == {201}
    for proxy in (lines.database, lines.redis):
        proxy.set("pass")
    student.prove(lines.product)
    print(f"10 ms each way: {median(usual):.3f} s became {median(late):.3f} s")  # noqa: T201


@pytest.mark.parametrize("protected", [True, False], ids=["keyed", "control without a key"])
def test_answers_cut_at_any_byte_are_asked_for_again(lines: Lines, protected: bool) -> None:
    """T4: 40 orders, each repeated until its answer came whole."""
    user = "student04" if protected else "student05"
    student = Student(lines.product, user)
    with proxy_to(lines.product.url, seed=4) as web:
        web.cut_after(1, 1500)
        url = web.through(lines.product.url) + "/api/v1/orders/"
        kept: dict[str, bytes] = {}
        tries = 0
        for number in range(40):
            key = f"{user}-{number}"
            while key not in kept:
                tries += 1
                answer = whole(student, url, key if protected else None)
                if answer is not None:
                    kept[key] = answer
        web.cut_after(0, 0)
        placed = student.client.get(
            f"{lines.product.url}/api/v1/orders/?limit=500", timeout=30
        ).json()["results"]
        assert tries > 50, "hardly an answer was cut"
        if not protected:
            assert len(placed) > 40, "without a key repeats are orders"
            return
        assert len(placed) == 40
        for key, body in kept.items():
            assert whole(student, url, key) == body
    student.prove(lines.product)
    print(f"40 orders in {tries} tries through cut answers")  # noqa: T201


def whole(student: Student, url: str, key: str | None) -> bytes | None:
    """The body of an answer that came whole, else None."""
    order = {
        "instrument_key": RELIANCE, "side": "BUY", "quantity": 1, "order_type": "MARKET",
        "product": "CNC", "validity": "DAY",
    }  # fmt: skip
    headers = {"Connection": "close", **({"Idempotency-Key": key} if key else {})}
    try:
        answer = student.client.post(url, json=order, headers=headers, timeout=30)
        json.loads(answer.content)
    except (requests.RequestException, ValueError):
        return None
    if answer.status_code == 409:  # the first try is still being answered
        time.sleep(0.2)
        return None
    assert answer.status_code == 201, answer.text
    return answer.content


def state(student: Student, number: str) -> str:
    answer = student.client.get(f"{student.url}/api/v1/orders/{number}/", timeout=30)
    return str(answer.json()["status"])


def median(found: list[tuple[float, requests.Response]]) -> float:
    return sorted(seconds for seconds, _ in found)[len(found) // 2]
