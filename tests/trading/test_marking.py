"""Daily settlement, expiry and margin of derivatives on paper: worked by hand, then their laws."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portfolios import ledger, positions
from portfolios.positions import Book, FillFact
from trading import marking

LOT = 65


def future(*, buy: bool, price: str, margin_unit: str = "2800") -> Book:
    fact = FillFact(
        buy=buy,
        quantity=LOT,
        price=Decimal(price),
        charges=Decimal("50.00"),
        margin_unit=Decimal(margin_unit),
    )
    return positions.apply(Book(), fact)[0]


def test_a_future_puts_down_its_margin_and_not_its_value():
    fact = FillFact(
        buy=True, quantity=LOT, price=Decimal(25_000), charges=Decimal("50.00"),
        margin_unit=Decimal(2_800),
    )  # fmt: skip
    book, effect = positions.apply(Book(), fact)
    assert (book.cost, book.margin) == (Decimal("1625000.00"), Decimal("182000.00"))
    assert effect.cash == Decimal("-182050.00")


def test_the_day_s_loss_of_a_bought_future_is_paid_and_it_goes_on_at_the_settlement_price():
    book = future(buy=True, price="25000")
    change = marking.mark_to_market(book, price=Decimal("24900"))
    assert change.realised == Decimal("-6500.00")
    after = positions.change(book, change)
    assert after.cost == Decimal("1618500.00")
    assert after.margin == book.margin
    again = marking.mark_to_market(after, price=Decimal("24950"))
    assert again.realised == Decimal("3250.00")


def test_a_sold_future_gains_when_the_price_falls():
    change = marking.mark_to_market(future(buy=False, price="25000"), price=Decimal("24900"))
    assert change.realised == Decimal("6500.00")
    assert change.effect.cash == Decimal("6500.00")


@pytest.mark.parametrize(
    ("kind", "strike", "spot", "value"),
    [
        ("CE", "24000", "24120.55", "120.55"),
        ("CE", "24000", "23999.95", "0"),
        ("PE", "24000", "23880", "120"),
        ("PE", "24000", "24000", "0"),
        ("FUT", None, "24120.55", "24120.55"),
    ],
)
def test_what_a_contract_settles_at(kind, strike, spot, value):
    strike = None if strike is None else Decimal(strike)
    assert marking.final_value(kind=kind, strike=strike, spot=Decimal(spot)) == Decimal(value)


def test_a_held_call_expires_in_the_money_less_the_tax_on_exercise():
    fact = FillFact(buy=True, quantity=LOT, price=Decimal(100), charges=Decimal("25.00"))
    book, _ = positions.apply(Book(), fact)
    change = marking.expire(book, value=Decimal("120.55"), charges=Decimal("11.75"))
    assert change.realised == Decimal("1335.75")  # 65 x 20.55
    assert change.effect.cash == Decimal("7824.00")  # 65 x 120.55 less the tax
    assert positions.change(book, change) == Book(
        realised_pnl=Decimal("1335.75"), charges=Decimal("36.75")
    )


def test_a_written_call_that_expires_worthless_keeps_the_premium_and_frees_its_margin():
    fact = FillFact(
        buy=False, quantity=LOT, price=Decimal(100), charges=Decimal(0), margin_unit=Decimal(2_500)
    )
    book, effect = positions.apply(Book(), fact)
    assert effect.cash == Decimal("-162500.00")
    change = marking.expire(book, value=Decimal(0), charges=Decimal(0))
    assert change.realised == Decimal("6500.00")
    assert effect.cash + change.effect.cash == Decimal("6500.00")


prices = st.integers(1, 3_000_000).map(lambda paise: Decimal(paise) / 100)


@given(buy=st.booleans(), opened=prices, settled=prices, last=prices, unit=prices)
def test_settling_moves_equity_by_the_charges_alone(buy, opened, settled, last, unit):
    fact = FillFact(buy=buy, quantity=LOT, price=opened, charges=Decimal("10.00"), margin_unit=unit)
    book, effect = positions.apply(Book(), fact)
    funds, first = ledger.fill(effect=effect, funds=ledger.Funds(Decimal(10) ** 9))

    def equity(entries, quantity, price):
        sums = ledger.balances(entries)
        return sums[ledger.CASH] + sums[ledger.MARGIN] + price * quantity

    before = equity([first], book.quantity, settled)
    mark = marking.mark_to_market(book, price=settled)
    entries = [first]
    if mark.realised:
        funds, second = ledger.fill(effect=mark.effect, funds=funds)
        entries.append(second)
    marked = positions.change(book, mark)
    assert equity(entries, marked.quantity, settled) == before
    end = marking.expire(marked, value=last, charges=Decimal("3.00"))
    _, third = ledger.fill(effect=end.effect, funds=funds)
    expected = equity(entries, marked.quantity, last) - Decimal("3.00")
    assert equity([*entries, third], 0, last) == expected


@given(
    total=st.integers(0, 10**9), weights=st.lists(st.integers(1, 10_000), min_size=1, max_size=9)
)
def test_allotted_parts_sum_to_the_whole(total, weights):
    whole = Decimal(total) / 100
    parts = marking.allot(whole, weights=weights)
    assert sum(parts) == whole
    assert all(part >= 0 for part in parts)
