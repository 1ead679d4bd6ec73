"""Orders, cancellations, fills, joining and leaving, all at once over five students: locks are
taken in one order, so that nobody waits in a circle (T3)."""

import random
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import OperationalError, connection, connections, transaction

from marketdata.models import Instrument
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios import contests
from portfolios import services as portfolios
from portfolios.models import Contest, Portfolio
from tests.support.waiting import eventually
from tests.trading.floor import Floor, share, student
from trading import services, verification
from trading.models import Fill, Order

pytestmark = [pytest.mark.fault, pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
THREADS = 20
TURNS = 25
NAMES = ("alice", "bob", "charlie", "dave", "erin")


def deadlocks() -> int:
    """How many the server has seen in this database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        return int(cursor.fetchone()[0])


def contest(number: int) -> Contest:
    at, rules = clock.now(), contests.Rules()
    return Contest.objects.create(
        name=f"Cup {number}", slug=f"cup-{number}", join_code=f"CUP{number}", state="RUNNING",
        starts_at=at, created_at=at, rules=rules.as_json(), rules_hash=rules.digest(),
    )  # fmt: skip


def act(
    chance: random.Random, *, users: list[User], cups: list[Contest], shares: list[Instrument]
) -> str:
    """One thing that a student does, by chance; what came of it."""
    user, cup = chance.choice(users), chance.choice(cups)
    kind = chance.choice(["order", "order", "order", "cancel", "cancel", "join", "join", "leave"])
    try:
        if kind == "order":
            draft = services.OrderDraft(
                instrument_key=chance.choice(shares).key, side="BUY", quantity=1,
                order_type="LIMIT", price=Decimal(chance.choice(["99.00", "101.00"])),
            )  # fmt: skip
            where = chance.choice([None, cup.slug])
            services.place_order(user=user, contest=where, draft=draft, at=clock.now())
        elif kind == "cancel":
            own = Order.objects.filter(portfolio__user=user, status="OPEN").order_by("?").first()
            if own is None:
                return "nothing to cancel"
            services.cancel_order(user=user, order_id=own.pk, at=clock.now())
        elif kind == "join":
            portfolios.join_contest(user=user, code=cup.join_code, at=clock.now())
        else:
            portfolios.leave_contest(user=user, contest=cup, at=clock.now())
    except DomainError as refusal:
        return f"{kind}: {refusal.code}"
    return kind


def crowd(work: Callable[[int], object]) -> None:
    """`work(n)` in threads that start together; the first thing that one raises is raised."""
    connection.pool.resize(0, THREADS + 2)  # else some would be told to come again
    connection.pool.timeout = 60
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        start.wait(timeout=60)
        try:
            work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))


def test_nobody_waits_in_a_circle() -> None:
    floor = Floor(now=clock.now())
    shares = [share("ACME"), share("BETA")]
    for one in shares:
        floor.tick(one, 100.0, previous_close=100.0)
    users = [student(name) for name in NAMES]
    cups = [contest(number) for number in range(6)]
    before, done = deadlocks(), Counter[str]()

    def work(number: int) -> None:
        chance = random.Random(number)
        if number == 0:  # the engine: fills of all portfolios in one transaction
            for turn in range(TURNS * 2):
                floor.now = clock.now()
                floor.run()
                asks = [(98.0 + turn % 3, 100)]
                floor.tick(shares[turn % 2], 98.0 + turn % 3, asks=asks)
            return
        for _ in range(TURNS):
            done[act(chance, users=users, cups=cups, shares=shares)] += 1

    crowd(work)
    assert done["order"] > 50
    assert done["cancel"] > 5
    assert done["join"] > 5
    assert done["leave"] >= 1
    assert Fill.objects.count() > 20
    # Statistics are told when a session has been idle for a moment: its end tells them.
    connection.close()
    assert deadlocks() == before
    assert verification.check_ledger() == []
    print(dict(done), Fill.objects.count(), "fills")  # noqa: T201


def test_control_locks_in_two_orders_are_a_circle() -> None:
    rows = [Portfolio.objects.get(user=student(name)).pk for name in ("alice", "bob")]
    before, both = deadlocks(), threading.Barrier(2)
    failed: list[str] = []

    def work(number: int) -> None:
        if number > 1:
            return
        try:
            with transaction.atomic():
                for pk in rows if number else rows[::-1]:
                    Portfolio.objects.select_for_update().get(pk=pk)
                    if not both.broken and pk == (rows if number else rows[::-1])[0]:
                        both.wait(timeout=60)
        except OperationalError as error:
            failed.append(str(error))

    crowd(work)
    assert len(failed) == 1
    assert "deadlock detected" in failed[0]
    eventually(lambda: deadlocks() == before + 1, seconds=20, poll=0.5)
