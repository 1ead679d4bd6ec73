"""The wire of Upstox's Market Data Feed V3: protobuf frames to ticks, and subscription requests.

Pure. Parsing is not validation (four of five single-bit flips still parse): `quotes.check`
judges what comes out of here.
"""

import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from google.protobuf.message import DecodeError

from marketdata.quotes import Greeks, Levels, Minute, Tick
from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb

Mode = Literal["ltpc", "option_greeks", "full", "full_d30"]
Method = Literal["sub", "change_mode", "unsub"]


class BadFrame(ValueError):
    """The bytes are not a FeedResponse."""


@dataclass(frozen=True, slots=True)
class MarketInfo:
    """Phases as the exchange states them: `segments` maps NSE_EQ to NORMAL_OPEN and so on.

    `closing_auction` and `pre_open` map a segment to a finer status (CAS_LM_START, …).
    """

    at_ms: int
    segments: dict[str, str]
    closing_auction: dict[str, str] = field(default_factory=dict)
    pre_open: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame: ticks in no order (keys are unique within a frame), or market info."""

    at_ms: int
    ticks: list[Tick]
    market_info: MarketInfo | None = None
    snapshot: bool = False


def decode(data: bytes, *, received_ms: int) -> Frame:
    """Decode one binary frame. Absent fields stay absent: a missing price is None, never 0.

    Raises BadFrame when `data` is not a FeedResponse at all.
    """
    try:
        response = pb.FeedResponse.FromString(data)
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadFrame(f"frame of {len(data)} bytes does not parse: {error}") from error
    at_ms = response.currentTs
    ticks = [_tick(key, feed, at_ms, received_ms) for key, feed in response.feeds.items()]
    info = _market_info(response) if response.type == pb.market_info else None
    return Frame(at_ms, ticks, info, response.type == pb.initial_feed and bool(ticks))


def request(*, method: Method, keys: Collection[str], mode: Mode | None = None) -> bytes:
    """A subscription request as the feed wants it: binary UTF-8 JSON. `unsub` has no mode."""
    data: dict[str, object] = {"instrumentKeys": list(keys)}
    if mode is not None and method != "unsub":
        data["mode"] = mode
    return msgspec.json.encode({"guid": str(uuid.uuid4()), "method": method, "data": data})


def _market_info(response: pb.FeedResponse) -> MarketInfo:
    info = response.marketInfo
    names = {value: name for name, value in pb.MarketStatus.items()}
    return MarketInfo(
        at_ms=response.currentTs,
        segments={
            segment: names.get(status, str(status))
            for segment, status in info.segmentStatus.items()
        },
        closing_auction={key: value.status for key, value in info.casMarketStatus.items()},
        pre_open={key: value.status for key, value in info.preOpenSessionStatus.items()},
    )


def _tick(key: str, feed: pb.Feed, at_ms: int, received_ms: int) -> Tick:
    if feed.HasField("fullFeed"):
        full = feed.fullFeed
        if full.HasField("marketFF"):
            return _full_tick(key, full.marketFF, at_ms, received_ms)
        index = full.indexFF
        day = _day(index.marketOHLC) if index.HasField("marketOHLC") else None
        return _price_tick(key, index.ltpc, day, at_ms, received_ms)
    if feed.HasField("firstLevelWithGreeks"):
        return _first_level_tick(key, feed.firstLevelWithGreeks, at_ms, received_ms)
    return _price_tick(key, feed.ltpc, None, at_ms, received_ms)


def _price_tick(key: str, ltpc: pb.LTPC, day: pb.OHLC | None, at_ms: int, received_ms: int) -> Tick:
    # proto3 sends no zeros, so a zero price, time or close means that it is absent.
    return Tick(
        instrument_key=key,
        exchange_ms=at_ms,
        received_ms=received_ms,
        source="stream",
        last_price=ltpc.ltp or None,
        last_quantity=ltpc.ltq or None,
        last_trade_ms=ltpc.ltt or None,
        previous_close=ltpc.cp or None,
        open=(day.open or None) if day else None,
        high=(day.high or None) if day else None,
        low=(day.low or None) if day else None,
    )


def _full_tick(key: str, full: pb.MarketFullFeed, at_ms: int, received_ms: int) -> Tick:
    ltpc = full.ltpc
    day = _day(full.marketOHLC) if full.HasField("marketOHLC") else None
    bids: Levels | None = None
    asks: Levels | None = None
    if full.HasField("marketLevel"):
        bids, asks = _levels(full.marketLevel)
    return Tick(
        instrument_key=key,
        exchange_ms=at_ms,
        received_ms=received_ms,
        source="stream",
        last_price=ltpc.ltp or None,
        last_quantity=ltpc.ltq or None,
        last_trade_ms=ltpc.ltt or None,
        previous_close=ltpc.cp or None,
        open=(day.open or None) if day else None,
        high=(day.high or None) if day else None,
        low=(day.low or None) if day else None,
        volume=full.vtt or None,
        average_price=full.atp or None,
        bids=bids,
        asks=asks,
        open_interest=full.oi or None,
        implied_volatility=full.iv or None,
        greeks=_greeks(full.optionGreeks) if full.HasField("optionGreeks") else None,
        total_bid_quantity=full.tbq or None,
        total_ask_quantity=full.tsq or None,
        minute=_minute(full.marketOHLC) if day else None,
    )


def _levels(market: pb.MarketLevel) -> tuple[Levels, Levels]:
    """(bids, asks). A level of quantity zero loses its fields on the wire: it is no level."""
    # One pass and each field read once: a field of a message costs as much as ten of a tuple.
    rows = [(q.bidP, q.bidQ, q.askP, q.askQ) for q in market.bidAskQuote]
    return (
        tuple([(price, size) for price, size, _, _ in rows if price and size]),
        tuple([(price, size) for _, _, price, size in rows if price and size]),
    )


def _first_level_tick(
    key: str, first: pb.FirstLevelWithGreeks, at_ms: int, received_ms: int
) -> Tick:
    ltpc = first.ltpc
    bids: Levels | None = None
    asks: Levels | None = None
    if first.HasField("firstDepth"):
        quote = first.firstDepth
        bids = ((quote.bidP, quote.bidQ),) if quote.bidP and quote.bidQ else ()
        asks = ((quote.askP, quote.askQ),) if quote.askP and quote.askQ else ()
    return Tick(
        instrument_key=key,
        exchange_ms=at_ms,
        received_ms=received_ms,
        source="stream",
        last_price=ltpc.ltp or None,
        last_quantity=ltpc.ltq or None,
        last_trade_ms=ltpc.ltt or None,
        previous_close=ltpc.cp or None,
        volume=first.vtt or None,
        bids=bids,
        asks=asks,
        open_interest=first.oi or None,
        implied_volatility=first.iv or None,
        greeks=_greeks(first.optionGreeks) if first.HasField("optionGreeks") else None,
    )


def _day(ohlc: pb.MarketOHLC) -> pb.OHLC | None:
    """Today's bar; the other one, I1, is the last completed minute."""
    for bar in ohlc.ohlc:
        if bar.interval == "1d":
            return bar
    return None


def _minute(ohlc: pb.MarketOHLC) -> Minute | None:
    """The exchange's bar of the last completed minute; None when nothing traded in it."""
    for bar in ohlc.ohlc:
        if bar.interval == "I1":
            row = (bar.ts, bar.open, bar.high, bar.low, bar.close, bar.vol)
            return row if bar.close else None
    return None


def _greeks(greeks: pb.OptionGreeks) -> Greeks | None:
    # Shares carry an empty message here: no greeks rather than five zeros.
    if not greeks.ByteSize():
        return None
    return Greeks(greeks.delta, greeks.theta, greeks.gamma, greeks.vega, greeks.rho)
