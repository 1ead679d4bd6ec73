"""The trading day: after-market orders, square-off, expiry, settlement; once, whenever asked."""

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from marketdata.models import Instrument
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from portfolios.models import Position
from tests.trading.floor import Floor, again, portfolio, prices
from trading import housekeeping, verification
from trading.models import Order

D = Decimal


def ist(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+05:30")


@pytest.fixture
def hours(settings: Any) -> None:
    """NSE's own hours."""
    settings.MARKET_HOURS = "nse"


@pytest.fixture
def day(hours: None, floor: Floor, acme: Instrument) -> Floor:
    """Monday 10:00, with ACME ticking."""
    floor.now = ist("2026-11-23 10:00")
    floor.tick(acme, 100.0)
    return floor


def set_phases(floor: Floor, phase: str) -> None:
    floor.desk.phases = dict.fromkeys(floor.desk.phases, phase)


def test_an_after_market_order_waits_for_the_next_session_and_fills_there(
    day: Floor, alice: User, acme: Instrument
) -> None:
    day.now = ist("2026-11-23 20:00")
    set_phases(day, "CLOSED")
    order = day.buy(alice, acme, 10, order_type="LIMIT", price=101, after_market=True)
    assert order.status == "QUEUED"
    assert portfolio(alice).reserved == order.reserved > 0
    housekeeping.reconcile(at=ist("2026-11-23 20:01"))
    # 24 November 2026 is a holiday.
    assert housekeeping.reconcile(at=ist("2026-11-24 10:00")).activated == 0
    day.now = ist("2026-11-25 09:16")
    assert housekeeping.reconcile(at=day.now).activated == 1
    assert again(order).status == "OPEN"
    set_phases(day, "CONTINUOUS")
    day.run()
    day.tick(acme, 100.0)
    assert (again(order).status, prices(order)) == ("FILLED", [(10, "100.05")])


def test_day_orders_expire_at_the_close_once_and_free_their_cash(
    day: Floor, alice: User, acme: Instrument
) -> None:
    order = day.buy(alice, acme, 10, order_type="LIMIT", price=90)
    assert housekeeping.reconcile(at=ist("2026-11-23 15:29")).expired == 0
    assert housekeeping.reconcile(at=ist("2026-11-23 15:32")).expired == 1
    assert housekeeping.reconcile(at=ist("2026-11-23 15:33")).expired == 0
    assert (again(order).status, portfolio(alice).reserved) == ("EXPIRED", 0)


def test_an_order_of_an_earlier_day_expires_after_a_long_sleep(
    day: Floor, alice: User, acme: Instrument
) -> None:
    order = day.buy(alice, acme, 10, order_type="LIMIT", price=90)
    housekeeping.reconcile(at=ist("2026-11-27 10:00"))
    assert again(order).status == "EXPIRED"


def test_intraday_is_cancelled_first_and_then_squared_off_once(
    day: Floor, alice: User, acme: Instrument
) -> None:
    day.buy(alice, acme, 50, product="MIS")
    pending = day.sell(alice, acme, 50, product="MIS", order_type="LIMIT", price=110)
    before = housekeeping.reconcile(at=ist("2026-11-23 15:09"))
    assert (before.cancelled, before.squared_off) == (0, 0)
    day.now = ist("2026-11-23 15:10")
    report = housekeeping.reconcile(at=day.now)
    assert (report.cancelled, report.squared_off) == (1, 1)
    assert again(pending).status == "CANCELLED"
    assert housekeeping.reconcile(at=day.now).squared_off == 0
    day.run()
    day.tick(acme, 99.0)
    assert Position.objects.get(portfolio=portfolio(alice)).quantity == 0
    assert housekeeping.reconcile(at=ist("2026-11-23 15:12")).squared_off == 0
    assert Order.objects.filter(client_order_id__startswith="squareoff-").count() == 1
    assert verification.check_ledger() == []


def test_new_intraday_orders_are_refused_after_the_square_off(
    day: Floor, alice: User, acme: Instrument
) -> None:
    day.now = ist("2026-11-23 15:10")
    with pytest.raises(DomainError) as refusal:
        day.buy(alice, acme, 1, product="MIS", order_type="LIMIT", price=100)
    assert refusal.value.code == "intraday_closed"


def test_a_square_off_that_slept_over_the_close_books_the_last_price(
    day: Floor, alice: User, acme: Instrument
) -> None:
    day.buy(alice, acme, 50, product="MIS")
    day.tick(acme, 97.0)
    day.now = ist("2026-11-23 18:00")
    set_phases(day, "CLOSED")
    assert housekeeping.reconcile(at=day.now).squared_off == 1
    day.run()
    exit_order = Order.objects.get(client_order_id__startswith="squareoff-")
    assert prices(exit_order) == [(50, "97")]
    assert Position.objects.get(portfolio=portfolio(alice)).quantity == 0
    assert [found for found in verification.verify_fills() if found] == []


def test_sale_proceeds_settle_with_the_next_session(
    day: Floor, alice: User, acme: Instrument
) -> None:
    day.buy(alice, acme, 10)
    day.sell(alice, acme, 10)
    assert portfolio(alice).unsettled > 0
    assert housekeeping.reconcile(at=ist("2026-11-23 18:00")).settled == 0
    assert housekeeping.reconcile(at=ist("2026-11-25 09:00")).settled == 1
    assert portfolio(alice).unsettled == 0
