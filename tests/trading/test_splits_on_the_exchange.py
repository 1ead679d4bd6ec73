"""An option of a share that splits on the simulated exchange: it goes on being listed, moves with
the market and expires by its new terms."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests

from marketdata import universe
from marketdata.exchange import hours, listing
from marketdata.exchange.prices import Market
from marketdata.exchange.simulated import SimulatedSource
from marketdata.exchange.splits import Splits
from marketdata.models import ClosingPrice, Instrument
from marketdata.services import refresh_instruments
from mockmarket.core import clock
from mockmarket.core.models import User
from portfolios.rows import exact_value, portfolio_row
from tests.support.derivatives import allow_derivatives, quoted
from tests.support.exchange import exchange
from tests.trading.corporate import MORNING, announce, apply, reverse
from tests.trading.floor import START, Floor, portfolio, share
from trading.derivatives import services as derivatives

D = Decimal
KEY = "NSE_EQ|INE009A01021"
EXPIRY = date(2026, 12, 29)

pytestmark = pytest.mark.usefixtures("books_are_proved")


@dataclass
class Street:
    """The simulated exchange at `now`, and what it says over its wire."""

    url: str
    market: Market
    now: datetime = START

    def greek(self, contract: Instrument) -> Any:
        answer = requests.get(
            f"{self.url}/v3/market-quote/option-greek",
            params={"instrument_key": contract.key},
            headers={"Authorization": "Bearer any"},
            timeout=20,
        )
        answer.raise_for_status()
        (found,) = answer.json()["data"].values()
        return found

    def price(self, contract: Instrument) -> float:
        return float(self.greek(contract)["last_price"])

    def close(self, day: date) -> Decimal:
        row = self.market.rows[KEY]
        return D(str(self.market.previous_close(row, day + timedelta(days=1))))


@pytest.fixture
def street(settings: Any, tmp_path: Path) -> Iterator[Street]:
    """Indices and Infosys; the database has the contracts that the exchange lists."""
    rows = listing.from_universe(universe.load())
    market = Market(
        listings=[row for row in rows if row.is_index or row.key == KEY],
        seed=1,
        hours=hours.ALWAYS,
    )
    here = Street("", market)
    now_ms: Callable[[], int] = lambda: clock.to_ms(here.now)  # noqa: E731
    source = SimulatedSource(
        market=market, seed=1, tick_rate=10, beat_ms=50, started_ms=clock.to_ms(START)
    )
    splits = Splits(source, tmp_path / "splits.json")
    with exchange(source, now_ms=now_ms, splits=splits) as server:
        here.url = server.rest_url
        settings.MARKET_SOURCE, settings.UPSTOX_REST_URL = "simulated", server.rest_url
        yield here


@pytest.fixture
def infosys(street: Street, floor: Floor, alice: User) -> Instrument:
    found = share("INFY", key=KEY, isin="INE009A01021")
    floor.tick(found, 1_000.0, previous_close=1_000.0)
    allow_derivatives()
    refresh_instruments()
    return found


def deepest_call() -> Instrument:
    """The call that the market will hardly take out of the money."""
    calls = Instrument.objects.filter(
        underlying_key=KEY, instrument_type="CE", expiry_date=EXPIRY, active=True
    )
    found = calls.order_by("strike_price").first()
    assert found is not None
    return found


def morning_after(street: Street, *, days: int = 1) -> None:
    street.now = MORNING + timedelta(days=days, hours=10)
    refresh_instruments()


def test_an_adjusted_option_is_listed_moves_and_expires(
    street: Street, floor: Floor, alice: User, infosys: Instrument
) -> None:
    call = deepest_call()
    lot, strike, old = call.lot_size, call.strike_price, street.price(call)
    assert strike is not None
    quoted(floor, call, old)
    floor.buy(alice, call, 2 * lot, product="NRML")
    street.now = MORNING
    apply(announce(infosys, "SPLIT", numerator=5, denominator=1))
    call.refresh_from_db()
    mine = (call.symbol, call.lot_size, call.strike_price, call.freeze_quantity)
    assert mine[1:3] == (5 * lot, strike / 5)

    morning_after(street)
    call.refresh_from_db()
    assert call.active
    assert (call.symbol, call.lot_size, call.strike_price, call.freeze_quantity) == mine
    first = street.price(call)
    assert first == pytest.approx(old / 5, rel=0.2)
    floor.now = street.now
    quoted(floor, call, first)
    worth = exact_value(row=portfolio_row(portfolio_id=portfolio(alice).pk, at=floor.now),
                        at=floor.now).equity  # fmt: skip
    street.now += timedelta(hours=2)
    floor.now = street.now
    second = street.price(call)
    assert second != first
    quoted(floor, call, second)
    later = exact_value(row=portfolio_row(portfolio_id=portfolio(alice).pk, at=floor.now),
                        at=floor.now).equity  # fmt: skip
    assert later - worth == 10 * lot * (D(str(second)) - D(str(first)))

    close, cash = street.close(EXPIRY), portfolio(alice).cash
    ClosingPrice.objects.create(
        instrument=infosys, session_date=EXPIRY, close=close, source="rest",
        traded_at=datetime.fromisoformat(f"{EXPIRY}T15:30:00+05:30"),
        stored_at=datetime.fromisoformat(f"{EXPIRY}T15:36:00+05:30"),
    )  # fmt: skip
    at = datetime.fromisoformat(f"{EXPIRY + timedelta(days=1)}T09:00:00+05:30")
    assert derivatives.reconcile(at=at).expired == 1
    paid = 10 * lot * (close - strike / 5)
    tax = paid * D("0.0015")
    assert portfolio(alice).cash - cash == pytest.approx(paid - tax, abs=D("0.01"))


def test_the_file_of_the_next_morning_leaves_every_adjusted_contract_as_it_is(
    street: Street, infosys: Instrument
) -> None:
    """A bonus of 1 for 3 rounds strikes to 5 paise and lots to units: both sides alike."""
    street.now = MORNING
    apply(announce(infosys, "BONUS", numerator=1, denominator=3))
    adjusted = Instrument.objects.filter(underlying_key=KEY, expiry_date=EXPIRY)
    columns = ("key", "symbol", "lot_size", "strike_price", "freeze_quantity", "active")
    before = set(adjusted.values_list(*columns))
    assert len({row[3] for row in before}) > 40
    morning_after(street)
    assert before <= set(adjusted.values_list(*columns))


def test_a_reversal_gives_the_old_contracts_back(
    street: Street, floor: Floor, alice: User, infosys: Instrument
) -> None:
    call = deepest_call()
    old, strike = street.price(call), call.strike_price
    street.now = MORNING
    action = announce(infosys, "SPLIT", numerator=5, denominator=1)
    apply(action)
    assert street.price(call) == pytest.approx(old / 5, rel=0.2)
    reverse(action, alice)
    morning_after(street)
    call.refresh_from_db()
    assert (call.active, call.strike_price) == (True, strike)
    assert street.price(call) == pytest.approx(old, rel=0.2)


def test_months_listed_after_the_split_join_the_old_ones(
    street: Street, infosys: Instrument
) -> None:
    street.now = MORNING
    apply(announce(infosys, "SPLIT", numerator=5, denominator=1))
    morning_after(street, days=2)
    fresh = Instrument.objects.filter(
        underlying_key=KEY, expiry_date=date(2027, 1, 26), active=True
    )
    assert {row.lot_size for row in fresh} == {5 * 400}
    assert fresh.filter(instrument_type="FUT").count() == 1
