"""Practice afresh: new cash, old books, nothing left behind that could fill."""

from decimal import Decimal

import pytest
from django.core.management import call_command

from marketdata.models import Instrument
from mockmarket.core.models import User
from portfolios.models import LedgerEntry, Portfolio
from portfolios.services import ensure_practice
from tests.trading.floor import Floor, again
from trading import practice


class TestResetPractice:
    def test_gives_new_cash_and_keeps_the_old_books(
        self, floor: Floor, alice: User, acme: Instrument
    ) -> None:
        old = ensure_practice(user=alice, at=floor.now)
        floor.buy(alice, acme, 10)
        waiting = floor.buy(alice, acme, 10, order_type="LIMIT", price=99)
        new = practice.reset_practice(user=alice, at=floor.now)
        assert (new.cash, new.reserved) == (Decimal("1000000.00"), Decimal("0.00"))
        assert new.pk != old.pk
        assert again(waiting).status == "CANCELLED"
        assert LedgerEntry.objects.filter(portfolio=old, kind="FILL").count() == 1
        assert ensure_practice(user=alice, at=floor.now) == new
        floor.tick(acme, 98.0)
        call_command("check_ledger")

    def test_waits_for_intraday_positions(
        self, floor: Floor, alice: User, acme: Instrument
    ) -> None:
        floor.buy(alice, acme, 10, product="MIS")
        with pytest.raises(practice.CannotReset):
            practice.reset_practice(user=alice, at=floor.now)
        assert ensure_practice(user=alice, at=floor.now).left_at is None

    def test_of_nobody_yet_opens_the_first(self, floor: Floor, bob: User) -> None:
        Portfolio.objects.filter(user=bob).update(left_at=floor.now)
        assert practice.reset_practice(user=bob, at=floor.now).cash == Decimal("1000000.00")
