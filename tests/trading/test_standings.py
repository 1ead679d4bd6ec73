"""While fills pour in, the board equals a recomputation, and contest A never touches contest B."""

import random
from decimal import Decimal

import numpy as np
import pytest

from marketdata.board import COLUMN
from marketdata.models import Instrument
from mockmarket.core.models import User
from portfolios import results, rows, services, snapshots, standings
from portfolios.book import Book
from portfolios.models import Contest, Portfolio
from tests.portfolios.support import contest
from tests.trading.floor import Floor, share, student
from trading import rebuild
from trading.models import Fill

ROUNDS = 12
STUDENTS = 20
FILLS_WANTED = 200


class Live:
    """The engine's book: each portfolio is read again after its own fills, and only then."""

    def __init__(self, floor: Floor, portfolios: list[Portfolio]) -> None:
        self.floor = floor
        self.book = Book(row_of=floor.board.row)
        self.refresh(*portfolios)

    def refresh(self, *portfolios: Portfolio) -> None:
        today = rows.session_date(at=self.floor.now)
        for row in rows.portfolio_rows(ids=[p.pk for p in portfolios], session_date=today):
            self.book.put(row, session_date=today)

    def standings(self, where: Contest) -> snapshots.ContestSnapshot:
        values = self.floor.board.values
        snapshot = self.book.value(
            last=values[:, COLUMN["last_price"]],
            previous_close=values[:, COLUMN["previous_close"]],
            at_ms=self.floor.now_ms,
        )
        return snapshots.split(snapshot)[where.pk]


@pytest.fixture
def shares(floor: Floor) -> list[Instrument]:
    found = [share(symbol) for symbol in ("ACME", "BETA")]
    for one in found:
        floor.tick(one, 100.0, previous_close=98.0)
    return found


def test_the_board_equals_a_recomputation_while_fills_pour_in(
    floor: Floor, shares: list[Instrument], alice: User, bob: User
) -> None:
    where, other = contest("first"), contest("second")
    members = {
        user.pk: services.open_portfolio(user=user, contest=where, at=floor.now)
        for user in (alice, bob)
    }
    bystander = services.open_portfolio(user=alice, contest=other, at=floor.now)
    live = Live(floor, [*members.values(), bystander])
    chance = random.Random(7)
    for _ in range(ROUNDS):
        user, one = chance.choice([alice, bob]), chance.choice(shares)
        floor.tick(one, round(chance.uniform(95, 105), 1))
        side = floor.buy if chance.random() < 0.7 else floor.sell
        side(user, one, chance.randint(1, 40), contest=where.slug, product="MIS")
        live.refresh(members[user.pk])
        shown = live.standings(where)
        again = standings.recompute(contest=where, at=floor.now)
        assert shown.rank.tolist() == again.rank.tolist()
        np.testing.assert_allclose(shown.equity, again.equity, atol=0.01)
        np.testing.assert_allclose(shown.day_pnl, again.day_pnl, atol=0.02)
    _from_the_ledger_alone(where, live.standings(where), floor, shares)
    untouched = live.standings(other)
    assert untouched.equity.tolist() == [1_000_000.0]
    assert untouched.of == 1


def test_the_board_equals_a_recomputation_during_200_fills_in_a_second(
    floor: Floor, shares: list[Instrument]
) -> None:
    """Twenty students with orders that three ticks a share of one second fill; each is compared.

    The control: a book that was not told of the last batch shows another board.
    """
    where = contest("rush", rules={"orders_per_minute_max": None})
    people = [student(f"rush{n}") for n in range(STUDENTS)]
    services.open_portfolios(users=people, contest=where, at=floor.now)
    members = list(Portfolio.objects.filter(contest=where).order_by("pk"))
    for number, who in enumerate(people):
        for step in range(FILLS_WANTED // STUDENTS):
            floor.place(
                who, shares[step % 2], "BUY", 1 + number % 7, order_type="LIMIT",
                price=f"{99.9 - step // 4 * 0.5:.2f}", contest=where.slug, run=False,
            )  # fmt: skip
    floor.run()
    live, deaf = Live(floor, members), Live(floor, members)
    began, filled = floor.now, 0
    for last in (99.5, 99.0, 98.5):
        for one in shares:
            floor.tick(one, last)
        now = Fill.objects.filter(order__portfolio__contest=where).count()
        assert now > filled
        filled = now
        live.refresh(*members)
        shown = live.standings(where)
        again = standings.recompute(contest=where, at=floor.now)
        assert shown.rank.tolist() == again.rank.tolist()
        np.testing.assert_allclose(shown.equity, again.equity, atol=0.01)
        np.testing.assert_allclose(shown.day_pnl, again.day_pnl, atol=0.02)
    assert (floor.now - began).total_seconds() <= 1
    assert filled >= FILLS_WANTED
    assert deaf.standings(where).equity.tolist() != shown.equity.tolist()


def _from_the_ledger_alone(
    where: Contest, shown: snapshots.ContestSnapshot, floor: Floor, shares: list[Instrument]
) -> None:
    """The same places follow from postings and fills, without any stored balance."""
    services.change_state(contest=where, state="FINISHED", actor=None, reason="Over.", at=floor.now)
    frozen, derived = rebuild.rebuild(contest=where)
    assert frozen == derived
    by_id = {placing.portfolio_id: placing for placing in derived}
    for place, portfolio_id in enumerate(shown.ids.tolist()):
        assert shown.rank[place] == by_id[portfolio_id].rank
        assert Decimal(str(shown.equity[place])) == pytest.approx(
            by_id[portfolio_id].equity, abs=Decimal("0.02")
        )
    assert results.stored(contest=where) == derived
