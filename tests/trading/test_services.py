"""Placing, refusing, filling, cancelling and modifying, on the service."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError
from mockmarket.core.models import OutboxEvent, User
from portfolios.models import LedgerEntry, Position
from tests.trading.floor import Floor, again, portfolio, prices, share
from trading import services
from trading.lifecycle import LIVE
from trading.models import Fill, Order, PositionChange

D = Decimal


def test_a_market_order_fills_at_the_ask_and_is_booked(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 10)
    assert (order.status, prices(order)) == ("FILLED", [(10, "100.05")])
    held = Position.objects.get(portfolio=portfolio(alice))
    assert (held.quantity, held.cost) == (10, D("1000.50"))
    books = portfolio(alice)
    assert books.cash == D(1_000_000) - D("1000.50") - order.charges
    assert (books.reserved, order.reserved) == (0, 0)
    entry = LedgerEntry.objects.get(portfolio=books, kind="FILL")
    fill = Fill.objects.get(order=order)
    assert entry.reference == f"fill:{fill.pk}"
    assert sum(posting.amount for posting in entry.postings.all()) == 0
    types = OutboxEvent.objects.filter(user=alice).order_by("seq").values_list("type", flat=True)
    assert list(types) == ["order_update", "trade", "order_update"]


def test_it_reserves_until_it_fills_and_frees_on_cancel(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 100, order_type="LIMIT", price=99)
    assert (order.status, order.resting) == ("OPEN", True)
    assert portfolio(alice).reserved == order.reserved == D("9911.76")
    cancelled = services.cancel_order(user=alice, order_id=order.pk, at=floor.now)
    assert (cancelled.status, portfolio(alice).reserved) == ("CANCELLED", 0)
    floor.tick(acme, 98.0)
    assert not Fill.objects.exists()


@pytest.mark.parametrize("quantity", [0, -1, 1.5, True, "10", 10**9, None])
def test_wrong_quantities_are_refused(
    floor: Floor, alice: User, acme: Instrument, quantity: object
) -> None:
    refused("invalid_quantity", floor, alice, acme, quantity=quantity)


def refused(code: str, floor: Floor, user: User, instrument: Instrument, **fields: object) -> None:
    """The order is refused by this code and leaves no trace."""
    draft = {"side": "BUY", "quantity": 1, **fields}
    with pytest.raises(DomainError) as refusal:
        floor.place(user, instrument, draft.pop("side"), draft.pop("quantity"), **draft)
    assert refusal.value.code == code
    assert not Order.objects.exists()
    assert portfolio(user).reserved == 0
    assert LedgerEntry.objects.filter(portfolio=portfolio(user)).count() == 1


@pytest.mark.parametrize(
    ("code", "fields"),
    [
        ("invalid_order", {"side": "HOLD"}),
        ("invalid_order", {"order_type": "STOP"}),
        ("invalid_order", {"product": "BTST"}),
        ("invalid_order", {"validity": "GTC"}),
        ("invalid_order", {"order_type": "LIMIT"}),
        ("invalid_order", {"price": 100}),
        ("invalid_order", {"client_order_id": "with space"}),
        ("invalid_order", {"product": "NRML"}),
        ("invalid_order", {"reason": "x" * 501}),
        ("invalid_price", {"order_type": "LIMIT", "price": -5}),
        ("invalid_price", {"order_type": "LIMIT", "price": "NaN"}),
        ("invalid_price", {"order_type": "SL", "price": 101, "trigger_price": 102}),
        ("invalid_tick", {"order_type": "LIMIT", "price": "99.99"}),
        ("invalid_trigger", {"order_type": "SL_M", "trigger_price": 99}),
        ("price_out_of_band", {"order_type": "LIMIT", "price": 121}),
        ("insufficient_cash", {"quantity": 50_000}),
        ("insufficient_holdings", {"side": "SELL", "quantity": 1}),
    ],
)
def test_refusals(
    floor: Floor, alice: User, acme: Instrument, code: str, fields: dict[str, object]
) -> None:
    refused(code, floor, alice, acme, **fields)


def test_unknown_instruments_are_refused(floor: Floor, alice: User) -> None:
    refused("unknown_instrument", floor, alice, Instrument(key="NSE_EQ|NOTHING"))


def test_halted_and_delisted_shares_and_indices_are_refused(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    acme.halted = True
    acme.save()
    refused("instrument_halted", floor, alice, acme)
    acme.halted, acme.active = False, False
    acme.save()
    refused("not_tradable", floor, alice, acme)
    refused("not_tradable", floor, alice, share("NIFTY", segment="NSE_INDEX"))


def test_lots_and_freeze_quantities_are_refused(floor: Floor, alice: User) -> None:
    lots = share("LOTS", lot_size=25, freeze_quantity=1000)
    floor.tick(lots, 100.0, previous_close=100.0)
    refused("invalid_lot", floor, alice, lots, quantity=26)
    refused("freeze_quantity", floor, alice, lots, quantity=1025)


def test_a_share_without_a_price_or_with_an_old_one_is_refused(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    refused("stale_quote", floor, alice, share("SILENT"))
    floor.wait(301)
    refused("stale_quote", floor, alice, acme)


def test_the_market_is_closed_at_night(
    floor: Floor, alice: User, acme: Instrument, settings: object
) -> None:
    settings.MARKET_HOURS = "nse"  # type: ignore[attr-defined]
    floor.wait(timedelta(hours=8).total_seconds())
    refused("market_closed", floor, alice, acme, order_type="LIMIT", price=100)


def test_an_order_on_an_old_quote_waits_says_why_and_fills_on_the_next(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.wait(12)
    order = floor.buy(alice, acme, 10)
    assert order.status == "WAITING_FRESH_QUOTE"
    assert order.status_reason == "stale_quote seconds=12"
    floor.second()
    assert not Fill.objects.exists()
    floor.tick(acme, 101.0)
    assert (again(order).status, prices(order)) == ("FILLED", [(10, "101.05")])


def test_an_open_order_is_held_when_its_quote_grows_old(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.tick(acme, 100.0, asks=[])
    order = floor.buy(alice, acme, 10)
    assert order.status == "OPEN"
    for _ in range(6):
        floor.second()
    assert again(order).status == "WAITING_FRESH_QUOTE"
    assert again(order).status_reason.startswith("stale_quote seconds=")
    floor.tick(acme, 100.0, asks=[])
    assert again(order).status == "OPEN"
    floor.tick(acme, 100.0, asks=[(100.1, 10)])
    assert again(order).status == "FILLED"


def test_the_same_client_order_id_returns_the_first_order(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    draft = services.OrderDraft(
        instrument_key=acme.key, side="BUY", quantity=1, client_order_id="one"
    )
    first = services.place_order(user=alice, contest=None, draft=draft, at=floor.now)
    second = services.place_order(user=alice, contest=None, draft=draft, at=floor.now)
    assert (first.created, second.created) == (True, False)
    assert first.order.pk == second.order.pk


def test_shares_on_offer_cannot_be_offered_twice(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.sell(alice, acme, 7, order_type="LIMIT", price=110)
    with pytest.raises(DomainError) as refusal:
        floor.sell(alice, acme, 4)
    assert refusal.value.code == "insufficient_holdings"
    assert "you can sell 3" in refusal.value.message


@pytest.mark.parametrize("staff", [False, True], ids=["a student", "staff"])
def test_nobody_changes_another_students_order(
    floor: Floor, alice: User, bob: User, acme: Instrument, staff: bool
) -> None:
    bob.is_staff = bob.is_superuser = staff
    bob.save()
    order = floor.buy(alice, acme, 10, order_type="LIMIT", price=99)
    for act in (
        lambda: services.cancel_order(user=bob, order_id=order.pk, at=floor.now),
        lambda: services.modify_order(
            user=bob, order_id=order.pk, changes=services.OrderChanges(quantity=1), at=floor.now
        ),
    ):
        with pytest.raises(DomainError) as refusal:
            act()
        assert refusal.value.code == "unknown_order"


def test_modifying_reserves_anew_and_moves_the_order(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 100, order_type="LIMIT", price=98)
    before = order.reserved
    changed = services.modify_order(
        user=alice,
        order_id=order.pk,
        changes=services.OrderChanges(quantity=50, price=D("100.05")),
        at=floor.now,
    )
    assert changed.reserved < before
    assert portfolio(alice).reserved == changed.reserved
    floor.run()
    assert (again(order).status, prices(order)) == ("FILLED", [(50, "100.05")])


@pytest.mark.parametrize(
    "fields",
    [
        {"order_type": "LIMIT", "price": 98},
        {"order_type": "SL_M", "trigger_price": 104},
        {"order_type": "SL", "trigger_price": 104, "price": 105},
    ],
)
@pytest.mark.parametrize("side", ["BUY", "SELL"])
def test_an_order_is_modified_again_and_again_at_its_price(
    floor: Floor, alice: User, acme: Instrument, side: str, fields: dict[str, Any]
) -> None:
    """The desk holds what the order was beside what it is, at the same price and place."""
    floor.buy(alice, acme, 100)
    if side == "SELL":
        fields = {name: 202 - x if isinstance(x, int) else x for name, x in fields.items()}
    orders = [
        floor.place(alice, acme, side, 10, product="MIS", run=not number, **fields)
        for number in range(2)
    ]
    for quantity in (9, 8, 7, 6):
        for order in orders:
            services.modify_order(
                user=alice,
                order_id=order.pk,
                changes=services.OrderChanges(quantity=quantity),
                at=floor.now,
            )
            floor.run()
    assert [again(order).quantity for order in orders] == [6, 6]
    assert all(again(order).status in LIVE for order in orders)


def test_an_ended_order_is_neither_cancelled_nor_modified(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 1)
    with pytest.raises(services.OrderNotLive):
        services.cancel_order(user=alice, order_id=order.pk, at=floor.now)
    with pytest.raises(services.OrderNotLive):
        services.modify_order(
            user=alice, order_id=order.pk, changes=services.OrderChanges(quantity=2), at=floor.now
        )


def test_a_cancel_wins_over_a_fill_that_was_decided_before_it(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order = floor.buy(alice, acme, 10, order_type="LIMIT", price=99)
    asked = floor.board.row(acme.key)
    floor.tick(acme, 98.0, settle=False)  # decided, not yet booked
    services.cancel_order(user=alice, order_id=order.pk, at=floor.now)
    floor.settle(floor.desk.look_at([asked], floor.board, floor.now_ms))
    assert (again(order).status, prices(order)) == ("CANCELLED", [])


def test_an_intraday_short_puts_down_margin_and_gets_it_back(floor: Floor, alice: User) -> None:
    fno = share("FNO", cas_eligible=True)
    floor.tick(fno, 100.0, previous_close=100.0)
    short = floor.sell(alice, fno, 100, product="MIS")
    assert short.status == "FILLED"
    books = portfolio(alice)
    held = Position.objects.get(portfolio=books)
    assert (held.quantity, held.cost, held.margin) == (-100, D("-9995.00"), D("1999.00"))
    assert books.cash == D(1_000_000) - D("1999.00") - short.charges
    assert books.margin == D("11994.00")
    floor.tick(fno, 95.0)
    cover = floor.buy(alice, fno, 100, product="MIS")
    books = portfolio(alice)
    assert (books.margin, Position.objects.get(portfolio=books).realised_pnl) == (0, D("490.00"))
    assert books.cash == D(1_000_490) - short.charges - cover.charges


def test_a_fifth_of_a_delivery_sale_is_not_usable_today(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    sale = floor.sell(alice, acme, 10)
    books = portfolio(alice)
    assert books.unsettled == ((D("999.50") - sale.charges) / 5).quantize(D("0.01"))
    assert books.buying_power == books.cash - books.unsettled


@pytest.mark.parametrize("table", ["trading_fill", "trading_positionchange"])
@pytest.mark.parametrize("how", ["UPDATE {table} SET quantity = quantity", "DELETE FROM {table}"])
def test_what_moved_a_position_is_never_changed(
    floor: Floor, alice: User, acme: Instrument, table: str, how: str
) -> None:
    """By the database, whoever asks; it stays after all migrations."""
    floor.buy(alice, acme, 10)
    position = Position.objects.get(portfolio=portfolio(alice))
    PositionChange.objects.create(
        position=position, kind="CORPORATE_ACTION", reference="x", ledger_seq=2, quantity=0,
        occurred_at=floor.now,
    )  # fmt: skip
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        connection.cursor().execute(how.format(table=table))
