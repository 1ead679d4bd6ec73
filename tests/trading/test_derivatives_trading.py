"""Futures and options ordered, filled and margined, through services, desk and settlement."""

from decimal import Decimal

import pytest
import time_machine

from marketdata.board import COLUMN
from mockmarket.core.errors import DomainError
from portfolios import book, rows
from portfolios.models import Position
from tests.support.api import client_of
from tests.support.derivatives import DEEP, LOT, allow_derivatives, contract, held, nifty, quoted
from tests.trading.floor import again, portfolio, prices
from trading import drafts, housekeeping, risk, services
from trading.models import Fill

SPOT = 24_000.0


@pytest.fixture
def spot(floor, alice):
    allow_derivatives()
    index = nifty()
    floor.tick(index, SPOT, bids=[], asks=[])
    return index


@pytest.fixture
def call(floor, spot):
    return quoted(floor, contract("CE", "24000"), 150.0)


@pytest.fixture
def higher_call(floor, spot):
    return quoted(floor, contract("CE", "24200"), 70.0)


@pytest.fixture
def future(floor, spot):
    return quoted(floor, contract("FUT"), 24_050.0)


pytestmark = pytest.mark.usefixtures("books_are_proved")


def test_a_bought_option_costs_its_premium_and_charges(floor, alice, call):
    before = portfolio(alice).cash
    order = floor.buy(alice, call, LOT, product="NRML")
    assert prices(order) == [(LOT, "150.05")]
    fill = Fill.objects.get(order=order)
    assert portfolio(alice).cash == before - Decimal("9753.25") - fill.charges
    # 20 brokerage, 0.03553 % exchange 3.465, sebi 0.0098, GST 4.2255, stamp 0.2926
    assert fill.charges == Decimal("27.99")


def test_a_written_option_puts_down_a_margin_near_the_brokers_and_keeps_the_premium(
    floor, alice, call
):
    before = portfolio(alice)
    order = floor.sell(alice, call, LOT, product="NRML")
    assert again(order).status == "FILLED"
    position, after = held(alice, call), portfolio(alice)
    assert position.quantity == -LOT
    assert position.cost == Decimal("-9746.75")
    gross = position.margin - position.cost
    # 9.3 % scan less the way to the strike, volatility up, 2 % exposure: about 11 to 13 % of value
    assert Decimal("0.10") < gross / (Decimal(LOT) * 24_000) < Decimal("0.14")
    assert before.cash - after.cash == position.margin + Fill.objects.get(order=order).charges
    assert after.margin == gross
    assert after.reserved == 0


def test_a_future_puts_down_its_margin(floor, alice, future):
    floor.buy(alice, future, LOT, product="NRML")
    position = held(alice, future)
    assert position.cost == Decimal("1563253.25")
    # 9.3 % of the spot's value and 2 % exposure
    assert position.margin == pytest.approx(Decimal("0.113") * 24_000 * LOT, rel=Decimal("0.001"))


def test_intraday_derivatives_have_no_leverage(floor, alice, future):
    floor.buy(alice, future, LOT, product="MIS")
    assert held(alice, future).margin > Decimal("0.11") * 24_000 * LOT


def test_a_hedge_lowers_the_margin_of_what_it_hedges(floor, alice, bob, call, higher_call):
    floor.sell(alice, call, LOT, product="NRML")
    naked = held(alice, call).margin
    floor.buy(bob, higher_call, LOT, product="NRML")
    floor.sell(bob, call, LOT, product="NRML")
    hedged = held(bob, call).margin
    assert hedged < naked / 3


def test_a_hedge_is_not_sold_from_under_a_written_option_without_the_cash(
    floor, alice, call, higher_call
):
    floor.buy(alice, higher_call, LOT * 10, product="NRML")
    floor.sell(alice, call, LOT * 10, product="NRML")
    with pytest.raises(risk.InsufficientCash):
        floor.sell(alice, higher_call, LOT * 10, product="NRML")
    floor.buy(alice, call, LOT * 10, product="NRML")
    order = floor.sell(alice, higher_call, LOT * 10, product="NRML")
    assert again(order).status == "FILLED"


def test_writing_beyond_the_cash_is_refused(floor, alice, call):
    with pytest.raises(risk.InsufficientCash):
        floor.sell(alice, call, LOT * 10, product="NRML")


