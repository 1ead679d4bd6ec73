"""A student's books under any sequence of orders, ticks, cancels, restarts and closes.

Hypothesis drives the services, the desk and settlement against a plain account kept beside them;
after every step the invariants of the ledger and of the orders hold.
"""

import contextlib
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, seed
from hypothesis import settings as given_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from tests.trading import proof
from tests.trading.floor import CONTINUOUS, Floor, share, student
from trading import housekeeping, lifecycle, services, verification
from trading.corporate_actions import services as corporate
from trading.models import Order

D = Decimal
# The product's own check beside the SQL of every step; and once more at the end.
FULL_PROOF_EVERY = 60
# Days and restarts come seldom enough that something happens between them.
DAY_STEPS_MIN, RESTART_STEPS_MIN = 12, 4
# Of one run of the search; an example ends early where its choices are used up.
EXAMPLES, STEPS_OF_EXAMPLE = 6, 100
PARTS, PARTS_ALWAYS = 8, 2


class Rollback(Exception):
    """Ends an example; nothing of it stays."""


class Trading(RuleBasedStateMachine):
    """Two students, two shares; every step may fail by a named refusal and by nothing else."""

    taken: Counter[str] = Counter()  # by all examples of a run

    @initialize()
    def open(self) -> None:
        self.scope = contextlib.ExitStack()
        self.scope.enter_context(contextlib.suppress(Rollback))
        example = transaction.atomic()
        example._from_testcase = True  # durable blocks may nest in it, as in a TestCase
        self.scope.enter_context(example)
        self.floor = Floor()
        self.shares = [share("ACME"), share("FNO", cas_eligible=True)]
        self.users = [student("alice"), student("bob")]
        self.last = [100.0, 100.0]
        self.ended: dict[Any, tuple[str, int]] = {}
        self.live = False
        self.proven_at: int | None = -1
        self.steps = self.quiet = 0
        self.taken["steps"] -= 1  # the look at the books before the first
        for number in range(2):
            self.tick(number, 0, 500, 0)

    def teardown(self) -> None:
        if hasattr(self, "scope"):
            assert verification.check_ledger() == []
            transaction.set_rollback(True)
            self.scope.close()

    @rule(
        number=st.integers(0, 1),
        move=st.integers(-40, 40),
        size=st.integers(0, 900),
        traded=st.integers(0, 400),
    )
    def tick(self, number: int, move: int, size: int, traded: int, *, settle: bool = True) -> None:
        last = min(108.0, max(92.0, round(self.last[number] + move * 0.05, 2)))
        self.last[number] = last
        self.floor.tick(
            self.shares[number],
            last,
            bids=[(round(last - 0.05 * n, 2), size + n) for n in range(1, 4)] if size else [],
            asks=[(round(last + 0.05 * n, 2), size + n) for n in range(1, 4)] if size else [],
            traded=traded,
            previous_close=100.0,
            settle=settle,
        )

    @rule(number=st.integers(0, 1), move=st.integers(-6, 6))
    def drift(self, number: int, move: int) -> None:
        """A small move in a full book: what a market mostly does."""
        self.tick(number, move, 400, 50)

    @rule(
        who=st.integers(0, 1),
        number=st.integers(0, 1),
        side=st.sampled_from(["BUY", "SELL"]),
        product=st.sampled_from(["CNC", "MIS"]),
        order_type=st.sampled_from(["MARKET", "LIMIT", "SL", "SL_M"]),
        quantity=st.integers(1, 6_000),
        away=st.integers(-30, 30),
        ioc=st.booleans(),
        late=st.booleans(),
    )
    def place(
        self, who: int, number: int, side: str, product: str, order_type: str, quantity: int,
        away: int, ioc: bool, late: bool,
    ) -> None:  # fmt: skip
        # No two orders of one instant: their ids are random, and so would be their priority.
        self.floor.wait(0.001)
        price = round(self.last[number] + away * 0.05, 2)
        fields: dict[str, Any] = {"order_type": order_type, "product": product}
        if order_type in {"LIMIT", "SL"}:
            fields["price"] = price
        if order_type in {"SL", "SL_M"}:
            fields["trigger_price"] = price
        elif ioc:
            fields["validity"] = "IOC"
        with contextlib.suppress(DomainError):
            self.floor.place(
                self.users[who], self.shares[number], side, quantity, run=not late,
                everything=False, **fields,
            )  # fmt: skip

    @rule(who=st.integers(0, 1), number=st.integers(0, 1), quantity=st.integers(1, 2_000))
    def buy(self, who: int, number: int, quantity: int) -> None:
        """A plain purchase: what most people do."""
        self.place(who, number, "BUY", "CNC", "MARKET", quantity, 0, ioc=False, late=False)

    @rule(who=st.integers(0, 1), number=st.integers(0, 1), away=st.integers(-4, 4))
    def offer_all(self, who: int, number: int, away: int) -> None:
        """A resting order on each side, near the price."""
        for side, product in (("SELL", "CNC"), ("BUY", "MIS"), ("SELL", "MIS")):
            self.place(who, number, side, product, "LIMIT", 40, away, ioc=False, late=True)
        self.floor.run(everything=False)

    @precondition(lambda self: self.live)
    @rule(pick=st.integers(0, 1_000))
    def cancel(self, pick: int) -> None:
        live = list(Order.objects.filter(status__in=lifecycle.LIVE).order_by("placed_at", "pk"))
        order = live[pick % len(live)]
        services.cancel_order(user=order.portfolio.user, order_id=order.pk, at=self.floor.now)

    @precondition(lambda self: self.live)
    @rule(pick=st.integers(0, 1_000), quantity=st.integers(1, 6_000), away=st.integers(-30, 30))
    def modify(self, pick: int, quantity: int, away: int) -> None:
        live = list(Order.objects.filter(status__in=lifecycle.LIVE).order_by("placed_at", "pk"))
        order = live[pick % len(live)]
        number = self.shares.index(order.instrument)
        price = D(str(round(self.last[number] + away * 0.05, 2)))
        limited = order.order_type in {"LIMIT", "SL"}
        with contextlib.suppress(DomainError):
            services.modify_order(
                user=order.portfolio.user,
                order_id=order.pk,
                changes=services.OrderChanges(quantity=quantity, price=price if limited else None),
                at=self.floor.now,
            )
            self.floor.run()

    @rule(seconds=st.integers(1, 20))
    def wait(self, seconds: int) -> None:
        self.floor.wait(seconds)
        self.floor.second()

    @precondition(lambda self: self.quiet >= RESTART_STEPS_MIN)
    @rule()
    def restart_the_engine(self) -> None:
        self.floor.start_engine()

    @precondition(lambda self: self.quiet >= RESTART_STEPS_MIN)
    @rule()
    def decide_and_crash(self) -> None:
        """Decisions are made and lost before they are booked."""
        self.tick(0, -20, 900, 400, settle=False)
        self.floor.start_engine()

    @rule()
    def same_tick_again(self) -> None:
        """A frame without news decides nothing."""
        self.floor.board.merge([])
        assert self.floor.desk.on_ticks(*self._nothing()) == []

    def _nothing(self) -> tuple[Any, Any, int]:
        import numpy as np

        return np.array([], dtype=np.int32), self.floor.board, self.floor.now_ms

    @precondition(lambda self: self.quiet >= DAY_STEPS_MIN)
    @rule()
    def next_day(self) -> None:
        """Square off before midnight, expire after it."""
        self.quiet = 0
        day_end = self.floor.now.replace(hour=23, minute=51, second=0, microsecond=0)
        self.floor.now = max(day_end, self.floor.now)
        housekeeping.reconcile(at=self.floor.now)
        self.floor.run()
        for number in range(2):
            for _ in range(6):
                self.tick(number, 0, 900, 0)
        if self.floor.now.hour == 23:
            self.floor.now = (self.floor.now + timedelta(hours=10)).replace(hour=9, minute=30)
        report = housekeeping.reconcile(at=self.floor.now)
        assert report.failed == 0
        self.floor.desk.phases = dict(CONTINUOUS)
        for number in range(2):
            self.tick(number, 0, 500, 0)

    @rule(
        number=st.integers(0, 1),
        kind=st.sampled_from(["SPLIT", "BONUS", "DIVIDEND"]),
        ratio=st.sampled_from([(2, 1), (1, 2), (3, 2), (5, 3)]),
        back=st.booleans(),
    )
    def corporate_action(self, number: int, kind: str, ratio: tuple[int, int], back: bool) -> None:
        """Booked in the middle of everything; the price of the share follows, or it is undone."""
        dividend = kind == "DIVIDEND"
        with contextlib.suppress(corporate.ActionExists):
            action = corporate.announce(
                instrument=self.shares[number], kind=kind,
                ex_date=self.floor.now.astimezone(clock.IST).date(),
                numerator=None if dividend else ratio[0],
                denominator=None if dividend else ratio[1],
                amount=D("1.35") if dividend else None,
                source="", actor=None, reason="test", at=self.floor.now,
            )  # fmt: skip
            with contextlib.suppress(corporate.ActionNotPossible):
                corporate.apply(action=action, actor=None, reason="test", at=self.floor.now)
            if back:
                corporate.reverse(
                    action=action, actor=self.users[0], reason="test", at=self.floor.now
                )
            corporate.resume(at=self.floor.now + timedelta(seconds=20))
            self.floor.run()

    @invariant()
    def books_prove(self) -> None:
        """Where nothing was written since the last look, what held still holds."""
        if not hasattr(self, "floor"):
            return
        self.taken["steps"] += 1
        self.quiet += 1
        count = proof.changes()
        if count is not None and count == self.proven_at:
            return
        assert proof.breaches() == []
        self.steps += 1
        if self.steps % FULL_PROOF_EVERY == 0:
            assert verification.check_ledger() == []
        self.ended_orders_stay()
        self.proven_at = proof.changes()

    def ended_orders_stay(self) -> None:
        """M2: terminal states absorb."""
        self.live = False
        for pk, status, filled in proof.orders():
            if status in lifecycle.LIVE:
                self.live = True
            else:
                assert self.ended.setdefault(pk, (status, filled)) == (status, filled)


