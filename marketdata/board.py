"""The quote board: the newest truth of each field of each instrument, in numpy columns.

One row an instrument, one owner: the engine. Each field is judged by its own time: what is
older never overwrites what is newer, whichever source or order it comes in, so any shuffle of
the same ticks gives the same board. Trade fields (price, day range, volume, average) are timed
by the trade, then by the frame: a late packet repeats an old trade under a new frame time.
Book, previous close and open interest are timed by the frame. Pure: no Django, no I/O.

Batch, snapshot and mirror share one layout: `FIELDS` columns of float64 (NaN is unknown), and a
depth of 20 columns, five (bid price, bid quantity), then five (ask price, ask quantity).
"""

import math
import struct
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from marketdata.quotes import DEPTH_LEVELS, SOURCES, Level, Quote, Source, Tick
from mockmarket.core.money import price as exact_price

FIELDS: Final = (
    "last_price", "previous_close", "open", "high", "low", "volume", "bid", "ask",
    "bid_quantity", "ask_quantity", "average_price", "open_interest", "timestamp_ms",
    "received_ms", "source",
)  # fmt: skip
COLUMN: Final = {name: index for index, name in enumerate(FIELDS)}
# Kept beside, published to nobody: matching and the option pages read them in the engine.
EXTRA_FIELDS: Final = (
    "last_trade_ms", "last_quantity", "total_bid_quantity", "total_ask_quantity",
    "implied_volatility", "delta", "theta", "gamma", "vega", "rho",
)  # fmt: skip
EXTRA_COLUMN: Final = {name: index for index, name in enumerate(EXTRA_FIELDS)}
DEPTH_COLUMNS: Final = 4 * DEPTH_LEVELS
SOURCE_CODES: Final[dict[str, float]] = {name: float(i) for i, name in enumerate(SOURCES, 1)}

# A price told without the time of its trade (REST's LTP) may be this much older than the answer
# that carried it; without the lag it would shut out a newer trade of the stream.
UNTIMED_LAG_MS: Final = 2_000

_NAN = math.nan
_WIDTH = len(FIELDS)
_PACK_VALUES = struct.Struct(f"={_WIDTH}d").pack_into
_PACK_EXTRA = struct.Struct(f"={len(EXTRA_FIELDS)}d").pack_into
_PACK_DEPTH = struct.Struct(f"={DEPTH_COLUMNS}d").pack_into
_VALUES_BYTES, _EXTRA_BYTES, _DEPTH_BYTES = 8 * _WIDTH, 8 * len(EXTRA_FIELDS), 8 * DEPTH_COLUMNS

(_LAST, _CLOSE, _OPEN, _HIGH, _LOW, _VOLUME, _BID, _ASK, _BID_QTY, _ASK_QTY, _AVERAGE, _OI,
 _TIMESTAMP, _RECEIVED, _SOURCE) = range(_WIDTH)  # fmt: skip
_NEVER = (0, 0, -9)

# (trade time or frame time, frame time, rank of the source at equal times)
_Key = tuple[int, int, int]
_RANK = {name: -rank for rank, name in enumerate(SOURCES)}


class _Row:
    """The state of one instrument as Python floats; the columns are packed from it."""

    __slots__ = (
        "asks_key", "bids_key", "book_received_ms", "book_source", "depth", "extra", "key",
        "newest", "other_keys", "trade_keys", "trade_newest", "values",
    )  # fmt: skip

    def __init__(self, key: str) -> None:
        self.key = key
        self.values = [_NAN] * _WIDTH
        self.extra = [_NAN] * len(EXTRA_FIELDS)
        self.depth = [_NAN] * DEPTH_COLUMNS
        self.book_source: Source | None = None
        self.book_received_ms: int | None = None
        self.forget_times()

    def forget_times(self) -> None:
        self.trade_keys: dict[int, _Key] = {}
        self.other_keys: dict[int, _Key] = {}
        self.trade_newest: _Key = _NEVER
        self.bids_key: _Key = _NEVER
        self.asks_key: _Key = _NEVER
        self.newest: _Key = _NEVER


