"""Good till triggered, one cancels the other, and brackets."""

from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pytest

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios.models import Position
from tests.trading.floor import CONTINUOUS, Floor, again, portfolio, prices
from trading import gtt, services, verification
from trading.gtt import GttDraft, Leg
from trading.models import Gtt, Order
from trading.watching import Watch

D = Decimal


@pytest.fixture
def tick(floor: Floor) -> Callable[[Instrument, float], None]:
    """A tick that the watch sees too, with what it fires placed and matched."""
    watch = Watch()

    def move(instrument: Instrument, last: float) -> None:
        gtt.follow_entries(at=floor.now)
        watch.replace(gtt.watched(), floor.board)
        floor.tick(instrument, last)
        rows = np.array([floor.board.row(instrument.key)], dtype=np.int32)
        for gtt_id, leg in watch.on_ticks(rows, floor.board, CONTINUOUS):
            gtt.fire(gtt_id=gtt_id, leg=leg, at=floor.now)
            gtt.fire(gtt_id=gtt_id, leg=leg, at=floor.now)  # a repeat changes nothing
        floor.run()

    return move


def draft(instrument: Instrument, side: str, quantity: int, **legs: Leg) -> GttDraft:
    return GttDraft(instrument_key=instrument.key, side=side, quantity=quantity, **legs)


def test_a_single_leg_places_one_limit_order(
    floor: Floor, alice: User, acme: Instrument, tick: Callable[..., None]
) -> None:
    made = gtt.place_gtt(
        user=alice,
        contest=None,
        draft=draft(acme, "BUY", 10, lower=Leg(trigger=D(95), price=D("95.50"))),
        at=floor.now,
    )
    tick(acme, 96.0)
    assert not Order.objects.exists()
    tick(acme, 94.0)
    made.refresh_from_db()
    assert (made.status, made.fired_leg) == ("TRIGGERED", "LOWER")
    assert prices(made.order) == [(10, "94.05")]
    tick(acme, 93.0)
    assert Order.objects.count() == 1


def test_one_cancels_the_other(
    floor: Floor, alice: User, acme: Instrument, tick: Callable[..., None]
) -> None:
    floor.buy(alice, acme, 10)
    made = gtt.place_gtt(
        user=alice,
        contest=None,
        draft=draft(acme, "SELL", 10, lower=Leg(trigger=D(95)), upper=Leg(trigger=D(105))),
        at=floor.now,
    )
    tick(acme, 106.0)
    tick(acme, 94.0)
    made.refresh_from_db()
    assert (made.status, made.fired_leg) == ("TRIGGERED", "UPPER")
    assert prices(made.order) == [(10, "105.95")]
    assert Order.objects.filter(side="SELL").count() == 1


def test_a_bracket_guards_what_has_filled(
    floor: Floor, alice: User, acme: Instrument, tick: Callable[..., None]
) -> None:
    floor.tick(acme, 100.0, asks=[(100.05, 30)])
    order, bracket = gtt.place_bracket(
        user=alice,
        contest=None,
        entry=services.OrderDraft(
            instrument_key=acme.key,
            side="BUY",
            quantity=50,
            product="MIS",
            order_type="LIMIT",
            price=D("100.05"),
        ),
        stop=Leg(trigger=D(98)),
        target=Leg(trigger=D(104)),
        at=floor.now,
    )
    assert bracket.status == "PENDING"
    floor.run()
    assert again(order).filled_quantity == 30
    tick(acme, 104.5)
    bracket.refresh_from_db()
    assert (bracket.status, bracket.quantity) == ("TRIGGERED", 30)
    assert again(order).status == "CANCELLED"
    assert prices(bracket.order) == [(30, "104.45")]
    assert Position.objects.get(portfolio=portfolio(alice)).quantity == 0
    assert verification.check_ledger() == []


def test_a_bracket_ends_with_an_entry_that_never_filled(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    order, bracket = gtt.place_bracket(
        user=alice,
        contest=None,
        entry=services.OrderDraft(
            instrument_key=acme.key, side="BUY", quantity=5, order_type="LIMIT", price=D(99)
        ),
        stop=Leg(trigger=D(97)),
        target=Leg(trigger=D(103)),
        at=floor.now,
    )
    services.cancel_order(user=alice, order_id=order.pk, at=floor.now)
    assert gtt.follow_entries(at=floor.now) == 1
    assert Gtt.objects.get(pk=bracket.pk).status == "CANCELLED"


def test_a_leg_that_may_not_trade_says_why(
    floor: Floor, alice: User, acme: Instrument, tick: Callable[..., None]
) -> None:
    made = gtt.place_gtt(
        user=alice,
        contest=None,
        draft=draft(acme, "SELL", 10, lower=Leg(trigger=D(95))),
        at=floor.now,
    )
    tick(acme, 94.0)
    made.refresh_from_db()
    assert made.status == "REJECTED"
    assert made.status_reason.startswith("insufficient_holdings")


@pytest.mark.parametrize(
    ("code", "legs"),
    [
        ("invalid_leg", {}),
        ("invalid_leg", {"lower": Leg(trigger=D(101))}),
        ("invalid_leg", {"upper": Leg(trigger=D(99))}),
        ("invalid_tick", {"lower": Leg(trigger=D("94.99"))}),
        ("invalid_price", {"lower": Leg(trigger=D(95), price=D(0))}),
    ],
)
def test_wrong_legs_are_refused(
    floor: Floor, alice: User, acme: Instrument, code: str, legs: dict[str, Leg]
) -> None:
    with pytest.raises(DomainError) as refusal:
        gtt.place_gtt(user=alice, contest=None, draft=draft(acme, "BUY", 10, **legs), at=floor.now)
    assert refusal.value.code == code


def test_only_its_owner_cancels_it(floor: Floor, alice: User, bob: User, acme: Instrument) -> None:
    made = gtt.place_gtt(
        user=alice,
        contest=None,
        draft=draft(acme, "BUY", 10, lower=Leg(trigger=D(95))),
        at=floor.now,
    )
    with pytest.raises(gtt.NoGtt):
        gtt.cancel_gtt(user=bob, gtt_id=made.pk, at=floor.now)
    assert gtt.cancel_gtt(user=alice, gtt_id=made.pk, at=floor.now).status == "CANCELLED"
    assert gtt.watched() == []
