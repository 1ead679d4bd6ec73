"""Many threads spend one portfolio's cash: exactly the legal number of orders gets through.

The control takes the lock away and must overspend, which shows that the race is a real one.
"""

import contextlib
import copy
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from statistics import median
from unittest import mock

import pytest
from django.db import OperationalError, connections

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import booking
from portfolios.models import Portfolio
from tests.trading.floor import Floor, portfolio, share, student
from trading import services, verification
from trading.models import Order

THREADS = 8
ATTEMPTS = 24
# One order holds back about a tenth of ten lakh: ten are legal.
QUANTITY = 990
LEGAL = 10


@pytest.fixture
def arena(transactional_db: None) -> tuple[Floor, User, Instrument]:
    floor = Floor(now=clock.now())
    acme = share("ACME")
    floor.tick(acme, 100.0, previous_close=100.0)
    return floor, student("alice", at=floor.now), acme


def race(
    attempt: Callable[[int], None], *, threads: int = THREADS, attempts: int = ATTEMPTS
) -> list[str]:
    """Run `attempt(n)` in threads that start together; what each ended with."""
    start = threading.Barrier(threads)
    first = threading.local()

    def run(number: int) -> str:
        if not getattr(first, "past", False):
            first.past = True
            start.wait(timeout=20)
        try:
            attempt(number)
        except DomainError as refusal:
            return refusal.code
        finally:
            connections.close_all()
        return "accepted"

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(attempts)))


def place(floor: Floor, user: User, instrument: Instrument, number: int) -> None:
    draft = services.OrderDraft(
        instrument_key=instrument.key,
        side="BUY",
        quantity=QUANTITY,
        order_type="LIMIT",
        price=Decimal("100.00"),
        client_order_id=f"race-{number}",
    )
    services.place_order(user=user, contest=None, draft=draft, at=floor.now)


@pytest.mark.parametrize("round_", range(3))
def test_exactly_the_legal_number_gets_through(
    arena: tuple[Floor, User, Instrument], round_: int
) -> None:
    floor, alice, acme = arena
    results = race(lambda number: place(floor, alice, acme, number))
    assert results.count("accepted") == LEGAL
    assert results.count("insufficient_cash") == ATTEMPTS - LEGAL
    assert Order.objects.count() == LEGAL
    books = portfolio(alice)
    assert books.reserved == sum(order.reserved for order in Order.objects.all()) <= books.cash
    assert verification.check_ledger() == []


@pytest.mark.fault
@pytest.mark.parametrize("round_", range(100))
def test_a_hundred_races(arena: tuple[Floor, User, Instrument], round_: int) -> None:
    test_exactly_the_legal_number_gets_through(arena, round_)


@pytest.mark.fault
@pytest.mark.parametrize("threads", [16, 50])
@pytest.mark.parametrize("round_", range(20))
def test_ten_of_eighty(
    arena: tuple[Floor, User, Instrument], threads: int, round_: int, capsys: pytest.CaptureFixture
) -> None:
    """The catalogue's numbers. What the slowest took is printed: it is queueing for one row."""
    floor, alice, acme = arena
    took: list[float] = []

    def timed(number: int) -> None:
        began = time.perf_counter()
        try:
            while True:
                # No connection free in time is a 503 that asks to come again: so it does.
                with contextlib.suppress(OperationalError):
                    return place(floor, alice, acme, number)
        finally:
            took.append(time.perf_counter() - began)

    results = race(timed, threads=threads, attempts=80)
    assert results.count("accepted") == LEGAL
    assert results.count("insufficient_cash") == 80 - LEGAL
    assert verification.check_ledger() == []
    with capsys.disabled():
        print(f"{threads} threads: median {median(took):.3f} s, slowest {max(took):.3f} s")  # noqa: T201


@pytest.mark.postgres
@pytest.mark.parametrize(
    "round_", [0, *(pytest.param(n, marks=pytest.mark.fault) for n in range(1, 20))]
)
def test_without_the_lock_it_overspends(arena: tuple[Floor, User, Instrument], round_: int) -> None:
    """The control, where transactions do run side by side: the same race without FOR UPDATE."""
    floor, alice, acme = arena
    together = threading.Barrier(THREADS)

    def unlocked(*, portfolio_id: int) -> Portfolio:
        row = Portfolio.objects.select_related("contest").get(id=portfolio_id)
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(timeout=1)  # every thread has read before any writes
        return row

    with mock.patch.object(booking, "lock_portfolio", unlocked):
        results = race(lambda number: place(floor, alice, acme, number))
    assert results.count("accepted") > LEGAL


def test_on_a_balance_read_before_the_lock_it_overspends(
    arena: tuple[Floor, User, Instrument],
) -> None:
    """The control on both engines: SQLite has no FOR UPDATE to take away, there the transaction
    itself is the lock, so what is read before it is what must not be believed."""
    floor, alice, acme = arena
    early = Portfolio.objects.select_related("contest").get(user=alice)

    def believed(*, portfolio_id: int) -> Portfolio:
        return copy.copy(early)

    with mock.patch.object(booking, "lock_portfolio", believed):
        results = race(lambda number: place(floor, alice, acme, number))
    assert results.count("accepted") > LEGAL
    assert verification.check_ledger() != []


def test_one_client_order_id_from_many_threads_is_one_order(
    arena: tuple[Floor, User, Instrument],
) -> None:
    floor, alice, acme = arena
    orders: list[object] = []

    def attempt(number: int) -> None:
        draft = services.OrderDraft(
            instrument_key=acme.key,
            side="BUY",
            quantity=1,
            order_type="LIMIT",
            price=Decimal("100.00"),
            client_order_id="the-same",
        )
        result = services.place_order(user=alice, contest=None, draft=draft, at=floor.now)
        orders.append((result.order.pk, result.order.reserved, result.order.status))

    assert set(race(attempt)) == {"accepted"}
    assert len(orders) == ATTEMPTS
    assert len(set(orders)) == 1
    assert Order.objects.count() == 1