class Board:
    """Rows by instrument key; `merge` in, `drain`, `snapshot` and `quote` out.

    Not thread-safe: the engine's loop owns it. `values`, `extra` and `depth` are views of the
    rows in use and change in place; they are replaced when the board grows, so take them anew.
    """

    def __init__(self, *, epoch: str, capacity: int = 4096) -> None:
        self.epoch = epoch
        self.seq = 0
        self.keys: list[str] = []
        self._index: dict[str, int] = {}
        self._rows: list[_Row] = []
        self._dirty: set[int] = set()
        self._dirty_depth: set[int] = set()
        self._unnamed = 0
        self._capacity = 0
        self._values = np.empty((0, _WIDTH))
        self._extra = np.empty((0, len(EXTRA_FIELDS)))
        self._depth = np.empty((0, DEPTH_COLUMNS))
        self._allocate(max(1, capacity))

    # --- Rows ---------------------------------------------------------------------------
    def _allocate(self, capacity: int) -> None:
        values = np.full((capacity, _WIDTH), _NAN)
        extra = np.full((capacity, len(EXTRA_FIELDS)), _NAN)
        depth = np.full((capacity, DEPTH_COLUMNS), _NAN)
        used = self._capacity
        if used:
            values[:used] = self._values[:used]
            extra[:used] = self._extra[:used]
            depth[:used] = self._depth[:used]
        self._values, self._extra, self._depth = values, extra, depth
        self._capacity = capacity
        self._values_bytes = values.data.cast("B")
        self._extra_bytes = extra.data.cast("B")
        self._depth_bytes = depth.data.cast("B")

    def __len__(self) -> int:
        return len(self.keys)

    def __contains__(self, key: object) -> bool:
        return key in self._index

    def row(self, key: str) -> int:
        """The row of `key`, allotted on first sight; a row is never reused within an epoch."""
        row = self._index.get(key)
        if row is None:
            row = len(self.keys)
            if row == self._capacity:
                self._allocate(2 * self._capacity)
            self._index[key] = row
            self.keys.append(key)
            self._rows.append(_Row(key))
            self._dirty.add(row)
        return row

    def find(self, key: str) -> int | None:
        """The row of `key`, or None when the board has never met it."""
        return self._index.get(key)

    @property
    def values(self) -> npt.NDArray[np.float64]:
        """[rows × FIELDS]."""
        return self._values[: len(self.keys)]

    @property
    def extra(self) -> npt.NDArray[np.float64]:
        """[rows × EXTRA_FIELDS]."""
        return self._extra[: len(self.keys)]

    @property
    def depth(self) -> npt.NDArray[np.float64]:
        """[rows × 20]."""
        return self._depth[: len(self.keys)]

    # --- In -----------------------------------------------------------------------------
    def merge(self, ticks: Iterable[Tick]) -> list[int]:
        """Merge ticks that passed the sanity gate; the rows that changed, each once, in order."""
        changed: dict[int, None] = {}
        for tick in ticks:
            row = self.row(tick.instrument_key)
            if self._merge_one(row, tick):
                changed[row] = None
        self._dirty.update(changed)
        return list(changed)

    def _merge_one(self, index: int, tick: Tick) -> bool:
        row = self._rows[index]
        rank = _RANK[tick.source]
        exchange_ms = tick.exchange_ms
        trade_ms = tick.last_trade_ms
        frame_key = (exchange_ms, exchange_ms, rank)
        trade_key = (
            exchange_ms - UNTIMED_LAG_MS if trade_ms is None else trade_ms, exchange_ms, rank
        )  # fmt: skip
        changed = _merge_trade(row, tick, trade_key)
        if (tick.bids is not None or tick.asks is not None) and _merge_book(row, tick, frame_key):
            changed = True
            self._dirty_depth.add(index)
            _PACK_DEPTH(self._depth_bytes, index * _DEPTH_BYTES, *row.depth)
        changed = _merge_other(row, tick, frame_key) or changed
        values = row.values
        if frame_key > row.newest:
            # Even a frame that brings nothing newer says that what is known still holds.
            row.newest = frame_key
            values[_TIMESTAMP] = float(exchange_ms)
            values[_RECEIVED] = float(tick.received_ms)
            changed = True
        if not changed:
            return False
        _PACK_VALUES(self._values_bytes, index * _VALUES_BYTES, *values)
        _PACK_EXTRA(self._extra_bytes, index * _EXTRA_BYTES, *row.extra)
        return True

    def forget_times(self) -> None:
        """Let the next tick of each field win, whatever its time: a replay began anew."""
        for row in self._rows:
            row.forget_times()

    # --- Out ----------------------------------------------------------------------------
    def drain(self, *, at_ms: int) -> dict[str, Any] | None:
        """What changed since the last drain as a `market.batch` message; None when nothing."""
        if not self._dirty:
            return None
        rows = np.fromiter(self._dirty, dtype=np.int32, count=len(self._dirty))
        rows.sort()
        depth_rows = np.fromiter(self._dirty_depth, dtype=np.int32, count=len(self._dirty_depth))
        depth_rows.sort()
        self._dirty.clear()
        self._dirty_depth.clear()
        self.seq += 1
        names = [[row, self.keys[row]] for row in range(self._unnamed, len(self.keys))]
        self._unnamed = len(self.keys)
        return {
            "type": "market.batch",
            "epoch": self.epoch,
            "seq": self.seq,
            "at_ms": at_ms,
            "rows": rows.tobytes(),
            "values": self._values[rows].tobytes(),
            "names": names,
            "depth_rows": depth_rows.tobytes(),
            "depth": self._depth[depth_rows].tobytes(),
        }

    def snapshot(self, *, at_ms: int) -> dict[str, Any]:
        """The whole board as of batch `seq`; `mirror.load` reads it.

        Rows changed since that batch are in it too, and come again with the next one, which
        does no harm.
        """
        return {
            "epoch": self.epoch,
            "seq": self.seq,
            "at_ms": at_ms,
            "keys": list(self.keys),
            "fields": list(FIELDS),
            "values": self.values.tobytes(),
            "depth": self.depth.tobytes(),
        }

    def quote(self, key: str, *, phase: str = "") -> Quote | None:
        """The merged state of `key` in exact decimals, or None when it has no row."""
        index = self._index.get(key)
        if index is None:
            return None
        row = self._rows[index]
        values = row.values
        return Quote(
            instrument_key=key,
            last_price=_decimal(values[_LAST]),
            previous_close=_decimal(values[_CLOSE]),
            open=_decimal(values[_OPEN]),
            high=_decimal(values[_HIGH]),
            low=_decimal(values[_LOW]),
            volume=_integer(values[_VOLUME]),
            average_price=_decimal(values[_AVERAGE]),
            bids=levels(row.depth[: 2 * DEPTH_LEVELS]),
            asks=levels(row.depth[2 * DEPTH_LEVELS :]),
            last_trade_ms=_integer(row.extra[0]),
            timestamp_ms=_integer(values[_TIMESTAMP]),
            received_ms=_integer(values[_RECEIVED]),
            source=source_name(values[_SOURCE]),
            book_ms=max(row.bids_key, row.asks_key)[1] or None,
            book_received_ms=row.book_received_ms,
            book_source=row.book_source,
            phase=phase,
        )