def run_machine(*, steps: int, number: int) -> None:
    """Examples until they have taken so many steps together. `number` seeds the search: the same
    number takes the same way."""
    from hypothesis.stateful import run_state_machine_as_test

    taken: Counter[str] = Counter()
    while taken["steps"] < steps:
        number += 1_000
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            seed(number)(type("Seeded", (Trading,), {"taken": taken})),
            settings=given_settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS_OF_EXAMPLE,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )


# Each part may go to another worker, and leaves its tables new: PostgreSQL cannot clear away what
# was rolled back while a transaction is open, and the fifth part took twice as long as the first.
# All but two parts are for `make faults`, which takes 200,000 steps more: all of them were a fifth
# of the time of `make test`.
@pytest.mark.usefixtures("real_exchange")
@pytest.mark.django_db(transaction=True)
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(
            n,
            marks=[pytest.mark.xdist_group(f"state machine {n}")]
            + [pytest.mark.fault] * (n >= PARTS_ALWAYS),
        )
        for n in range(PARTS)
    ],
)
def test_the_books_hold_under_ten_thousand_steps(number: int) -> None:
    run_machine(steps=10_000 // PARTS, number=number)


@pytest.mark.fault
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("real_exchange")
@pytest.mark.django_db
@pytest.mark.parametrize("number", range(PARTS, PARTS + 4))
def test_the_books_hold_under_fifty_thousand_steps(number: int) -> None:
    run_machine(steps=50_000, number=number)
