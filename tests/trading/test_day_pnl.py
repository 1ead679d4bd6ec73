"""A portfolio's day is its equity less its equity at the last close, whatever the day brought."""

import random
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pytest

from marketdata.board import COLUMN
from marketdata.models import Instrument
from mockmarket.core.clock import IST
from mockmarket.core.models import User
from portfolios import book, booking, ledger, rows, standings
from portfolios.models import Contest, LedgerEntry, Portfolio, Posting
from tests.support.derivatives import LOT, allow_derivatives, contract, nifty
from tests.trading.floor import Floor, again, portfolio, share, student
from trading import rebuild
from trading.derivatives import services as derivatives

D = Decimal
FRIDAY, MONDAY = date(2026, 11, 27), date(2026, 11, 30)
A_PAISA_EACH = D("0.03")  # a position's value is rounded, the sum of them is not


def ist(day: date, clock: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{clock}:00+05:30")


@pytest.fixture
def market(settings, floor: Floor, alice: User, bob: User) -> Floor:
    settings.MARKET_HOURS = "nse"
    floor.now = ist(FRIDAY, "10:00")
    allow_derivatives()
    floor.tick(nifty(), 24_000.0, bids=[], asks=[], previous_close=23_900.0)
    return floor


def quoted(floor: Floor, instrument: Instrument, price: float, close: float) -> Instrument:
    floor.tick(
        instrument, price, bids=[(price - 0.05, 100_000)], asks=[(price + 0.05, 100_000)],
        previous_close=close,
    )  # fmt: skip
    return instrument


class Prices:
    """Last prices and previous closes of a floor, by key."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor

    def __call__(self, key: str, column: str) -> Decimal:
        return D(str(self._floor.board.values[self._floor.board.row(key), COLUMN[column]]))


def from_the_ledger(own: Portfolio, floor: Floor, *, session: date) -> Decimal:
    """The day by postings, fills and changes alone; nothing stored as a balance is looked at."""
    began, price = datetime.combine(session, datetime.min.time(), IST), Prices(floor)

    def equity(until: datetime, column: str) -> Decimal:
        cash = posted(own, ["CASH", "MARGIN"], until=until)
        held = rebuild.quantities(own.contest, until=until)[own.pk]
        return cash + sum(p.quantity * price(p.instrument_key, column) for p in held)

    night = began - timedelta(microseconds=1)
    paid_in = posted(own, ["CAPITAL"], until=night) - posted(own, ["CAPITAL"], until=floor.now)
    return equity(floor.now, "last_price") - equity(night, "previous_close") - paid_in


def posted(own: Portfolio, accounts: list[str], *, until: datetime) -> Decimal:
    found = Posting.objects.filter(
        portfolio=own, account__in=accounts, entry__occurred_at__lte=until
    )
    return sum(found.values_list("amount", flat=True), D("0.00"))


def told(own: Portfolio, floor: Floor) -> dict[str, Decimal]:
    """The day as each part of the product says it."""
    session = rows.session_date(at=floor.now)
    row = rows.portfolio_row(portfolio_id=own.pk, at=floor.now)
    columns = book.Book(row_of=floor.board.row)
    columns.put(row, session_date=session)
    values = floor.board.values
    live = columns.value(
        last=values[:, COLUMN["last_price"]],
        previous_close=values[:, COLUMN["previous_close"]],
        at_ms=floor.now_ms,
    )
    board = standings.recompute(contest=own.contest, at=floor.now)
    place = board.place(own.pk)
    assert place is not None
    return {
        "the engine": D(str(live.day_pnl[0])),
        "the board": D(str(board.day_pnl[place])),
        "pages and API": rows.exact_value(row=row, at=floor.now).day_pnl,
    }


def agree(own: Portfolio, floor: Floor) -> Decimal:
    """Every part says what follows from the ledger; that."""
    session = floor.now.astimezone(IST).date()
    wanted = from_the_ledger(own, floor, session=session)
    for who, day in told(own, floor).items():
        assert abs(day - wanted) <= A_PAISA_EACH, f"{who} says {day}, the ledger {wanted}"
    return wanted


def charged(own: Portfolio, amount: str, at: datetime) -> None:
    """A charge that belongs to no fill: interest, a penalty."""
    own.refresh_from_db()
    _, postings = ledger.charge(amount=D(amount), funds=booking.funds_of(own))
    book_entry(own, LedgerEntry.Kind.CHARGE, postings, at)


def dividend(own: Portfolio, amount: str, at: datetime) -> None:
    own.refresh_from_db()
    _, postings = ledger.dividend(amount=D(amount), funds=booking.funds_of(own))
    book_entry(own, LedgerEntry.Kind.DIVIDEND, postings, at)


def book_entry(own: Portfolio, kind: str, postings: ledger.Postings, at: datetime) -> None:
    booking.post_entry(
        portfolio=own, kind=kind, reference=f"{kind}:{at}", description=kind,
        postings=postings, at=at,
    )  # fmt: skip


class TestWorkedDay:
    def test_every_kind_of_booking(self, market: Floor, alice: User, bob: User) -> None:
        """Friday buys a share and a future; Monday brings all that a day can bring."""
        acme = quoted(market, share("ACME", cas_eligible=True), 100.0, 98.0)
        future = quoted(market, contract("FUT"), 24_050.0, 24_000.0)
        market.buy(alice, acme, 100)
        market.buy(alice, future, LOT, product="NRML")
        own = portfolio(alice)
        charged(own, "17.00", market.now)
        assert agree(own, market) < 0  # the spread and the charges
        market.now = ist(FRIDAY, "15:39")
        quoted(market, acme, 102.0, 98.0)
        quoted(market, future, 24_150.0, 24_000.0)
        before = agree(own, market)
        market.now = ist(FRIDAY, "15:45")
        assert derivatives.reconcile(at=market.now).marked == 1
        assert agree(own, market) == before  # marked to market: no gain of its own

        market.now = ist(MONDAY, "09:20")
        quoted(market, acme, 102.0, 102.0)
        quoted(market, future, 24_150.0, 24_150.0)
        assert agree(own, market) == 0
        quoted(market, acme, 103.0, 102.0)
        assert agree(own, market) == 100
        dividend(own, "250.00", market.now)
        charged(own, "40.00", market.now)
        assert agree(own, market) == 310
        booking.adjust_cash(
            portfolio=own, amount=D("5000.00"), reason="A prize of none", actor=bob, at=market.now
        )
        assert agree(own, market) == 310  # cash that staff pay in is no profit
        sold = market.sell(alice, acme, 40)
        assert again(sold).status == "FILLED"
        expected = 310 - again(sold).charges - D("2.00")  # 40 at 102.95
        assert agree(own, market) == expected
        market.sell(alice, future, LOT, product="NRML")
        agree(own, market)

    def test_yesterdays_bookings_are_not_todays(self, market: Floor, alice: User) -> None:
        own = portfolio(alice)
        charged(own, "40.00", market.now)
        dividend(own, "15.00", market.now)
        assert agree(own, market) == -25
        market.now = ist(FRIDAY, "23:59")
        assert agree(own, market) == -25
        market.now = ist(MONDAY, "09:20")
        assert agree(own, market) == 0

    def test_a_weekend_belongs_to_the_session_before(self, market: Floor, alice: User) -> None:
        own = portfolio(alice)
        market.now = ist(FRIDAY + timedelta(days=1), "12:00")
        charged(own, "40.00", market.now)
        assert set(told(own, market).values()) == {D("-40.00")}


def test_agrees_after_every_event_of_random_days(market: Floor, alice: User, bob: User) -> None:
    """Two sessions of fills in shares and a future, charges, dividends and payments by chance."""
    chance = random.Random(11)
    market.now = ist(FRIDAY, "09:19")  # before the first quotes: none may come from the future
    shares = [quoted(market, share(name, cas_eligible=True), 100.0, 99.0) for name in "AB"]
    future = quoted(market, contract("FUT"), 24_050.0, 24_000.0)
    last = {one.pk: 100.0 for one in shares} | {future.pk: 24_050.0}
    close = {one.pk: 99.0 for one in shares} | {future.pk: 24_000.0}
    own = portfolio(alice)

    def trade() -> None:
        one = chance.choice(shares)
        side = market.buy if chance.random() < 0.6 else market.sell
        side(alice, one, chance.randint(1, 40), product="MIS")

    def trade_the_future() -> None:
        side = market.buy if chance.random() < 0.5 else market.sell
        side(alice, future, LOT, product="NRML")

    events: list[Callable[[], object]] = [
        trade, trade, trade_the_future,
        lambda: charged(own, f"{chance.randint(1, 500)}.17", market.now),
        lambda: dividend(own, f"{chance.randint(1, 500)}.29", market.now),
        lambda: booking.adjust_cash(
            portfolio=own, amount=D(chance.choice(["-50.00", "900.00"])), reason="x", actor=bob,
            at=market.now,
        ),
    ]  # fmt: skip
    days = []
    for day in (FRIDAY, MONDAY):
        market.now = ist(day, "09:20")
        for _ in range(12):
            for one in (*shares, future):
                last[one.pk] = round(last[one.pk] * chance.uniform(0.99, 1.01), 1)
                quoted(market, one, last[one.pk], close[one.pk])
            market.wait(60)
            chance.choice(events)()
            days.append(agree(own, market))
        market.now = ist(day, "15:45")
        derivatives.reconcile(at=market.now)
        agree(own, market)
        close = dict(last)
    assert len(set(days)) > 20


def test_the_day_board_ranks_by_it(market: Floor, alice: User, bob: User) -> None:
    """Bob's dividend puts him ahead of Alice, whose charge is the only thing that she did."""
    first, second = portfolio(alice), portfolio(bob)
    charged(first, "40.00", market.now)
    dividend(second, "10.00", market.now)
    board = standings.leaderboard(
        contest=Contest.objects.get(pk=first.contest_id), at=market.now, board="day"
    )
    assert [(row.portfolio_id, row.day_pnl) for row in board.rows] == [
        (second.pk, 10.0),
        (first.pk, -40.0),
    ]
    assert np.allclose([row.score or 0 for row in board.rows], [0.001, -0.004])


def test_a_class_of_its_own_sees_none_of_it(market: Floor, alice: User) -> None:
    carol = portfolio(student("carol", at=market.now))
    charged(portfolio(alice), "40.00", market.now)
    assert agree(carol, market) == 0
