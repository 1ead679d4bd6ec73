"""`run_market` itself, killed with SIGKILL while it books, and stopped while another takes over.

A real exchange, a real engine process, real Redis; the database is the one the tests run on, so
SQLite and PostgreSQL alike.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from marketdata import selectors as market_selectors
from marketdata import services as market_services
from marketdata.mirror import mirror
from mockmarket.core import bus, clock, redis
from mockmarket.core.models import OutboxEvent, User
from tests.crashes.test_engine_killed import POINTS, database_environment
from tests.support import services as servers
from tests.support.api import student
from tests.support.exchange import HDFC, RELIANCE, exchange
from tests.support.waiting import PATIENCE, eventually
from trading import services, verification
from trading.models import Fill, Order

READY_SECONDS_MAX = 10.0
ORDERS = 12
KILLS = int(os.environ.get("RANDOM_KILLS", "20"))

pytestmark = [
    pytest.mark.fault,
    pytest.mark.timeout(900),
    pytest.mark.django_db(transaction=True),
]


@pytest.fixture
def venue(transactional_db: None) -> Iterator[dict[str, str]]:
    """A listed universe, two students and an exchange; the environment of an engine."""
    redis.client().flushdb()
    market_services.seed_universe()
    market_selectors.forget()
    mirror.cache_clear()
    with exchange() as running, tempfile.TemporaryDirectory() as folder:
        yield {
            **os.environ,
            **database_environment(),
            "UPSTOX_REST_URL": running.rest_url,
            "UPSTOX_FEED_URL": running.feed_url,
            "MARKET_SOURCE": "simulated",
            "MARKET_HOURS": "always",
            "VAR_DIR": folder,
        }


@contextmanager
def engine(environment: dict[str, str], **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py run_market`, ended with the block however it ends."""
    log = Path(environment["VAR_DIR"]) / "engine.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "run_market"],
            cwd=settings.BASE_DIR, env={**environment, **more},
            stdout=output, stderr=output, preexec_fn=servers.end_with_parent,
        )  # fmt: skip
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def worked(process: subprocess.Popen[bytes]) -> float:
    """The seconds of processor that it has used: what else runs does not change them."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def token() -> int:
    """The fencing token of the engine whose heart beats; 0 for none."""
    raw = redis.client().get(redis.key("heartbeat", "engine"))
    return int(json.loads(raw)["token"]) if raw else 0


def priced() -> bool:
    copy = mirror()
    copy.refresh()
    return all(copy.row(key) is not None for key in (HDFC, RELIANCE))


def ready(process: subprocess.Popen[bytes], *, after: int = 0) -> float:
    """Wait until an engine with a newer token serves prices; the seconds since now."""
    began = time.monotonic()
    eventually(lambda: process.poll() is not None or (token() > after and priced()), seconds=60)
    assert process.poll() is None, "the engine ended instead of serving"
    return time.monotonic() - began


def place(user: User, number: int) -> Order:
    draft = services.OrderDraft(
        instrument_key=(HDFC, RELIANCE)[number % 2], side="BUY", quantity=2,
        client_order_id=f"crash-{number}",
    )  # fmt: skip
    return services.place_order(user=user, contest=None, draft=draft, at=clock.now()).order


def filled(count: int) -> bool:
    return Order.objects.filter(status="FILLED").count() == count


def prove(orders: list[Order]) -> None:
    """Nothing acknowledged is lost, nothing is booked twice, every event is out."""
    assert verification.check_ledger() == []
    assert list(filter(None, verification.verify_fills())) == []
    assert set(Order.objects.values_list("pk", flat=True)) == {order.pk for order in orders}
    bought = sum(Fill.objects.values_list("quantity", flat=True))
    assert bought == 2 * len(orders)
    bus.relay_unpublished(at=clock.now() + bus.RELAY_GRACE * 2)
    assert not OutboxEvent.objects.filter(published_at=None).exists()
    assert OutboxEvent.objects.filter(type="trade").count() == Fill.objects.count()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_point_it_comes_back_whole(venue: dict[str, str], point: str) -> None:
    users = [student("alice"), student("bob")]
    with engine(venue, FAILPOINT=point) as first:
        ready(first)
        orders = [place(users[number % 2], number) for number in range(ORDERS)]
        eventually(lambda: first.poll() is not None, seconds=30)
        assert first.returncode == -signal.SIGKILL
    before = token()
    assert verification.check_ledger() == []
    with engine(venue) as second:
        began = time.monotonic()
        eventually(lambda: filled(ORDERS), seconds=60)
        seconds = time.monotonic() - began
        print(  # noqa: T201
            f"{connection.vendor} {point}: whole again after {seconds:.1f} s,"
            f" {worked(second):.1f} s of work, load {os.getloadavg()[0]:.0f}"
        )
        assert seconds <= READY_SECONDS_MAX * PATIENCE
        eventually(lambda: token() > before, seconds=10)  # its heart beats each second
        assert second.poll() is None
        prove(orders)


def test_killed_at_any_moment_under_load_it_comes_back_whole(venue: dict[str, str]) -> None:
    """Kills at random moments, a second or less apart, while orders keep coming (T5)."""
    users = [student("alice"), student("bob")]
    chance = random.Random(5)
    orders: list[Order] = []
    for _ in range(KILLS):
        with engine(venue) as running:
            before = token()
            ready(running, after=before)
            end = time.monotonic() + chance.uniform(0.0, 1.0)
            while time.monotonic() < end:
                orders.append(place(users[len(orders) % 2], len(orders)))
                time.sleep(0.1)  # a contest allows 60 orders a minute
            running.kill()
            running.wait()
        assert verification.check_ledger() == []
    with engine(venue) as last:
        began = time.monotonic()
        eventually(lambda: filled(len(orders)), seconds=60)
        print(  # noqa: T201
            f"{connection.vendor}: {KILLS} kills, {len(orders)} orders, whole again after"
            f" {time.monotonic() - began:.1f} s, {worked(last):.1f} s of work,"
            f" load {os.getloadavg()[0]:.0f}"
        )
        assert last.poll() is None
        prove(orders)


@pytest.mark.parametrize("round_", range(3))
def test_an_engine_that_slept_never_fills_beside_its_successor(
    venue: dict[str, str], round_: int
) -> None:
    """The first engine is stopped until its lease has gone to the second, and then wakes."""
    users = [student("alice"), student("bob")]
    with engine(venue) as first:
        ready(first)
        orders = [place(users[number % 2], number) for number in range(4)]
        eventually(lambda: filled(4), seconds=30)
        held = token()
        with engine(venue) as second:
            time.sleep(2)
            assert token() == held, "the second stands by while the first holds the lease"
            first.send_signal(signal.SIGSTOP)
            orders += [place(users[number % 2], number) for number in range(4, 8)]
            ready(second, after=held)
            first.send_signal(signal.SIGCONT)
            orders += [place(users[number % 2], number) for number in range(8, 12)]
            eventually(lambda: filled(12), seconds=30)
            time.sleep(2)
            eventually(lambda: token() > held, seconds=10)
            prove(orders)


def test_without_the_fence_a_sleeper_would_book(venue: dict[str, str]) -> None:
    """The control: the same decision is refused with an old token and booked with the new one."""
    from tests.trading.floor import Floor, share
    from trading import settlement

    old = Floor(now=clock.now())
    acme, alice = share("ACME"), student("alice")
    old.tick(acme, 100.0, previous_close=100.0)
    old.buy(alice, acme, 10, order_type="LIMIT", price=99)
    found: list[Any] = []
    old.settle = found.extend  # type: ignore[assignment]
    old.tick(acme, 98.0, asks=[(98.0, 100)])
    new = settlement.take_fence(at=clock.now())
    with pytest.raises(settlement.Fenced):
        settlement.settle(found, fence=old.fence)
    assert not Fill.objects.exists()
    assert [one.filled for one in settlement.settle(found, fence=new)] == [10]
    assert Fill.objects.get().price == Decimal("99")