def test_a_losing_future_may_always_be_closed(floor, alice, future):
    floor.buy(alice, future, LOT * 5, product="NRML")
    quoted(floor, future, 21_000.0)
    order = floor.sell(alice, future, LOT * 5, product="NRML")
    assert again(order).status == "FILLED"
    after = portfolio(alice)
    assert after.cash + after.margin < Decimal(1_000_000)
    assert after.cash >= 0


def test_buying_back_frees_the_margin_and_books_the_difference(floor, alice, call):
    floor.sell(alice, call, LOT, product="NRML")
    quoted(floor, call, 100.0)
    floor.buy(alice, call, LOT, product="NRML")
    position, after = held(alice, call), portfolio(alice)
    assert (position.quantity, position.margin, after.margin) == (0, 0, 0)
    assert position.realised_pnl == Decimal("3243.50")  # 65 x (149.95 - 100.05)
    assert after.cash == Decimal("1000000.00") + position.realised_pnl - position.charges


@pytest.mark.parametrize(
    ("quantity", "refusal"), [(LOT + 1, drafts.InvalidLot), (LOT * 28, drafts.FreezeQuantity)]
)
def test_lots_and_freeze_quantity(floor, alice, call, quantity, refusal):
    with pytest.raises(refusal):
        floor.buy(alice, call, quantity, product="NRML")


def test_delivery_is_no_product_of_derivatives(floor, alice, call):
    with pytest.raises(drafts.InvalidOrder, match="NRML"):
        floor.buy(alice, call, LOT, product="CNC")


def test_an_expired_contract_is_not_traded(floor, alice, call):
    call.expiry_date = floor.now.date().replace(day=22)
    call.save()
    with pytest.raises(drafts.NotTradable, match="expired"):
        floor.buy(alice, call, LOT, product="NRML", price=150, order_type="LIMIT")


@pytest.mark.parametrize(("rule", "kind"), [("options", "call"), ("futures", "future")])
def test_a_contest_can_forbid_them(floor, alice, request, rule, kind):
    allow_derivatives()
    instrument = request.getfixturevalue(kind)
    allow_derivatives(**{rule: False})
    with pytest.raises(risk.ContestRule) as refusal:
        floor.buy(alice, instrument, LOT, product="NRML")
    assert refusal.value.rule == rule


def test_default_contests_forbid_carrying_forward(floor, alice, call):
    allow_derivatives(products=["CNC", "MIS"], options=False, futures=False)
    with pytest.raises(risk.ContestRule) as refusal:
        floor.buy(alice, call, LOT, product="NRML")
    assert refusal.value.rule == "products"
    with pytest.raises(risk.ContestRule):
        floor.buy(alice, call, LOT, product="MIS")


def test_without_a_price_of_the_underlying_no_margin_is_reckoned(floor, alice, bob):
    allow_derivatives()
    future = quoted(floor, contract("FUT"), 24_050.0)
    with pytest.raises(risk.StaleQuote, match="underlying"):
        floor.buy(alice, future, LOT, product="NRML")


def test_two_orders_cannot_close_one_position_and_write_naked(floor, alice, call):
    """A closing order whose position is gone by the time it fills opens nothing."""
    floor.buy(alice, call, LOT, product="NRML")
    limit = floor.sell(alice, call, LOT, product="NRML", order_type="LIMIT", price="160")
    Position.objects.filter(instrument=call)  # the limit order rests
    market = floor.sell(alice, call, LOT, product="NRML")  # opens: margin is put down for it
    assert again(market).margin_unit is not None
    quoted(floor, call, 165.0)
    assert again(limit).status == "REJECTED"
    assert "insufficient_margin" in again(limit).status_reason


def test_the_api_takes_them_and_previews_their_margin(floor, alice, call, future):
    client = client_of(alice)
    wanted = {
        "instrument_key": call.key, "side": "SELL", "quantity": LOT, "product": "NRML",
        "order_type": "MARKET",
    }  # fmt: skip
    with time_machine.travel(floor.now, tick=False):
        preview = client.post("/api/v1/orders/preview/", wanted, format="json").json()
        placed = client.post(
            "/api/v1/orders/", wanted, format="json", HTTP_IDEMPOTENCY_KEY="write-one"
        )
        refused = client.post("/api/v1/orders/", {**wanted, "quantity": 1}, format="json")
    assert Decimal(preview["margin"]) > 150_000
    assert Decimal(preview["required"]) > Decimal(preview["margin"])
    assert (placed.status_code, placed.json()["product"]) == (201, "NRML")
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_lot")
    floor.run()
    assert held(alice, call).quantity == -LOT