def _merge_trade(row: _Row, tick: Tick, key: _Key) -> bool:
    """Merge what advances with trades. The usual case, a tick newer than all, compares once."""
    values, keys = row.values, row.trade_keys
    newer_than_all = key >= row.trade_newest
    changed = False
    for column, value in (
        (_LAST, tick.last_price),
        (_VOLUME, tick.volume),
        (_OPEN, tick.open),
        (_HIGH, tick.high),
        (_LOW, tick.low),
        (_AVERAGE, tick.average_price),
    ):
        if value is None:
            continue
        held = keys.get(column, _NEVER)
        if column == _VOLUME and key[0] == held[0]:
            # Packets of one trade: a day's volume only grows, so the larger is the later.
            if not value > values[_VOLUME]:
                continue
        elif not (newer_than_all or key >= held):
            continue
        keys[column] = key
        values[column] = float(value)
        changed = True
        if column == _LAST:
            values[_SOURCE] = SOURCE_CODES[tick.source]
            if tick.last_trade_ms is not None:
                row.extra[0] = float(tick.last_trade_ms)
            if tick.last_quantity is not None:
                row.extra[1] = float(tick.last_quantity)
    if changed and newer_than_all:
        row.trade_newest = key
    return changed


def _merge_book(row: _Row, tick: Tick, key: _Key) -> bool:
    """Replace each side of the book that the tick carries and that is not newer already."""
    changed = False
    if tick.bids is not None and key >= row.bids_key:
        row.bids_key = key
        _put_side(row, tick.bids, 0, _BID, _BID_QTY)
        changed = True
    if tick.asks is not None and key >= row.asks_key:
        row.asks_key = key
        _put_side(row, tick.asks, 2 * DEPTH_LEVELS, _ASK, _ASK_QTY)
        changed = True
    if changed:
        row.book_source = tick.source
        row.book_received_ms = tick.received_ms
    return changed


