"""Futures and options on a share that splits: lots, strikes, positions, orders; and back."""

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from marketdata.models import ClosingPrice, Instrument
from mockmarket.core.models import User
from portfolios.models import Position
from tests.support.derivatives import EXPIRY, LOT, allow_derivatives, contract, held, quoted
from tests.trading.corporate import MORNING, announce, apply, reverse, told
from tests.trading.floor import Floor, again, portfolio
from trading.corporate_actions import contracts, services
from trading.derivatives import services as derivatives

D = Decimal
COLUMNS = ("quantity", "settled_quantity", "cost", "margin", "realised_pnl")

pytestmark = pytest.mark.usefixtures("real_exchange", "books_are_proved")


@pytest.fixture
def pit(floor: Floor, alice: User, bob: User, acme: Instrument) -> dict[str, Instrument]:
    """A call at 100 and a future on ACME at 100."""
    allow_derivatives()
    return {
        "call": quoted(floor, contract("CE", "100", underlying=acme), 4.0),
        "future": quoted(floor, contract("FUT", underlying=acme), 101.0),
    }


def test_a_split_multiplies_lots_and_divides_strikes(
    floor: Floor, alice: User, bob: User, acme: Instrument, pit: dict[str, Instrument]
) -> None:
    call, future = pit["call"], pit["future"]
    floor.buy(alice, call, 2 * LOT, product="NRML")
    floor.sell(bob, future, LOT, product="NRML")
    waiting = floor.sell(bob, future, LOT, product="NRML", order_type="LIMIT", price=110)
    unit, cash = waiting.margin_unit, portfolio(bob).cash
    before = {row.pk: Position.objects.values_list(*COLUMNS).get(pk=row.pk) for row in (
        held(alice, call), held(bob, future)
    )}  # fmt: skip
    action = announce(acme, "SPLIT", numerator=5, denominator=1)
    apply(action)
    call.refresh_from_db()
    assert (call.lot_size, call.strike_price, call.freeze_quantity) == (5 * LOT, D(20), 135 * LOT)
    assert call.symbol == "ACME 20 CE"
    assert held(alice, call).quantity == 10 * LOT
    assert held(bob, future).quantity == -5 * LOT
    assert held(bob, future).cost == before[held(bob, future).pk][2]
    assert (again(waiting).quantity, again(waiting).price) == (5 * LOT, D(22))
    assert again(waiting).margin_unit == unit / 5
    assert portfolio(bob).cash == cash
    assert told(alice)[0]["message"] == "Your futures and options on it have new lots and strikes."
    assert not Instrument.objects.filter(halted=True).exists()
    assert services.apply_due(at=MORNING) == 0
    assert held(alice, call).quantity == 10 * LOT  # once

    reverse(action, alice)
    call.refresh_from_db()
    assert (call.lot_size, call.strike_price, call.symbol) == (LOT, D(100), "ACME 100 CE")
    for pk, values in before.items():
        assert Position.objects.values_list(*COLUMNS).get(pk=pk) == values
    assert (again(waiting).quantity, again(waiting).margin_unit) == (LOT, unit)


def test_an_option_is_worth_the_same_at_expiry(
    floor: Floor, alice: User, acme: Instrument, pit: dict[str, Instrument]
) -> None:
    """Spot 150 before, 30 after: 50 a unit on one lot, or 10 on five."""
    floor.buy(alice, pit["call"], LOT, product="NRML")
    cash = portfolio(alice).cash
    apply(announce(acme, "SPLIT", numerator=5, denominator=1))
    ClosingPrice.objects.create(
        instrument=acme, session_date=EXPIRY, close=D(30), source="rest",
        traded_at=datetime.fromisoformat(f"{EXPIRY}T15:30:00+05:30"),
        stored_at=datetime.fromisoformat(f"{EXPIRY}T15:36:00+05:30"),
    )  # fmt: skip
    at = datetime.fromisoformat(f"{EXPIRY + timedelta(days=1)}T09:00:00+05:30")
    assert derivatives.reconcile(at=at).expired == 1
    tax = D("4.88")  # 0.15 % of 3,250
    assert portfolio(alice).cash - cash == LOT * 50 - tax


def test_what_is_beyond_whole_lots_is_paid_in_cash(
    floor: Floor, alice: User, acme: Instrument, pit: dict[str, Instrument]
) -> None:
    call = pit["call"]
    floor.buy(alice, call, 2 * LOT, product="NRML")
    cost, cash = held(alice, call).cost, portfolio(alice).cash
    apply(announce(acme, "BONUS", numerator=1, denominator=3))
    call.refresh_from_db()
    assert (call.lot_size, call.strike_price) == (86, D(75))  # 86.67 and 75
    after = held(alice, call)
    assert after.quantity == 2 * 86  # of 173.33
    assert portfolio(alice).cash - cash == pytest.approx(cost - after.cost, abs=D("0.02"))


@pytest.mark.parametrize("listed", [True, False])
def test_a_late_action_believes_the_file_of_the_morning(
    floor: Floor, alice: User, acme: Instrument, pit: dict[str, Instrument], listed: bool
) -> None:
    """By then the exchange has given the contracts that it lists their new terms."""
    call = pit["call"]
    floor.buy(alice, call, LOT, product="NRML")
    if listed:
        Instrument.objects.filter(pk=call.pk).update(lot_size=5 * LOT, strike_price=D(20))
    else:
        Instrument.objects.filter(pk=call.pk).update(active=False)
    at = MORNING + timedelta(hours=11)
    action = announce(acme, "SPLIT", numerator=5, denominator=1)
    apply(action, at=at)
    call.refresh_from_db()
    assert (call.lot_size, call.strike_price) == (5 * LOT, D(20))
    assert held(alice, call).quantity == 5 * LOT
    reverse(action, alice, at=at)
    assert held(alice, call).quantity == LOT


def test_the_way_back_of_lots() -> None:
    scale = contracts.Scale(Instrument(), Fraction(4, 3), (65, 86))
    assert [scale.quantity(units) for units in (0, 65, 130, -195, 100)] == [0, 86, 172, -258, 86]
    assert scale.back.quantity(172) == 130
