"""The closing auction: when it takes what, its band of 3 %, and its one price."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from marketdata import sessions
from marketdata.models import Candle, Instrument
from mockmarket.core.errors import DomainError
from mockmarket.core.models import User
from tests.support.api import client_of
from tests.trading.floor import CONTINUOUS, Floor, again, portfolio, prices, share
from trading import bands, closing, housekeeping, verification

D = Decimal
MARKET = "NSE_EQ_CAS"


def ist(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-11-23T{text}+05:30")


def minute(instrument: Instrument, at: str, price: str, volume: int) -> None:
    """A minute that traded at one price."""
    Candle.objects.create(
        instrument=instrument, interval=Candle.Interval.MINUTE, start=ist(f"{at}:00"),
        open=D(price), high=D(price), low=D(price), close=D(price), volume=volume,
    )  # fmt: skip


@pytest.fixture
def fno(settings: Any, floor: Floor) -> Instrument:
    """Monday's last quarter of an hour averaged 100.10; trading ended at 100.20."""
    settings.MARKET_HOURS = "nse"
    row = share("FNO", cas_eligible=True)
    floor.now = ist("15:14:00")
    floor.tick(row, 100.2, previous_close=98.0)
    minute(row, "14:59", "90", 1_000_000)
    minute(row, "15:00", "100", 3_000)
    minute(row, "15:14", "100.20", 3_000)
    return row


@pytest.fixture
def auction(floor: Floor, fno: Instrument) -> Floor:
    """15:22: market and limit orders are taken."""
    floor.desk.phases = dict.fromkeys(CONTINUOUS, "CLOSING_AUCTION")
    floor.now = ist("15:22:00")
    return floor


def close_at(
    floor: Floor, fno: Instrument, price: float, *, traded: str = "15:31:00", now: str = "15:35:01"
) -> None:
    """The exchange tells the closing price, and the auction ends."""
    floor.now = ist(traded)
    floor.tick(fno, price, bids=[], asks=[])
    floor.now = ist(now)
    floor.desk.phases = dict.fromkeys(CONTINUOUS, "POST_CLOSE")
    found = closing.ended(MARKET, floor.desk.instruments(MARKET), at=floor.now)
    if found is not None:
        floor.settle(
            floor.desk.match_auction(
                MARKET, floor.board, floor.now_ms, since_ms=found.since_ms, bands=found.bands
            )
        )


def refused(floor: Floor, user: User, fno: Instrument, **fields: Any) -> DomainError:
    with pytest.raises(DomainError) as refusal:
        floor.buy(user, fno, 1, **fields)
    return refusal.value


# --- What it takes ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("at", "order_type", "taken"),
    [
        ("15:15:00", "MARKET", False),
        ("15:19:59", "LIMIT", False),
        ("15:20:00", "MARKET", True),
        ("15:24:59", "LIMIT", True),
        ("15:25:00", "MARKET", False),
        ("15:29:59", "LIMIT", True),
        ("15:30:00", "LIMIT", False),
        ("15:34:59", "LIMIT", False),
        ("15:22:00", "SL", False),
        ("15:22:00", "SL_M", False),
    ],
)
def test_what_the_auction_takes(
    auction: Floor, alice: User, fno: Instrument, at: str, order_type: str, taken: bool
) -> None:
    auction.now = ist(at)
    fields: dict[str, Any] = {"order_type": order_type}
    if order_type in {"LIMIT", "SL"}:
        fields["price"] = 101
    if order_type in {"SL", "SL_M"}:
        fields["trigger_price"] = 101
    if taken:
        assert auction.buy(alice, fno, 1, **fields).status == "OPEN"
    else:
        assert refused(auction, alice, fno, **fields).code == "market_closed"


# --- Its band -----------------------------------------------------------------------------
def test_the_band_lies_three_percent_around_the_average_of_the_last_quarter_hour(
    auction: Floor, alice: User, fno: Instrument
) -> None:
    # 100.10 and 3 %: 97.097 to 103.103, on the grid and inside.
    for price in (97.05, 103.15):
        refusal = refused(auction, alice, fno, order_type="LIMIT", price=price)
        assert refusal.code == "auction_band"
        assert refusal.fields["rule"] == "closing_auction_band"
        assert "97.10" in refusal.message
        assert "103.10" in refusal.message
    for price in (97.1, 103.1):
        assert auction.buy(alice, fno, 1, order_type="LIMIT", price=price).status == "OPEN"


def test_the_api_names_the_rule(auction: Floor, alice: User, fno: Instrument) -> None:
    import time_machine

    with time_machine.travel(auction.now, tick=False):
        answer = client_of(alice).post(
            "/api/v1/orders/",
            {
                "instrument_key": fno.key, "side": "BUY", "quantity": 1, "order_type": "LIMIT",
                "price": "110.00",
            },
            format="json",
        )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == "auction_band"
    assert answer.json()["error"]["fields"]["rule"] == "closing_auction_band"


