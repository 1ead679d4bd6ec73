"""Who holds a share hears of its corporate action: once, with what it did to them."""

from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from django.test import Client
from django.urls import reverse as reverse_url

from marketdata.models import Instrument
from mockmarket.core import bus, clock
from mockmarket.core.models import OutboxEvent, User
from tests.trading.corporate import MORNING, announce, apply, reverse, told
from tests.trading.floor import Floor, portfolio
from trading.corporate_actions import services
from trading.corporate_actions.booking import apply_step

D = Decimal
pytestmark = pytest.mark.usefixtures("real_exchange")


def test_who_holds_the_share_hears_of_it_once(
    floor: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.buy(alice, acme, 3, order_type="LIMIT", price=90)
    action = announce(acme, "SPLIT", numerator=5, denominator=1)
    apply(action)
    services.apply_due(at=MORNING)  # again: everything is done
    booking = {"action": action, "factor": Fraction(5), "since": services.begins(action)}
    assert not apply_step(portfolio_id=portfolio(alice).pk, at=MORNING, **booking)
    [event] = told(alice)
    assert event["title"] == "ACME: split 5 for 1"
    assert event["message"] == (
        "Your 10 shares were adjusted, at the same cost in all. 1 of your waiting orders follow."
    )
    assert (event["units"], event["orders"], event["reversed"]) == (10, 1, False)
    assert told(bob) == []  # holds nothing of it
    reverse(action, alice)
    assert [one["reversed"] for one in told(alice)] == [False, True]
    client = Client()
    client.force_login(alice)
    page = client.get(reverse_url("dashboard")).content.decode()
    assert "ACME: split 5 for 1: reversed" in page


def test_a_dividend_says_what_it_brought(
    floor: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    floor.buy(alice, acme, 10)
    floor.sell(bob, acme, 4, product="MIS")
    apply(announce(acme, "DIVIDEND", amount=D("12.50")))
    assert [(one["cash"], one["message"]) for one in told(alice)] == [
        (125.0, "₹125.00 came to your cash.")
    ]
    assert [one["message"] for one in told(bob)] == ["₹50.00 left your cash."]


def asyncapi_check(row: OutboxEvent) -> str:
    """The frame of an event against the AsyncAPI document."""
    from tests.marketdata.stream.test_asyncapi import check

    return check({"type": row.type, "seq": row.seq, "data": row.payload})


def test_an_event_that_was_not_published_is_relayed(
    floor: Floor, alice: User, acme: Instrument
) -> None:
    """It is in the outbox with the step: a crash after the commit loses nothing."""
    floor.buy(alice, acme, 10)
    apply(announce(acme, "DIVIDEND", amount=D(1)))
    rows = OutboxEvent.objects.filter(user=alice, type="corporate_action")
    rows.update(published_at=None)
    bus.relay_unpublished(at=clock.now() + timedelta(days=400))
    assert rows.get().published_at is not None
    assert asyncapi_check(rows.get()) == "CorporateAction"
