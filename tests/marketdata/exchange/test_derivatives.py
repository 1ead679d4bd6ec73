"""Futures and options of the simulated exchange: one surface, its solvable inverse, its files."""

import asyncio
import functools
from collections.abc import Awaitable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import orjson
import pytest
import upstox_client

from marketdata import instruments, universe
from marketdata.exchange import contracts, derivatives
from marketdata.exchange.derivatives import Board
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.hours import ALWAYS, NSE
from marketdata.exchange.listing import from_universe
from marketdata.exchange.prices import Market
from marketdata.exchange.requests import Request
from marketdata.exchange.rest_server import Rest
from marketdata.exchange.simulated import SimulatedSource
from marketdata.models import Instrument
from marketdata.options import pricing, sweep
from marketdata.services import seed_derivatives, seed_universe
from tests.support.exchange import HDFC, NIFTY, exchange, heard
from tests.support.waiting import eventually

NOON_MS = 1_795_199_400_000 + 12 * 3_600_000  # Saturday 2026-11-21 12:00 in India
DAY = date(2026, 11, 21)


@functools.cache
def source() -> SimulatedSource:
    market = Market(listings=from_universe(universe.load()), seed=1, hours=ALWAYS)
    return SimulatedSource(market=market, seed=1, tick_rate=10, beat_ms=50, started_ms=NOON_MS)


def _run(answer: Awaitable[Answer]) -> Answer:
    async def wait() -> Answer:
        return await answer

    return asyncio.run(wait())


def call(path: str, **query: str) -> Any:
    rest = Rest(source())
    request = Request("GET", path, query, {}, b"", NOON_MS)
    for pattern, _, handler in rest.routes:
        if match := pattern.fullmatch(path):
            return orjson.loads(_run(handler(request, *match.groups())).body)["data"]
    raise AssertionError(path)


@functools.cache
def chain() -> Any:
    return call("/v2/option/chain", instrument_key=NIFTY, expiry_date="2026-12-01")


@pytest.mark.parametrize(
    ("day", "weekly", "expected"),
    [
        (date(2026, 11, 21), False, ["2026-11-24", "2026-12-29"]),
        (date(2026, 11, 24), False, ["2026-11-24", "2026-12-29"]),
        (date(2026, 11, 25), False, ["2026-12-29", "2027-01-26"]),
        (
            date(2026, 11, 21),
            True,
            ["2026-11-24", "2026-12-01", "2026-12-08", "2026-12-29"],
        ),
        (date(2026, 12, 30), False, ["2027-01-26", "2027-02-23"]),
    ],
)
def test_expiries(day: date, weekly: bool, expected: list[str]) -> None:
    found = contracts.expiries(day, weekly=weekly, hours=ALWAYS)
    assert [str(expiry) for expiry, _ in found] == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        # Tuesday 24 November 2026 is a holiday: Monday is the month's last day.
        (date(2026, 11, 20), ["2026-11-23", "2026-12-01", "2026-12-08", "2026-12-29"]),
        (date(2026, 11, 23), ["2026-11-23", "2026-12-01", "2026-12-08", "2026-12-29"]),
        (
            date(2026, 11, 25),
            ["2026-12-01", "2026-12-08", "2026-12-15", "2026-12-29", "2027-01-26"],
        ),
    ],
)
def test_an_expiry_on_a_holiday_comes_a_session_earlier(day: date, expected: list[str]) -> None:
    found = contracts.expiries(day, weekly=True, hours=NSE)
    assert [str(expiry) for expiry, _ in found] == expected


@pytest.mark.parametrize(
    ("symbol", "lot", "freeze", "step"),
    [
        ("NIFTY", 65, 1755, 50),
        ("BANKNIFTY", 30, 600, 100),
        ("FINNIFTY", 60, 1800, 50),
        ("MIDCPNIFTY", 120, 2760, 25),
        ("NIFTYNXT50", 25, 600, 100),
    ],
)
def test_every_index_of_nse_has_the_terms_of_its_file(
    symbol: str, lot: int, freeze: int, step: float
) -> None:
    """The figures are those of NSE's instrument file of 2026-02-23; only the NIFTY has weeks."""
    board = source().board(now_ms=NOON_MS)
    found = [c for c in board.contracts if c.underlying.symbol == symbol]
    assert {(c.listing.lot, c.listing.freeze_quantity) for c in found} == {(lot, freeze)}
    assert {c.weekly for c in found} == ({False, True} if symbol == "NIFTY" else {False})
    assert {c.kind for c in found if not c.weekly} == {"FUT", "CE", "PE"}
    month = {c.strike for c in found if c.expiry == date(2026, 12, 29) and c.kind == "PE"}
    assert set(np.diff(sorted(month))) == {step}


def test_strikes_surround_the_spot_on_both_sides() -> None:
    strikes = [row["strike_price"] for row in chain()]
    spot = chain()[0]["underlying_spot_price"]
    assert sum(strike < spot for strike in strikes) >= 15
    assert sum(strike > spot for strike in strikes) >= 15
    assert set(np.diff(strikes)) == {50.0}


def test_contracts_stay_listed_until_they_expire() -> None:
    market = source().market
    later = Board(market=market, seed=1, day=DAY + timedelta(days=3))
    today = {
        contract.listing.key: contract for contract in source().board(now_ms=NOON_MS).contracts
    }
    assert set(today) <= set(later.rows)


def test_calls_and_puts_keep_parity() -> None:
    spot = chain()[0]["underlying_spot_price"]
    years = (derivatives._close_ms(date(2026, 12, 1)) - NOON_MS) / (365 * 86_400_000)
    for row in chain():
        call_price = row["call_options"]["market_data"]["ltp"]
        put_price = row["put_options"]["market_data"]["ltp"]
        if min(call_price, put_price) > 1:
            forward = spot - row["strike_price"] * np.exp(-derivatives.RATE * years)
            assert call_price - put_price == pytest.approx(forward, abs=0.06)


