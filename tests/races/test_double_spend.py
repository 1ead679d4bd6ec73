"""Many threads spend one portfolio's cash: exactly the legal number of orders gets through.

The control takes the lock away and must overspend, which shows that the race is a real one.
"""

import contextlib
import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from unittest import mock

import pytest
from django.db import connections

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


def race(attempt: Callable[[int], None]) -> list[str]:
    """Run `attempt(n)` in threads that start together; what each ended with."""
    start = threading.Barrier(THREADS)
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

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(ATTEMPTS)))


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


@pytest.mark.postgres
def test_without_the_lock_it_overspends(arena: tuple[Floor, User, Instrument]) -> None:
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