def test_a_changed_order_stays_in_the_band(auction: Floor, alice: User, fno: Instrument) -> None:
    from trading import services

    order = auction.buy(alice, fno, 1, order_type="LIMIT", price=100)
    changes = services.OrderChanges(price=D("104.00"))
    with pytest.raises(DomainError) as refusal:
        services.modify_order(user=alice, order_id=order.pk, changes=changes, at=auction.now)
    assert refusal.value.code == "auction_band"
    assert again(order).price == D("100")


def test_an_order_for_tomorrow_knows_the_days_band_only(
    auction: Floor, alice: User, fno: Instrument
) -> None:
    auction.now = ist("15:31:00")
    order = auction.buy(alice, fno, 1, order_type="LIMIT", price=105, after_market=True)
    assert order.status == "QUEUED"


def test_without_a_trade_in_the_quarter_hour_the_last_price_before_is_the_reference(
    fno: Instrument,
) -> None:
    Candle.objects.filter(start__gte=ist("15:00:00")).delete()
    minute(fno, "11:00", "80", 10)
    assert closing.references([fno], began=ist("15:15:00")) == {fno.pk: D(90)}
    Candle.objects.all().delete()
    assert closing.references([fno], began=ist("15:15:00")) == {}


def test_the_band_is_a_row_with_its_date() -> None:
    assert bands.auction_percent(on=date(2026, 8, 2)) is None
    assert bands.auction_percent(on=date(2026, 8, 3)) == 3
    calendar = sessions.Calendar.of([])
    for day, begins in ((date(2026, 7, 31), None), (date(2026, 8, 3), "15:15")):
        found = sessions.closing_auction(market=MARKET, day=day, calendar=calendar)
        began = None if found is None else f"{found[0] + timedelta(hours=5, minutes=30):%H:%M}"
        assert began == begins


# --- Its one price ------------------------------------------------------------------------
def test_orders_match_at_one_price_and_nothing_before(
    auction: Floor, alice: User, bob: User, fno: Instrument
) -> None:
    market = auction.buy(alice, fno, 10)
    low = auction.buy(bob, fno, 5, order_type="LIMIT", price=99)
    high = auction.buy(bob, fno, 5, order_type="LIMIT", price=101)
    auction.tick(fno, 100.5)  # an indicative price fills nothing
    assert not prices(market)
    # It holds back what the auction may cost at most.
    assert again(market).reserved >= D("103.10") * 10
    close_at(auction, fno, 100.2)
    assert prices(market) == [(10, "100.2")]
    assert prices(high) == [(5, "100.2")]
    assert again(low).status == "OPEN"
    close_at(auction, fno, 100.2)  # the next second
    assert prices(market) == [(10, "100.2")]
    assert housekeeping.reconcile(at=ist("15:36:00")).expired == 1
    assert again(low).status == "EXPIRED"
    assert portfolio(bob).reserved == 0
    assert [found for found in verification.verify_fills() if found] == []
    assert verification.check_ledger() == []


def test_limit_orders_of_the_day_take_part_and_stops_do_not(
    floor: Floor, alice: User, fno: Instrument
) -> None:
    floor.buy(alice, fno, 10)
    limit = floor.buy(alice, fno, 10, order_type="LIMIT", price=99)
    beyond = floor.sell(alice, fno, 10, order_type="LIMIT", price=104)
    stop = floor.buy(alice, fno, 10, order_type="SL", price=101.5, trigger_price=101)
    floor.desk.phases = dict.fromkeys(CONTINUOUS, "CLOSING_AUCTION")
    close_at(floor, fno, 98.5)
    assert prices(limit) == [(10, "98.5")]
    assert (again(stop).status, again(beyond).filled_quantity) == ("TRIGGER_PENDING", 0)
    assert [found for found in verification.verify_fills() if found] == []


@pytest.mark.parametrize(
    ("price", "matches"), [(103.1, True), (103.15, False), (97.1, True), (97.05, False)]
)
def test_a_price_outside_the_band_is_none_of_the_auction(
    auction: Floor, alice: User, fno: Instrument, price: float, matches: bool
) -> None:
    order = auction.buy(alice, fno, 10)
    close_at(auction, fno, price)
    assert bool(prices(order)) == matches


def test_where_the_auction_found_no_price_nothing_matches(
    auction: Floor, alice: User, fno: Instrument
) -> None:
    """The last trade is one of continuous trading: there was no closing price."""
    order = auction.buy(alice, fno, 10)
    close_at(auction, fno, 100.2, traded="15:14:59")
    assert not prices(order)


def test_an_engine_that_slept_over_the_bell_matches_within_the_minute(
    auction: Floor, alice: User, fno: Instrument
) -> None:
    order = auction.buy(alice, fno, 10)
    auction.start_engine()
    close_at(auction, fno, 100.2, now="15:36:00")
    assert not prices(order)
    close_at(auction, fno, 100.2, now="15:35:59")
    assert prices(order) == [(10, "100.2")]
