"""Positions as folds of fills."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from mockmarket.core.money import ZERO
from portfolios import ledger
from portfolios.positions import (
    Book,
    DatedChange,
    DatedFill,
    FillFact,
    Lot,
    apply,
    fifo_lots,
    fold,
)

D = Decimal
fills_strategy = st.lists(
    st.builds(
        FillFact,
        buy=st.booleans(),
        quantity=st.integers(1, 500),
        price=st.integers(1, 500_000).map(lambda paise: D(paise) / 100),
        charges=st.integers(0, 5_000).map(lambda paise: D(paise) / 100),
        margin_rate=st.sampled_from([D(1), D("0.2"), D("0.3334")]),
    ),
    max_size=40,
)


def fill(text: str) -> FillFact:
    """`BUY 10 @ 101.50`."""
    side, quantity, _, price = text.split()
    return FillFact(side == "BUY", int(quantity), D(price), ZERO)


def test_average_cost_and_realised_profit() -> None:
    book = fold([fill("BUY 10 @ 100"), fill("BUY 30 @ 120"), fill("SELL 20 @ 130")])
    assert (book.quantity, book.cost, book.average_price) == (20, D("2300.00"), D(115))
    assert book.realised_pnl == D("300.00")


def test_short_and_cover() -> None:
    book = fold([fill("SELL 10 @ 100"), fill("BUY 10 @ 90")])
    assert (book.quantity, book.cost, book.realised_pnl) == (0, ZERO, D("100.00"))


def test_flip_from_long_to_short() -> None:
    book = fold([fill("BUY 10 @ 100"), fill("SELL 25 @ 110")])
    assert (book.quantity, book.cost, book.realised_pnl) == (-15, D("-1650.00"), D("100.00"))


def test_a_third_leaves_no_residue() -> None:
    book = fold([fill("BUY 3 @ 33.35"), *[fill("SELL 1 @ 33.35")] * 3])
    assert (book.quantity, book.cost, book.margin, book.realised_pnl) == (0, ZERO, ZERO, ZERO)


@given(fills_strategy)
def test_money_is_conserved(fills: list[FillFact]) -> None:
    book = Book()
    funds = ledger.Funds(cash=D(1_000))
    entries = []
    for one in fills:
        book, effect = apply(book, one)
        funds, postings = ledger.fill(effect=effect, funds=funds)
        assert sum(postings.values()) == 0
        assert funds.cash >= 0
        entries.append(postings)
    totals = ledger.balances(entries)
    assert totals["SECURITIES"] == book.cost
    assert totals["REALISED"] == -book.realised_pnl
    assert totals["CHARGES"] == book.charges
    assert D(1_000) + totals["CASH"] == funds.cash
    assert totals["MARGIN"] == book.margin - book.cost - funds.debt
    assert book.quantity == sum(one.signed_quantity for one in fills)
    if not book.quantity:
        assert (book.cost, book.margin) == (ZERO, ZERO)
    assert book.margin >= 0
    # Cash flow of the fills = realised profit - what stands in the open position.
    flow = -sum(one.signed_quantity * one.price for one in fills)
    assert abs(flow - (book.realised_pnl - book.cost)) <= D("0.01") * len(fills)


@given(fills_strategy)
def test_lots_hold_the_whole_quantity(fills: list[FillFact]) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    dated = [
        DatedFill(one.buy, one.quantity, one.price, start + timedelta(minutes=number))
        for number, one in enumerate(fills)
    ]
    closed, opened = fifo_lots(dated)
    assert sum(lot.quantity for lot in opened) == sum(one.signed_quantity for one in fills)
    assert len({lot.quantity > 0 for lot in opened}) <= 1
    assert all(lot.closed_at is not None and lot.closed_at >= lot.opened_at for lot in closed)


def test_lots_follow_a_split_and_lose_no_unit() -> None:
    """Three lots of 5, 3 and 4 become 7 for 3: 28 units, at the cost of before."""
    at = [datetime(2026, 11, day, 10, tzinfo=UTC) for day in range(16, 21)]
    bought = [
        DatedFill(buy=True, quantity=count, price=D(100), filled_at=at[number])
        for number, count in enumerate((5, 3, 4))
    ]
    sale = DatedFill(buy=False, quantity=12, price=D(50), filled_at=at[4])
    closed, left = fifo_lots([*bought, DatedChange(quantity=16, changed_at=at[3]), sale])
    assert sum(lot.quantity for lot in (*closed, *left)) == 28
    assert [lot.quantity for lot in closed] == [11, 1]
    assert (
        sum(lot.quantity * lot.open_price for lot in (*closed, *left)).quantize(D("0.01")) == 1200
    )


def test_units_that_come_to_a_flat_position_cost_nothing() -> None:
    at = datetime(2026, 11, 20, 10, tzinfo=UTC)
    closed, left = fifo_lots([DatedChange(quantity=3, changed_at=at)])
    assert (closed, left) == ([], [Lot(3, at, D("0.00"))])