def test_the_volatility_sent_is_the_one_that_a_reader_solves() -> None:
    spot = chain()[0]["underlying_spot_price"]
    years = (derivatives._close_ms(date(2026, 12, 1)) - NOON_MS) / (365 * 86_400_000)
    for row in chain():
        side = row["call_options"]
        if abs(row["strike_price"] / spot - 1) < 0.015:
            solved = pricing.implied_volatility(
                price=side["market_data"]["ltp"],
                spot=spot,
                strike=row["strike_price"],
                years=years,
                is_call=True,
                rate=derivatives.RATE,
            )
            stated = side["option_greeks"]["iv"] / 100
            assert float(solved.volatility) == pytest.approx(stated, abs=0.001)


def test_the_chain_is_readable_by_the_sweep() -> None:
    parsed = sweep.parse_chain(
        chain(),
        underlying_key=NIFTY,
        expiry_date=date(2026, 12, 1),
        years=0.03,
        lot_size=65,
        at=datetime(2026, 11, 21, tzinfo=UTC),
    )
    assert np.isfinite(parsed.calls.last_price).all()
    assert (parsed.calls.open_interest > 0).all()
    assert parsed.calls.last_price[0] > parsed.calls.last_price[-1]


def test_futures_stand_at_the_cost_of_carry() -> None:
    board = source().board(now_ms=NOON_MS)
    future = next(c for c in board.contracts if c.kind == "FUT" and c.underlying.key == NIFTY)
    spot, price = (
        record.last_price
        for record in source().records(keys=[NIFTY, future.listing.key], now_ms=NOON_MS)
    )
    assert spot < price < spot * 1.01


def test_a_days_range_holds_its_price_and_its_bars() -> None:
    board = source().board(now_ms=NOON_MS)
    keys = [contract.listing.key for contract in board.contracts[::37]]
    for record in source().records(keys=keys, now_ms=NOON_MS):
        assert record.day is not None
        assert record.day.low <= record.last_price <= record.day.high
    bars = source().minute_bars(key=keys[1], day=DAY, now_ms=NOON_MS)
    assert len(bars) == 720
    assert all(bar.low <= min(bar.open, bar.close) for bar in bars)


def test_yesterdays_close_is_todays_previous_close() -> None:
    board = source().board(now_ms=NOON_MS)
    contract = next(
        c
        for c in board.contracts
        if c.underlying.key == NIFTY and c.strike == 25_300 and c.kind == "CE"
    )
    key = contract.listing.key
    (record,) = source().records(keys=[key], now_ms=NOON_MS)
    yesterday = source().minute_bars(key=key, day=DAY - timedelta(days=1), now_ms=NOON_MS)
    assert yesterday[-1].close == pytest.approx(record.previous_close, abs=0.06)


def test_unknown_underlyings_and_dates_are_refused() -> None:
    with pytest.raises(Refusal):
        call("/v2/option/chain", instrument_key=NIFTY)
    with pytest.raises(Refusal):
        call("/v2/option/chain", instrument_key="NSE_EQ|NOTHING", expiry_date="2026-12-01")
    with pytest.raises(Refusal):
        call("/v2/option/chain", instrument_key=NIFTY, expiry_date="soon")
    assert call("/v2/option/contract", instrument_key=NIFTY, expiry_date="2031-01-01") == []


def test_the_exchanges_own_instrument_file_imports_whole() -> None:
    rest = Rest(source())
    request = Request("GET", "/x", {}, {}, b"", NOON_MS)
    handler = next(h for p, _, h in rest.routes if "json" in p.pattern)
    answer = _run(handler(request, "NSE"))
    parsed = instruments.parse(answer.body, segments=instruments.SEGMENTS)
    assert not parsed.skipped
    assert {row.instrument_type for row in parsed.rows} == {"EQ", "INDEX", "FUT", "CE", "PE"}
    option = next(row for row in parsed.rows if row.instrument_type == "CE")
    assert option.expiry_date == date(2026, 11, 24)


@pytest.mark.django_db
def test_seeding_derivatives_is_repeatable_and_retires_yesterdays() -> None:
    seed_universe()
    at = datetime(2026, 11, 24, 6, tzinfo=UTC)
    first = seed_derivatives(at=at)
    assert first.added > 3_000
    assert seed_derivatives(at=at).added == 0
    assert seed_derivatives(at=at + timedelta(days=1)).retired > 0
    assert not Instrument.objects.filter(active=True, expiry_date=date(2026, 11, 24)).exists()


def test_options_tick_on_the_feed_and_the_sdk_reads_the_chain() -> None:
    with exchange() as server:
        configuration = upstox_client.Configuration()
        configuration.host = server.rest_url
        configuration.access_token = "any"
        api = upstox_client.OptionsApi(upstox_client.ApiClient(configuration))
        contracts = api.get_option_contracts(HDFC).data
        expiry = str(contracts[0].expiry)[:10]
        rows = api.get_put_call_option_chain(HDFC, expiry).data
        assert rows[0].call_options.market_data.ltp > 0
        middle = rows[len(rows) // 2].call_options.instrument_key
        with heard(server, middle) as frames:
            ticks = eventually(
                lambda: [t for f in list(frames) if not f.snapshot for t in f.ticks], seconds=20
            )
    assert ticks[0].implied_volatility is not None
    assert ticks[0].implied_volatility < 1
    assert ticks[0].greeks is not None
    assert ticks[0].bids
    assert ticks[0].open_interest
