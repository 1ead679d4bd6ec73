"""One instrument's state as the exchange sends it, and its bytes on the feed. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from marketdata.exchange.hours import Phases
from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb
from marketdata.upstox.wire import Mode

REQUEST_MODES: dict[str, pb.RequestMode] = {
    "ltpc": pb.ltpc,
    "option_greeks": pb.option_greeks,
    "full": pb.full_d5,
    "full_d30": pb.full_d30,
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A candle: rupees, units, `start_ms` in epoch milliseconds."""

    open: float
    high: float
    low: float
    close: float
    volume: int
    start_ms: int


@dataclass(frozen=True, slots=True)
class Record:
    """What is sent of one instrument. None and zero mean that the field is left out.

    `bids` and `asks` are (price, quantity), best first, None where the update has no book;
    `greeks` is (delta, theta, gamma, vega, rho); `implied_volatility` a fraction. The indicative
    price and quantity are what an auction would match now, against its reference price.
    """

    key: str
    last_price: float = 0.0
    last_trade_ms: int = 0
    last_quantity: int = 0
    previous_close: float = 0.0
    average_price: float = 0.0
    volume: int = 0
    open_interest: float = 0.0
    implied_volatility: float = 0.0
    total_bid_quantity: float = 0.0
    total_ask_quantity: float = 0.0
    bids: tuple[tuple[float, int], ...] | None = None
    asks: tuple[tuple[float, int], ...] | None = None
    greeks: tuple[float, float, float, float, float] | None = None
    day: Bar | None = None
    minute: Bar | None = None
    is_index: bool = False
    cas_eligible: bool = False
    indicative_price: float = 0.0
    indicative_quantity: int = 0
    reference_price: float = 0.0


def entry(record: Record, mode: Mode) -> bytes:
    """The record as one entry of a FeedResponse's `feeds` map, ready to be joined."""
    feed = _feed(record, mode).SerializeToString()
    key = record.key.encode()
    inner = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(feed)) + feed
    return b"\x12" + _varint(len(inner)) + inner


def frame(entries: Iterable[bytes], *, at_ms: int, snapshot: bool = False) -> bytes:
    """A FeedResponse from entries made once for all subscribers; the fields come in wire order."""
    kind = b"" if snapshot else b"\x08\x01"
    return b"".join((kind, *entries, b"\x18" + _varint(at_ms)))


def market_info(phases: Phases, *, at_ms: int) -> bytes:
    """The frame that opens every connection, and comes again when a phase changes."""
    response = pb.FeedResponse(type=pb.market_info, currentTs=at_ms)
    told = response.marketInfo
    for segment, status in phases.segments.items():
        told.segmentStatus[segment] = pb.MarketStatus.Value(status)  # type: ignore[assignment]
    for words, field in (
        (phases.closing_auction, told.casMarketStatus),
        (phases.pre_open, told.preOpenSessionStatus),
    ):
        for segment, word in words.items():
            field[segment].status, field[segment].updatedTime = word, at_ms
    return response.SerializeToString()


def _feed(record: Record, mode: Mode) -> pb.Feed:
    feed = pb.Feed(requestMode=REQUEST_MODES[mode])
    if mode == "ltpc":
        _ltpc(feed.ltpc, record)
    elif mode == "option_greeks":
        first = feed.firstLevelWithGreeks
        _ltpc(first.ltpc, record)
        if record.bids is not None and record.asks is not None:
            _levels([first.firstDepth], record, 1)
        _greeks(first.optionGreeks, record)
        first.vtt, first.oi, first.iv = (
            record.volume,
            record.open_interest,
            record.implied_volatility,
        )
    elif record.is_index:
        _ltpc(feed.fullFeed.indexFF.ltpc, record)
        _bars(feed.fullFeed.indexFF.marketOHLC, record)
    else:
        _full(feed.fullFeed.marketFF, record, 30 if mode == "full_d30" else 5)
    return feed


def _full(full: pb.MarketFullFeed, record: Record, depth: int) -> None:
    if record.last_price:
        _ltpc(full.ltpc, record)
    if record.bids is not None and record.asks is not None:
        quotes = full.marketLevel.bidAskQuote
        _levels([quotes.add() for _ in range(depth)], record, depth)
    # Shares carry an empty message here, on the real feed too.
    full.optionGreeks.SetInParent()
    _greeks(full.optionGreeks, record)
    _bars(full.marketOHLC, record)
    full.atp = record.average_price
    full.vtt = record.volume
    full.oi = record.open_interest
    full.iv = record.implied_volatility
    full.tbq = record.total_bid_quantity
    full.tsq = record.total_ask_quantity
    full.casEligible = record.cas_eligible
    full.iep, full.ieq = record.indicative_price, record.indicative_quantity
    full.rp = record.reference_price


def _ltpc(ltpc: pb.LTPC, record: Record) -> None:
    ltpc.ltp = record.last_price
    ltpc.ltt = record.last_trade_ms
    ltpc.ltq = record.last_quantity
    ltpc.cp = record.previous_close
    if record.indicative_price:
        ltpc.iep.value = record.indicative_price


def _levels(quotes: list[pb.Quote], record: Record, depth: int) -> None:
    for quote, (price, quantity) in zip(quotes, (record.bids or ())[:depth], strict=False):
        quote.bidP, quote.bidQ = price, quantity
    for quote, (price, quantity) in zip(quotes, (record.asks or ())[:depth], strict=False):
        quote.askP, quote.askQ = price, quantity


def _greeks(greeks: pb.OptionGreeks, record: Record) -> None:
    if record.greeks is not None:
        greeks.delta, greeks.theta, greeks.gamma, greeks.vega, greeks.rho = record.greeks


def _bars(ohlc: pb.MarketOHLC, record: Record) -> None:
    for interval, bar in (("1d", record.day), ("I1", record.minute)):
        if bar is not None:
            ohlc.ohlc.add(
                interval=interval,
                open=bar.open,
                high=bar.high,
                low=bar.low,
                close=bar.close,
                vol=bar.volume,
                ts=bar.start_ms,
            )


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
