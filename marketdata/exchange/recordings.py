"""Recorded sessions on disk, read back record by record.

Two formats: our recorder's files (`YYYY-MM-DD.frames`, see marketdata.recording), which are read
as a stream because a day of a whole market does not fit into memory, and decoded JSON (`*.json`,
`*.json.gz`: an array of feeds with `instrumentKey` and `_insertion_time`).
"""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import orjson
from google.protobuf.json_format import ParseDict, ParseError
from google.protobuf.message import DecodeError

from marketdata import recording
from marketdata.exchange.records import Bar, Record
from marketdata.upstox.wire import MarketDataFeedV3_pb2 as pb
from mockmarket.core.clock import IST

JSON_SUFFIXES: Final = (".json", ".json.gz")


class NoRecording(ValueError):
    """There is nothing that can be replayed; the message says why."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One record with the time at which it was received on the day."""

    at_ms: int
    record: Record


@dataclass(frozen=True, slots=True)
class Overview:
    """What one look through a recording tells.

    `firsts` are the first records of each instrument, in the order of their appearance.
    `ahead_ms` is how far the exchange's clock ran ahead of the recorder's: without it a replay
    would tell of trades of the future (5.8 s in the session of 2025-12-15).
    """

    firsts: Mapping[str, Recorded]
    ahead_ms: int


class Recording(Protocol):
    """One session, in the order in which it was received. Can be gone through more than once."""

    def overview(self) -> Overview: ...

    def __iter__(self) -> Iterator[Recorded]: ...


class InMemory:
    """A recording of records at hand, put in order."""

    def __init__(self, records: Sequence[Recorded]) -> None:
        self._records = sorted(records, key=lambda entry: entry.at_ms)

    def overview(self) -> Overview:
        found: dict[str, Recorded] = {}
        ahead = 0
        for entry in self._records:
            found.setdefault(entry.record.key, entry)
            ahead = max(ahead, entry.record.last_trade_ms - entry.at_ms)
        return Overview(found, ahead)

    def __iter__(self) -> Iterator[Recorded]:
        return iter(self._records)


class OnDisk:
    """One day of our recorder, read as a stream: the file is the order."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def overview(self) -> Overview:
        found: dict[str, Recorded] = {}
        ahead = 0
        for received_ms, response in self._frames():
            ahead = max(ahead, response.currentTs - received_ms)
            for key, feed in response.feeds.items():
                if key not in found:
                    found[key] = Recorded(received_ms, to_record(key, feed))
        return Overview(found, ahead)

    def __iter__(self) -> Iterator[Recorded]:
        for received_ms, response in self._frames():
            for key, feed in response.feeds.items():
                yield Recorded(received_ms, to_record(key, feed))

    def _frames(self) -> Iterator[tuple[int, pb.FeedResponse]]:
        for received_ms, data in recording.read(self._path):
            try:
                yield received_ms, pb.FeedResponse.FromString(data)
            except DecodeError:
                continue  # recorded as it came: a frame that was garbage then is none now


def find(what: str, *, recordings: Path) -> Path:
    """What `--replay` names: a path, or a day (YYYY-MM-DD) among `recordings`."""
    day = recordings / f"{what}{recording.SUFFIX}"
    return day if "/" not in what and day.is_file() else Path(what)


def load(path: Path, *, each_max: int | None = None) -> Recording:
    """The session of a file, or of a directory that holds one day.

    `each_max` takes no more than so many records of each JSON file. Raises NoRecording.
    """
    paths = sorted(path.iterdir()) if path.is_dir() else [path] if path.is_file() else []
    days = [one for one in paths if one.name.endswith(recording.SUFFIX)]
    if len(days) > 1:
        names = ", ".join(one.name.removesuffix(recording.SUFFIX) for one in days)
        raise NoRecording(f"{path} holds several days ({names}): name one")
    if days:
        if next(recording.read(days[0]), None) is None:
            raise NoRecording(f"{days[0]} holds no frame")
        return OnDisk(days[0])
    found = [
        entry
        for one in paths
        if one.name.endswith(JSON_SUFFIXES)
        for entry in _from_json(one, each_max)
    ]
    if not found:
        raise NoRecording(f"no recorded session in {path}")
    return InMemory(found)


def _from_json(path: Path, most: int | None) -> list[Recorded]:
    """Decoded feeds; a file of another shape (messages, say) is passed over."""
    content = path.read_bytes()
    rows = orjson.loads(gzip.decompress(content) if path.suffix == ".gz" else content)
    out = []
    for row in rows[:most] if isinstance(rows, list) else []:
        if "instrumentKey" not in row or "_insertion_time" not in row:
            return []
        key, stamp = row.pop("instrumentKey"), row.pop("_insertion_time")
        out.append(Recorded(_stamp_ms(stamp), to_record(key, _feed(row, path))))
    return out


def _feed(row: dict[str, Any], path: Path) -> pb.Feed:
    try:
        return ParseDict(row, pb.Feed())
    except ParseError as error:
        raise NoRecording(f"{path}: {error}") from error


def _stamp_ms(text: str) -> int:
    """The recorder's local time, in India."""
    return round(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


def to_record(key: str, feed: pb.Feed) -> Record:
    """A feed as it was received, field by field; what was absent stays absent."""
    if feed.HasField("fullFeed") and feed.fullFeed.HasField("indexFF"):
        index = feed.fullFeed.indexFF
        return Record(key=key, **_price(index.ltpc), **_ohlc(index.marketOHLC), is_index=True)
    if feed.HasField("fullFeed"):
        full = feed.fullFeed.marketFF
        quotes = full.marketLevel.bidAskQuote if full.HasField("marketLevel") else None
        return Record(
            key=key,
            **_price(full.ltpc),
            **_ohlc(full.marketOHLC),
            average_price=full.atp,
            volume=full.vtt,
            open_interest=full.oi,
            implied_volatility=full.iv,
            total_bid_quantity=full.tbq,
            total_ask_quantity=full.tsq,
            bids=None if quotes is None else tuple((q.bidP, q.bidQ) for q in quotes),
            asks=None if quotes is None else tuple((q.askP, q.askQ) for q in quotes),
            greeks=_greeks(full.optionGreeks),
        )
    if feed.HasField("firstLevelWithGreeks"):
        first = feed.firstLevelWithGreeks
        return Record(
            key=key,
            **_price(first.ltpc),
            volume=first.vtt,
            open_interest=first.oi,
            implied_volatility=first.iv,
            bids=((first.firstDepth.bidP, first.firstDepth.bidQ),),
            asks=((first.firstDepth.askP, first.firstDepth.askQ),),
            greeks=_greeks(first.optionGreeks),
        )
    return Record(key=key, **_price(feed.ltpc), is_index=key.split("|")[0].endswith("_INDEX"))


def _price(ltpc: pb.LTPC) -> dict[str, Any]:
    return {
        "last_price": ltpc.ltp,
        "last_trade_ms": ltpc.ltt,
        "last_quantity": ltpc.ltq,
        "previous_close": ltpc.cp,
    }


def _ohlc(ohlc: pb.MarketOHLC) -> dict[str, Any]:
    bars = {
        bar.interval: Bar(bar.open, bar.high, bar.low, bar.close, bar.vol, bar.ts)
        for bar in ohlc.ohlc
    }
    return {"day": bars.get("1d"), "minute": bars.get("I1")}


def _greeks(greeks: pb.OptionGreeks) -> tuple[float, float, float, float, float] | None:
    if not greeks.ByteSize():
        return None
    return greeks.delta, greeks.theta, greeks.gamma, greeks.vega, greeks.rho
