"""kill -9 of the engine at named points of a settlement: nothing lost, nothing booked twice."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest
from django.conf import settings
from django.db import connection

from mockmarket.core import bus, clock
from mockmarket.core.models import OutboxEvent
from tests.support.services import end_with_parent
from tests.trading.floor import Floor, again, share, student
from trading import verification
from trading.models import Fill, Order

POINTS = [
    "settle.before_lock", "settle.locked", "settle.decided", "settle.fills", "settle.entries",
    "settle.positions", "settle.orders", "settle.balances", "settle.events", "settle.committed",
    "settle.published",
]  # fmt: skip
# The suite takes four, `make faults` all of them, 20 times.
SUITE = ["settle.locked", "settle.balances", "settle.committed", "settle.published"]
READY_SECONDS_MAX = 10.0


# key, price, failpoint; answers how it ended and when it was ready.
RunEngine = Callable[[str, float, str], dict[str, float]]


@pytest.fixture(scope="module")
def run_engine(django_db_setup: None) -> Iterator[RunEngine]:
    """Runs an engine process on this test's database."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.crashes.engine_child"],
        env={**os.environ, **database_environment()}, cwd=settings.BASE_DIR, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=end_with_parent,
    ) as stable:  # fmt: skip
        assert stable.stdin
        assert stable.stdout
        asked, told = stable.stdin, stable.stdout

        def run(key: str, price: float, failpoint: str) -> dict[str, float]:
            print(key, price, failpoint or "-", sep="\t", file=asked, flush=True)
            answer: dict[str, float] = json.loads(told.readline())
            return answer

        yield run
        asked.close()


def database_environment() -> dict[str, str]:
    found = connection.settings_dict
    shared = {
        "REDIS_URL": settings.REDIS_URL,
        "REDIS_PREFIX": settings.REDIS_PREFIX,
        "DJANGO_SETTINGS_MODULE": "mockmarket.settings",
    }
    if connection.vendor == "sqlite":
        return {**shared, "DATABASE_URL": f"sqlite:///{found['NAME']}"}
    url = "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**found)
    return {**shared, "DATABASE_URL": url}


def crash_and_recover(point: str, run_engine: RunEngine) -> float:
    """The seconds in which the engine was ready again."""
    floor = Floor()
    acme, alice, bob = share("ACME"), student("alice"), student("bob")
    floor.now = clock.now()
    floor.tick(acme, 100.0, previous_close=100.0)
    orders = [
        floor.buy(user, acme, 10, order_type="LIMIT", price=99)
        for user in (alice, bob)
        for _ in range(3)
    ]
    killed = run_engine(acme.key, 98.0, point)
    assert killed["code"] == -signal.SIGKILL, "see the engine's traceback"
    assert verification.check_ledger() == []
    for order in orders:  # acknowledged before the crash: still there, whole or untouched
        assert again(order).status in {"OPEN", "FILLED"}
    recovered = run_engine(acme.key, 98.0, "")
    assert recovered["code"] == 0, "see the engine's traceback"
    assert verification.check_ledger() == []
    assert set(Order.objects.values_list("status", flat=True)) == {"FILLED"}
    assert Fill.objects.count() == len(orders)
    bus.relay_unpublished(at=clock.now() + bus.RELAY_GRACE * 2)
    assert not OutboxEvent.objects.filter(published_at=None).exists()
    assert OutboxEvent.objects.filter(type="trade").count() == len(orders)
    return recovered["seconds"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", SUITE)
def test_a_crash_loses_nothing_and_books_nothing_twice(point: str, run_engine: RunEngine) -> None:
    crash_and_recover(point, run_engine)


@pytest.mark.fault
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("round_", range(20))
@pytest.mark.parametrize("point", POINTS)
def test_twenty_crashes_at_each_point(point: str, round_: int, run_engine: RunEngine) -> None:
    seconds = crash_and_recover(point, run_engine)
    print(f"{connection.vendor} {point}: ready after {seconds:.2f} s")  # noqa: T201
    assert seconds <= READY_SECONDS_MAX


@pytest.mark.django_db(transaction=True)
def test_an_engine_that_was_replaced_books_nothing() -> None:
    old = Floor()
    acme, alice = share("ACME"), student("alice")
    old.now = clock.now()
    old.tick(acme, 100.0, previous_close=100.0)
    old.buy(alice, acme, 10, order_type="LIMIT", price=99)
    new = Floor(now=old.now)
    with pytest.raises(Exception, match="the fence has moved on"):
        old.tick(acme, 98.0, asks=[(98.0, 100)])
    assert not Fill.objects.exists()
    new.tick(acme, 98.0, asks=[(98.0, 100)])
    assert Fill.objects.count() == 1
