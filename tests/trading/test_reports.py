"""Performance from real fills: FIFO and average cost for what they are."""

from decimal import Decimal

from django.core.management import call_command

from marketdata.models import Instrument
from mockmarket.core.models import User
from portfolios import booking
from tests.trading.floor import Floor, portfolio
from trading import reports


class TestReport:
    def test_agrees_with_the_books(self, floor: Floor, alice: User, acme: Instrument) -> None:
        floor.buy(alice, acme, 10)
        floor.tick(acme, 110.0, previous_close=100.0)
        floor.buy(alice, acme, 10)
        floor.tick(acme, 120.0)
        floor.sell(alice, acme, 10)
        own = portfolio(alice)
        found = reports.report(reports.basis(portfolio=own, at=floor.now))
        # Bought at 100.05 and 110.05, sold at 119.95: FIFO closes the first ten.
        assert found.review.realised_fifo == Decimal("199.00")
        assert found.review.unrealised_fifo == Decimal("99.50")
        assert (found.review.fills, found.review.closed_trips, found.review.open_trips) == (3, 1, 1)
        gained = found.equity - found.paid_in
        whole = found.review.realised_fifo + found.review.unrealised_fifo
        assert gained == whole - found.review.charges
        assert found.review.win_rate == 100.0
        [still_open, closed] = reports.trips(portfolio=own, at=floor.now)
        assert (still_open.closed_at, closed.pnl) == (None, Decimal("199.00"))

    def test_does_not_count_cash_paid_in_as_a_gain(
        self, floor: Floor, alice: User, bob: User, acme: Instrument
    ) -> None:
        own = portfolio(alice)
        floor.wait(60)
        booking.adjust_cash(
            portfolio=own, amount=Decimal("100000.00"), reason="Late start.", actor=bob,
            at=floor.now,
        )  # fmt: skip
        floor.wait(60)
        found = reports.report(reports.basis(portfolio=own, at=floor.now))
        assert found.paid_in == Decimal("1100000.00")
        assert found.return_percent == 0
        assert found.time_weighted_percent == 0.0

    def test_of_a_new_portfolio_is_empty(self, floor: Floor, alice: User) -> None:
        found = reports.report(reports.basis(portfolio=portfolio(alice), at=floor.now))
        assert (found.review.fills, found.review.charges_percent) == (0, None)


class TestCurve:
    def test_begins_with_the_starting_cash_and_ends_now(
        self, floor: Floor, alice: User, acme: Instrument
    ) -> None:
        floor.buy(alice, acme, 100)
        floor.tick(acme, 200.0)
        points = reports.curve(reports.basis(portfolio=portfolio(alice), at=floor.now))
        assert points[0].equity == Decimal("1000000.00")
        assert points[-1].taken_at == floor.now
        assert points[-1].equity > Decimal("1009000.00")


def test_the_books_prove_after_all_that(floor: Floor, alice: User, acme: Instrument) -> None:
    floor.buy(alice, acme, 10)
    call_command("check_ledger")
