"""Frames to ticks: absent stays absent, whatever the mode."""

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.exchange import records
from marketdata.exchange.hours import Phases
from marketdata.exchange.records import Bar, Record
from marketdata.quotes import Tick
from marketdata.upstox import wire
from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb

KEY = "NSE_EQ|INE040A01034"
FULL = Record(
    key=KEY,
    last_price=741.65,
    last_trade_ms=1_765_771_372_000,
    last_quantity=12,
    previous_close=740.0,
    average_price=741.0,
    volume=1_000,
    open_interest=5.0,
    implied_volatility=0.11,
    total_bid_quantity=70.0,
    total_ask_quantity=80.0,
    bids=((741.6, 5), (741.55, 6), (741.5, 7), (741.45, 8), (741.4, 9)),
    asks=((741.65, 4), (741.7, 3), (741.75, 2), (741.8, 1), (0.0, 0)),
    greeks=(0.5, -16.9, 0.0003, 48.4, 12.4),
    day=Bar(740.0, 745.0, 739.0, 741.65, 1_000, 1_765_737_000_000),
    minute=Bar(741.0, 742.0, 740.5, 741.5, 40, 1_765_771_260_000),
)


def decoded(record: Record, mode: wire.Mode = "full") -> Tick:
    frame = records.frame([records.entry(record, mode)], at_ms=1_765_771_373_000)
    (tick,) = wire.decode(frame, received_ms=1_765_771_373_050).ticks
    return tick


def test_full_mode_carries_everything() -> None:
    tick = decoded(FULL)
    assert (tick.last_price, tick.volume, tick.previous_close) == (741.65, 1_000, 740.0)
    assert (tick.open, tick.high, tick.low) == (740.0, 745.0, 739.0)
    assert tick.bids == FULL.bids
    assert tick.asks == FULL.asks[:4]  # type: ignore[index]
    assert tick.exchange_ms == 1_765_771_373_000
    assert tick.greeks is not None
    assert tick.greeks.vega == 48.4


def test_ltpc_mode_carries_no_volume_and_no_book() -> None:
    tick = decoded(FULL, "ltpc")
    assert tick.last_price == 741.65
    assert (tick.volume, tick.bids, tick.asks, tick.open) == (None, None, None, None)


def test_option_greeks_mode_carries_one_level() -> None:
    tick = decoded(FULL, "option_greeks")
    assert tick.bids == ((741.6, 5),)
    assert tick.implied_volatility == 0.11


def test_a_missing_book_is_none_and_an_empty_side_is_empty() -> None:
    assert decoded(Record(key=KEY, last_price=1.0)).bids is None
    one_sided = decoded(Record(key=KEY, last_price=1.0, bids=((0.9, 1),), asks=()))
    assert one_sided.bids == ((0.9, 1),)
    assert one_sided.asks == ()


def test_a_depth_only_update_has_no_price() -> None:
    tick = decoded(Record(key=KEY, bids=((1.0, 1),), asks=((1.1, 2),)))
    assert tick.last_price is None
    assert tick.last_trade_ms is None
    assert tick.bids == ((1.0, 1),)


def test_shares_have_no_greeks_rather_than_zeros() -> None:
    assert decoded(Record(key=KEY, last_price=1.0)).greeks is None


def test_an_index_has_bars_and_no_book() -> None:
    tick = decoded(Record(key="NSE_INDEX|Nifty 50", last_price=2.0, day=FULL.day, is_index=True))
    assert tick.high == 745.0
    assert tick.bids is None


def test_market_info_names_phases() -> None:
    data = records.market_info(
        Phases({"NSE_EQ": "NORMAL_OPEN"}, {"NSE_EQ": "CAS_LM_START"}, {"NSE_FO": "PRE_OPEN_END"}),
        at_ms=5,
    )
    info = wire.decode(data, received_ms=1).market_info
    assert info is not None
    assert info.segments == {"NSE_EQ": "NORMAL_OPEN"}
    assert info.closing_auction == {"NSE_EQ": "CAS_LM_START"}
    assert info.pre_open == {"NSE_FO": "PRE_OPEN_END"}


def test_hand_joined_frames_are_what_protobuf_writes() -> None:
    entries = [records.entry(FULL, "full")]
    frame = records.frame(entries, at_ms=7)
    response = pb.FeedResponse.FromString(frame)
    assert response.type == pb.live_feed
    assert response.SerializeToString(deterministic=True) == frame
    assert (
        pb.FeedResponse.FromString(records.frame(entries, at_ms=7, snapshot=True)).type
        == pb.initial_feed
    )


def test_thirty_levels_on_request() -> None:
    deep = Record(
        key=KEY,
        last_price=100.0,
        bids=tuple((100.0 - n, 1) for n in range(30)),
        asks=tuple((101.0 + n, 1) for n in range(30)),
    )
    assert len(decoded(deep, "full_d30").bids or ()) == 30
    assert len(decoded(deep, "full").bids or ()) == 5


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused_by_name(data: bytes) -> None:
    try:
        frame = wire.decode(data, received_ms=1)
    except wire.BadFrame:
        return
    assert isinstance(frame.ticks, list)


def test_flipped_bits_never_raise_anything_but_bad_frame() -> None:
    frame = records.frame([records.entry(FULL, "full")], at_ms=1_765_771_373_000)
    random.seed(3)
    for _ in range(5_000):
        damaged = bytearray(frame)
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
        try:
            wire.decode(bytes(damaged), received_ms=1)
        except wire.BadFrame:
            continue


@pytest.mark.parametrize("method", ["sub", "change_mode", "unsub"])
def test_requests_are_binary_json(method: wire.Method) -> None:
    body = json.loads(wire.request(method=method, keys=[KEY], mode="full"))
    assert body["method"] == method
    assert body["data"]["instrumentKeys"] == [KEY]
    assert ("mode" in body["data"]) == (method != "unsub")
    assert len(body["guid"]) == 36
