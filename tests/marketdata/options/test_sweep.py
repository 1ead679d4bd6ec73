"""The REST answer becomes columns, and columns survive being stored."""

import zlib
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest

from marketdata.options import chain as chains
from marketdata.options import sweep

AT = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def option(key: str, **values: float) -> dict[str, object]:
    market = {"ltp": 100.0, "close_price": 90.0, "bid_price": 99.5, "ask_price": 100.5}
    market |= {"volume": 650, "oi": 6500, "prev_oi": 5200}
    greeks = {"iv": 12.5, "delta": 0.5, "gamma": 0.001, "theta": -8.0, "vega": 11.0}
    return {"instrument_key": key, "market_data": market | values, "option_greeks": greeks}


def rows() -> list[dict[str, object]]:
    return [
        {
            "strike_price": strike,
            "underlying_spot_price": 24_010.0,
            "call_options": option(f"C{strike:.0f}"),
            "put_options": option(f"P{strike:.0f}", ltp=0.0, bid_price=0.0),
        }
        for strike in (24_100.0, 24_000.0)
    ]


def parse(answer: list[dict[str, object]]) -> chains.Chain:
    return sweep.parse_chain(
        answer,
        underlying_key="NSE_INDEX|Nifty 50",
        expiry_date=date(2026, 11, 24),
        years=4 / 365,
        lot_size=65,
        at=AT,
    )


def test_strikes_ascend_and_units_are_ours():
    chain = parse(rows())
    assert chain.strikes.tolist() == [24_000.0, 24_100.0]
    assert chain.calls.keys == ("C24000", "C24100")
    assert chain.calls.volatility.tolist() == [0.125, 0.125]
    assert chain.calls.change.tolist() == [10.0, 10.0]
    assert chain.calls.open_interest_change.tolist() == [1300.0, 1300.0]


def test_zero_means_absent():
    chain = parse(rows())
    assert np.isnan(chain.puts.last_price).all()
    assert np.isnan(chain.puts.bid).all()
    assert np.isnan(chain.puts.price_ms).all()


def test_a_missing_side_is_unknown():
    answer = rows()
    del answer[0]["put_options"]
    chain = parse(answer)
    assert chain.puts.keys == ("P24000", "")
    assert np.isnan(chain.puts.open_interest[1])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([], "no strikes"),
        ([{"underlying_spot_price": 1.0}], "strike_price"),
        ([rows()[0], rows()[0]], "twice"),
        ([{"strike_price": 100.0}], "spot"),
    ],
)
def test_refuses_what_is_not_a_chain(answer, message):
    with pytest.raises(sweep.UnreadableChain, match=message):
        parse(answer)


@pytest.mark.parametrize("pack", [sweep.pack, sweep.pack_small])
def test_pack_and_unpack_are_inverse(pack):
    chain = parse(rows())
    again = sweep.unpack(pack(chain))
    for name in chains.COLUMNS:
        for ours, theirs in ((chain.calls, again.calls), (chain.puts, again.puts)):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (again.expiry_date, again.interest_at, again.lot_size) == (date(2026, 11, 24), AT, 65)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"\x81\xa7version\x02",
        b"\x78\x01\x00",
        zlib.compress(b"\xc1" * 2_000_000),
    ],
)
def test_unpack_refuses_other_bytes(data):
    with pytest.raises(sweep.UnreadableChain):
        sweep.unpack(data)


def live(chain: chains.Chain, price: float, at_ms: float) -> dict[str, np.ndarray]:
    values = dict.fromkeys(chains.LIVE_COLUMNS, np.full(chain.strikes.size, np.nan))
    values["last_price"] = np.array([price, np.nan])
    values["price_ms"] = np.array([at_ms, np.nan])
    return values


def test_newer_live_prices_win_row_by_row_and_older_do_not():
    chain = parse(rows())
    at_ms = AT.timestamp() * 1000
    unknown = dict.fromkeys(chains.LIVE_COLUMNS, np.full(2, np.nan))
    newer = chains.overlay(chain, calls=live(chain, 111.0, at_ms + 1), puts=unknown)
    assert newer.calls.last_price.tolist() == [111.0, 100.0]
    older = chains.overlay(chain, calls=live(chain, 111.0, at_ms - 1), puts=unknown)
    assert older.calls.last_price.tolist() == [100.0, 100.0]


def test_a_sweep_does_not_undo_newer_prices():
    chain = parse(rows())
    ticked = replace(
        chain,
        calls=replace(
            chain.calls,
            last_price=np.array([120.0, 100.0]),
            price_ms=chain.calls.price_ms + np.array([5_000.0, -5_000.0]),
        ),
    )
    merged = chains.merge_sweep(ticked, chain)
    assert merged.calls.last_price.tolist() == [120.0, 100.0]
    other = replace(chain, strikes=chain.strikes + 50)
    assert chains.merge_sweep(other, chain) is chain
