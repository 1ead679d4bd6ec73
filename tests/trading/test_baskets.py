"""Baskets: one preview, one lock, each order for itself."""

from decimal import Decimal

import pytest

from marketdata.models import Instrument
from mockmarket.core.models import User
from tests.trading.floor import Floor, portfolio
from trading import baskets
from trading.drafts import OrderDraft


def draft(instrument: Instrument, quantity: int) -> OrderDraft:
    return OrderDraft(
        instrument_key=instrument.key,
        side="BUY",
        quantity=quantity,
        order_type="LIMIT",
        price=Decimal(99),
    )


def test_one_margin_for_all(floor: Floor, alice: User, acme: Instrument) -> None:
    drafts = [draft(acme, 4_000), draft(acme, 5_000), draft(acme, 4_000)]
    preview = baskets.preview_basket(user=alice, contest=None, drafts=drafts, at=floor.now)
    assert preview.required > preview.buying_power
    assert not preview.enough
    result = baskets.place_basket(user=alice, contest=None, drafts=drafts, at=floor.now)
    assert len(result.orders) == 2
    assert [(one.index, one.code) for one in result.refusals] == [(2, "insufficient_cash")]
    assert portfolio(alice).reserved == sum(order.reserved for order in result.orders)


@pytest.mark.parametrize("count", [0, 21])
def test_the_size_is_limited(floor: Floor, alice: User, acme: Instrument, count: int) -> None:
    with pytest.raises(baskets.InvalidBasket):
        baskets.place_basket(
            user=alice, contest=None, drafts=[draft(acme, 1)] * count, at=floor.now
        )
