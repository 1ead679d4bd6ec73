"""Quotes: the board, else the last price of the database, each with its source and age."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final

import numpy as np

from marketdata.board import COLUMN, FIELDS, source_name
from marketdata.mirror import mirror
from marketdata.models import LastPrice
from marketdata.selectors.facts import BOARD_AGE_MS_MAX
from mockmarket.core import clock
from mockmarket.core.money import price as exact_price

_KEPT: Final = ("last_price", "previous_close", "open", "high", "low", "volume")
PERCENT: Final = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class QuoteView:
    """One instrument's quote for pages and the API: exact prices, and where they come from.

    `source` is stream, rest, cache (the engine is gone, this is its last word) or database;
    `age_ms` is the time since the price arrived.
    """

    instrument_key: str
    last_price: Decimal | None
    previous_close: Decimal | None
    open: Decimal | None
    high: Decimal | None
    low: Decimal | None
    volume: int | None
    bid: Decimal | None
    ask: Decimal | None
    bid_quantity: int | None
    ask_quantity: int | None
    average_price: Decimal | None
    open_interest: int | None
    timestamp: datetime | None
    source: str | None
    age_ms: int | None

    @property
    def change(self) -> Decimal | None:
        """Rupees above the previous close."""
        if self.last_price is None or self.previous_close is None:
            return None
        return self.last_price - self.previous_close

    @property
    def change_percent(self) -> Decimal | None:
        """Percent above the previous close, two decimals."""
        if self.change is None or not self.previous_close:
            return None
        return (self.change / self.previous_close * 100).quantize(PERCENT)


def quotes(keys: Iterable[str], at: datetime) -> dict[str, QuoteView]:
    """Quotes by key, in the order asked: the board, else the last price of the database.

    Keys without any price are left out.
    """
    wanted = list(dict.fromkeys(keys))
    copy = mirror()
    copy.refresh()
    stale = clock.to_ms(at) - copy.at_ms > BOARD_AGE_MS_MAX
    found = {
        key: view(key, row.tolist(), at, source="cache" if stale else "")
        for key, row in copy.rows(wanted).items()
        if not np.isnan(row[COLUMN["last_price"]])
    }
    missing = [key for key in wanted if key not in found]
    if missing:
        kept = LastPrice.objects.select_related("instrument").filter(instrument__key__in=missing)
        for row in kept:
            key = row.instrument.key
            found[key] = view(key, _as_fields(row), at, source="database")
    return {key: found[key] for key in wanted if key in found}


def quote(key: str, at: datetime) -> QuoteView | None:
    """The quote of one instrument, None when it has no price."""
    return quotes([key], at).get(key)


def board_rows(keys: Iterable[str]) -> dict[str, dict[str, float | None]]:
    """FIELDS by name of those of `keys` that the board knows, None where unknown."""
    copy = mirror()
    copy.refresh()
    return {
        key: {name: _known(row[column]) for name, column in COLUMN.items()}
        for key, row in copy.rows(keys).items()
    }


def _known(value: float) -> float | None:
    return None if value != value else float(value)


def depth(key: str) -> dict[str, list[tuple[float, int]]]:
    """`bids` and `asks` as (price, quantity), best first; empty when unknown."""
    columns = mirror().depth(key)
    if columns is None:
        return {"bids": [], "asks": []}
    pairs = columns.reshape(-1, 2)
    sides = {"bids": pairs[:5], "asks": pairs[5:]}
    return {
        side: [(float(price), int(quantity)) for price, quantity in levels if price == price]
        for side, levels in sides.items()
    }


@lru_cache(maxsize=32_768)
def _exact(value: float) -> Decimal | None:
    """A price of the board; most are asked for again before they change."""
    return None if value != value else exact_price(value)


def _whole(value: float) -> int | None:
    return None if value != value else int(value)


def view(key: str, values: Sequence[float], at: datetime, *, source: str = "") -> QuoteView:
    """The FIELDS of one instrument as a quote; `source` where it is not the one among them."""
    (last, close, open_, high, low, volume, bid, ask, bid_quantity, ask_quantity, average, interest,
     timestamp, arrived, told) = values  # fmt: skip
    received, stamp = _whole(arrived), _whole(timestamp)
    return QuoteView(
        instrument_key=key,
        last_price=_exact(last),
        previous_close=_exact(close),
        open=_exact(open_),
        high=_exact(high),
        low=_exact(low),
        volume=_whole(volume),
        bid=_exact(bid),
        ask=_exact(ask),
        bid_quantity=_whole(bid_quantity),
        ask_quantity=_whole(ask_quantity),
        average_price=_exact(average),
        open_interest=_whole(interest),
        timestamp=None if stamp is None else clock.from_ms(stamp),
        source=source or source_name(told),
        age_ms=None if received is None else max(0, clock.to_ms(at) - received),
    )


def _as_fields(row: LastPrice) -> list[float]:
    """What the database keeps, as FIELDS; the rest is unknown."""
    kept = {name: getattr(row, name) for name in _KEPT}
    kept["timestamp_ms"] = None if row.traded_at is None else clock.to_ms(row.traded_at)
    kept["received_ms"] = clock.to_ms(row.stored_at)
    found = [kept.get(name) for name in FIELDS]
    return [math.nan if value is None else float(value) for value in found]