def _put_side(
    row: _Row, side: tuple[tuple[float, int], ...], offset: int, price_at: int, quantity_at: int
) -> None:
    flat = [float(number) for level in side[:DEPTH_LEVELS] for number in level]
    row.depth[offset : offset + 2 * DEPTH_LEVELS] = flat + [_NAN] * (2 * DEPTH_LEVELS - len(flat))
    row.values[price_at] = row.depth[offset]
    row.values[quantity_at] = row.depth[offset + 1]


def _merge_other(row: _Row, tick: Tick, key: _Key) -> bool:
    """Merge what the exchange states outside trades: previous close, open interest, Greeks."""
    changed = False
    keys = row.other_keys
    for column, value in ((_CLOSE, tick.previous_close), (_OI, tick.open_interest)):
        if value is not None and key >= keys.get(column, _NEVER):
            keys[column] = key
            row.values[column] = float(value)
            changed = True
    if tick.total_bid_quantity is not None or tick.implied_volatility is not None:
        for column, value in (
            (2, tick.total_bid_quantity),
            (3, tick.total_ask_quantity),
            (4, tick.implied_volatility),
        ):
            if value is not None and key >= keys.get(column + _WIDTH, _NEVER):
                keys[column + _WIDTH] = key
                row.extra[column] = value
                changed = True
    greeks = tick.greeks
    if greeks is not None and key >= keys.get(5 + _WIDTH, _NEVER):
        keys[5 + _WIDTH] = key
        row.extra[5:] = (greeks.delta, greeks.theta, greeks.gamma, greeks.vega, greeks.rho)
        changed = True
    return changed


def source_name(code: float) -> Source | None:
    """The source of a `source` column's code; None when unknown."""
    return None if code != code else SOURCES[int(code) - 1]


def levels(flat: Iterable[float]) -> tuple[Level, ...]:
    """Depth columns of one side as exact levels; empty levels are left out."""
    numbers = [float(number) for number in flat]
    return tuple(
        Level(price=exact_price(price), quantity=int(quantity))
        for price, quantity in zip(numbers[::2], numbers[1::2], strict=True)
        if price == price and quantity > 0
    )


def _decimal(value: float) -> Any:
    return None if value != value else exact_price(value)


def _integer(value: float) -> int | None:
    return None if value != value else int(value)
