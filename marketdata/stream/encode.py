"""Quotes as JSON, once an instrument and process, whoever reads them. Pure."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import orjson

from marketdata.board import COLUMN, source_name

Floats = npt.NDArray[np.float64]

_LAST, _CLOSE = COLUMN["last_price"], COLUMN["previous_close"]
_TICK: Final = [_LAST, COLUMN["bid"], COLUMN["ask"], COLUMN["volume"]]
_PRICES: Final = ("previous_close", "open", "high", "low", "average_price")
_COUNTS: Final = ("bid_quantity", "ask_quantity", "open_interest")


def ticks(values: Floats) -> list[bytes]:
    """For each row of FIELDS, the object of what moves with every tick."""
    change = values[:, _LAST] - values[:, _CLOSE]
    with np.errstate(divide="ignore", invalid="ignore"):
        percent = np.where(values[:, _CLOSE] > 0, 100 * change / values[:, _CLOSE], np.nan)
    columns = zip(
        values[:, _TICK].tolist(),
        np.round(change, 4).tolist(),
        np.round(percent, 2).tolist(),
        _times(values[:, COLUMN["timestamp_ms"]]),
        strict=True,
    )
    return [
        orjson.dumps(
            {
                "last_price": last,
                "change": up,
                "change_percent": up_percent,
                "volume": _count(volume),
                "bid": bid,
                "ask": ask,
                "timestamp": time,
            }
        )
        for (last, bid, ask, volume), up, up_percent, time in columns
    ]


def day(row: Floats) -> bytes:
    """The rest of one row of FIELDS: the day's range and so on, as fields and a closing brace."""
    fields: dict[str, object] = {name: float(row[COLUMN[name]]) for name in _PRICES}
    fields |= {name: _count(float(row[COLUMN[name]])) for name in _COUNTS}
    fields["source"] = source_name(float(row[COLUMN["source"]]))
    return orjson.dumps(fields)[1:]


def book(key: str, depth: Sequence[float]) -> bytes:
    """A `depth_update` frame; `depth` is 5 × (bid price, quantity), then 5 × (ask …)."""
    sides = []
    for offset in (0, 10):
        prices, sizes = depth[offset : offset + 10 : 2], depth[offset + 1 : offset + 10 : 2]
        sides.append(
            [
                [price, int(size)]
                for price, size in zip(prices, sizes, strict=True)
                if price == price
            ]
        )
    return orjson.dumps(
        {
            "type": "depth_update",
            "instrument_key": key,
            "data": {"bids": sides[0], "asks": sides[1]},
        }
    )


def _times(milliseconds: Floats) -> list[str | None]:
    known = np.isfinite(milliseconds)
    texts: list[str | None] = np.datetime_as_string(
        np.where(known, milliseconds, 0).astype("datetime64[ms]"), unit="ms", timezone="UTC"
    ).tolist()
    if not known.all():
        for at in np.flatnonzero(~known).tolist():
            texts[at] = None
    return texts


def _count(number: float) -> int | None:
    return None if number != number else int(number)