def test_live_valuation_agrees_with_exact_arithmetic(floor, alice, call, higher_call, future):
    floor.sell(alice, call, LOT, product="NRML")
    floor.buy(alice, higher_call, LOT, product="NRML")
    floor.buy(alice, future, LOT, product="NRML")
    quoted(floor, call, 181.35)
    quoted(floor, higher_call, 88.4)
    quoted(floor, future, 24_120.6)
    row = rows.portfolio_row(portfolio_id=portfolio(alice).pk, at=floor.now)
    session = rows.session_date(at=floor.now)
    live = book.Book(row_of=floor.board.row)
    live.put(row, session_date=session)
    values = floor.board.values
    found = live.value(
        last=values[:, COLUMN["last_price"]],
        previous_close=values[:, COLUMN["previous_close"]],
        at_ms=floor.now_ms,
    )
    exact = rows.exact_value(row=row, at=floor.now)
    assert Decimal(str(found.equity[0])) == exact.equity
    assert Decimal(str(found.unrealised[0])) == exact.unrealised_pnl
    charges = sum(position.charges for position in Position.objects.all())
    gained = LOT * (
        (Decimal("149.95") - Decimal("181.35"))
        + (Decimal("88.40") - Decimal("70.05"))
        + (Decimal("24120.60") - Decimal("24050.05"))
    )
    assert exact.equity == Decimal(1_000_000) + gained - charges


def test_a_changed_order_holds_back_what_it_now_needs(floor, alice, call):
    order = floor.sell(alice, call, LOT, product="NRML", order_type="LIMIT", price="160")
    first = portfolio(alice).reserved
    assert first == again(order).reserved > 150_000
    changes = services.OrderChanges(quantity=2 * LOT)
    services.modify_order(user=alice, order_id=order.pk, changes=changes, at=floor.now)
    changed = again(order)
    assert portfolio(alice).reserved == changed.reserved > Decimal("1.9") * first
    assert changed.margin_unit is not None


def test_a_part_filled_order_keeps_the_margin_it_began_with(floor, alice, call):
    floor.tick(call, 150.0, bids=[(150.0, LOT)], asks=[(150.05, DEEP)])
    order = floor.sell(alice, call, 3 * LOT, product="NRML", order_type="LIMIT", price="150")
    began = again(order)
    assert (began.filled_quantity, began.status) == (LOT, "PARTIALLY_FILLED")
    changes = services.OrderChanges(quantity=2 * LOT)
    services.modify_order(user=alice, order_id=order.pk, changes=changes, at=floor.now)
    assert again(order).margin_unit == began.margin_unit
    floor.run()
    quoted(floor, call, 150.1)
    assert again(order).status == "FILLED"
    assert portfolio(alice).reserved == 0


def test_a_part_filled_order_that_closed_cannot_grow_into_one_that_opens(floor, alice, call):
    floor.buy(alice, call, 2 * LOT, product="NRML")
    floor.tick(call, 150.0, bids=[(150.0, LOT)], asks=[(150.05, DEEP)])
    order = floor.sell(alice, call, 2 * LOT, product="NRML", order_type="LIMIT", price="150")
    assert again(order).filled_quantity == LOT
    with pytest.raises(drafts.InvalidOrder, match="Place a new order"):
        services.modify_order(
            user=alice,
            order_id=order.pk,
            changes=services.OrderChanges(quantity=4 * LOT),
            at=floor.now,
        )


def test_intraday_derivatives_are_squared_off_at_their_own_time(settings, floor, alice, call):
    settings.MARKET_HOURS = "nse"
    floor.now = floor.now.replace(hour=15, minute=30)
    quoted(floor, call, 150.0)
    floor.sell(alice, call, LOT, product="MIS")
    assert housekeeping.reconcile(at=floor.now.replace(minute=34)).squared_off == 0
    floor.now = floor.now.replace(minute=35)
    assert housekeeping.reconcile(at=floor.now).squared_off == 1
    quoted(floor, call, 150.0)
    floor.run()
    assert held(alice, call).quantity == 0
    with pytest.raises(DomainError, match="15:35"):
        floor.buy(alice, call, LOT, product="MIS")
