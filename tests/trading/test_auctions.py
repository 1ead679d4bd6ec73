"""The opening auction: what it takes and when, and its one price."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from marketdata import sessions
from marketdata.models import Instrument
from marketdata.quotes import Tick
from mockmarket.core import clock
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from tests.trading.floor import CONTINUOUS, Floor, again, portfolio, prices
from trading import auction, housekeeping, verification

D = Decimal
DAY = date(2026, 11, 25)


def ist(text: str) -> datetime:
    return datetime.fromisoformat(f"{DAY}T{text}+05:30")


@pytest.fixture
def morning(settings: Any, floor: Floor, acme: Instrument) -> Floor:
    """Wednesday 09:02 at NSE; ACME closed at 100."""
    settings.MARKET_HOURS = "nse"
    floor.now = ist("09:02:00")
    floor.desk.phases = dict.fromkeys(CONTINUOUS, "PRE_OPEN")
    return floor


def open_at(floor: Floor, acme: Instrument, price: float, *, told: str = "09:14:50") -> None:
    """The exchange tells the opening price; then the pre-open ends."""
    at_ms = clock.to_ms(ist(told))
    floor.board.merge(
        [
            Tick(
                instrument_key=acme.key, exchange_ms=at_ms, received_ms=at_ms, source="stream",
                last_price=price, last_trade_ms=at_ms, open=price, volume=50_000,
            )
        ]
    )  # fmt: skip
    floor.now = ist("09:15:00")
    floor.desk.phases = dict(CONTINUOUS)
    since_ms = floor.now_ms - 20 * 60_000
    floor.settle(floor.desk.match_opening("NSE_EQ", floor.board, floor.now_ms, since_ms=since_ms))


def test_everything_that_the_opening_price_lets_trade_trades_at_it(
    morning: Floor, alice: User, bob: User, acme: Instrument
) -> None:
    morning.tick(acme, 100.0)  # without a price of now, orders by market are refused
    market = morning.buy(alice, acme, 10)
    high = morning.buy(bob, acme, 5, order_type="LIMIT", price=103)
    low = morning.buy(bob, acme, 5, order_type="LIMIT", price=99)
    assert {order.status for order in (market, high, low)} == {"OPEN"}
    morning.tick(acme, 98.0, asks=[(98.0, 1_000)])  # an indicative price fills nothing
    assert not prices(market)
    open_at(morning, acme, 101.5)
    assert (prices(market), prices(high)) == ([(10, "101.5")], [(5, "101.5")])
    assert (again(market).status, again(high).status) == ("FILLED", "FILLED")
    assert again(low).status == "OPEN"
    morning.tick(acme, 99.0, asks=[(99.0, 100)])  # what was left trades on continuously
    assert prices(again(low)) == [(5, "99")]
    assert [found for found in verification.verify_fills() if found] == []
    assert verification.check_ledger() == []


def test_without_an_opening_price_of_today_nothing_matches(
    morning: Floor, alice: User, acme: Instrument
) -> None:
    order = morning.buy(alice, acme, 10, order_type="LIMIT", price=103)
    open_at(morning, acme, 101.5, told="08:00:00")  # yesterday's, repeated
    assert not prices(order)
    assert again(order).status == "OPEN"


@pytest.mark.parametrize(("price", "matches"), [(119.95, True), (120.05, False)])
def test_an_opening_price_outside_the_days_band_is_none(
    morning: Floor, alice: User, acme: Instrument, price: float, matches: bool
) -> None:
    """ACME closed at 100 and moves 20 % at most."""
    with pytest.raises(DomainError) as refusal:
        morning.buy(alice, acme, 10, order_type="LIMIT", price=120.05)
    assert refusal.value.code == "price_out_of_band"
    order = morning.buy(alice, acme, 10, order_type="LIMIT", price=120)
    open_at(morning, acme, price)
    assert bool(prices(order)) == matches


@pytest.mark.parametrize(
    ("at", "fields", "code"),
    [
        ("09:07:59", {"order_type": "LIMIT", "price": 100}, None),
        ("09:08:00", {"order_type": "LIMIT", "price": 100}, "market_closed"),
        ("09:02:00", {"order_type": "SL", "price": 105, "trigger_price": 105}, "market_closed"),
        ("08:59:59", {"order_type": "LIMIT", "price": 100}, "market_closed"),
    ],
)
def test_what_the_opening_auction_takes(
    morning: Floor, alice: User, acme: Instrument, at: str, fields: dict[str, Any], code: str | None
) -> None:
    morning.now = ist(at)
    if code is None:
        assert morning.buy(alice, acme, 1, **fields).status == "OPEN"
        return
    with pytest.raises(DomainError) as refusal:
        morning.buy(alice, acme, 1, **fields)
    assert refusal.value.code == code
    assert morning.buy(alice, acme, 1, after_market=True, **fields).status == "QUEUED"


def test_orders_of_the_night_take_part_and_stops_wait(
    morning: Floor, alice: User, acme: Instrument
) -> None:
    morning.now = ist("08:30:00")
    morning.desk.phases = dict.fromkeys(CONTINUOUS, "CLOSED")
    limit = morning.buy(alice, acme, 10, order_type="LIMIT", price=102, after_market=True)
    stop = morning.buy(
        alice, acme, 10, order_type="SL", price=106, trigger_price=105, after_market=True
    )
    morning.now = ist("09:01:00")
    assert housekeeping.reconcile(at=morning.now).activated == 1
    assert (again(limit).status, again(stop).status) == ("OPEN", "QUEUED")
    morning.run()
    open_at(morning, acme, 101.5)
    assert prices(limit) == [(10, "101.5")]
    assert housekeeping.reconcile(at=morning.now).activated == 1
    assert again(stop).status == "TRIGGER_PENDING"
    assert portfolio(alice).reserved == again(stop).reserved


def test_the_pre_open_is_known_by_the_calendar() -> None:
    calendar = sessions.Calendar.of([])
    for at, began in (("09:00:00", "09:00:00"), ("09:14:59", "09:00:00"), ("09:15:00", None)):
        found = sessions.pre_open_start(market="NSE_EQ", at=ist(at), calendar=calendar)
        assert found == (None if began is None else ist(began))
    assert not auction.opening_takes(since_start=auction.OPENING_COLLECTS, order_type="LIMIT")
