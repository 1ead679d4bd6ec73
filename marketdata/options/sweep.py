"""Upstox's option-chain answer to columns, and columns to bytes and back. Pure.

In the answer an absent price is 0.0 and volatility is in percent; here absent is NaN and
volatility a fraction (the unit of the feed and of pricing.py).
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

import msgspec
import numpy as np

from marketdata.options.chain import COLUMNS, Chain, Floats, Side

# column -> (block of the answer, field)
_FIELDS: Final = {
    "last_price": ("market_data", "ltp"),
    "previous_close": ("market_data", "close_price"),
    "bid": ("market_data", "bid_price"),
    "ask": ("market_data", "ask_price"),
    "volume": ("market_data", "volume"),
    "open_interest": ("market_data", "oi"),
    "previous_open_interest": ("market_data", "prev_oi"),
    "volatility": ("option_greeks", "iv"),
    "delta": ("option_greeks", "delta"),
    "gamma": ("option_greeks", "gamma"),
    "theta": ("option_greeks", "theta"),
    "vega": ("option_greeks", "vega"),
}
_ZERO_IS_ABSENT: Final = ("last_price", "previous_close", "bid", "ask", "volatility")
_NOTHING: Final[Mapping[str, Any]] = {}


_COMPRESSED: Final = b"\x78"  # zlib's first byte; a packed chain begins with msgpack's map
UNPACKED_BYTES_MAX: Final = 1_000_000  # 4,000 strikes


class UnreadableChain(ValueError):
    """The answer is not an option chain; says which part is not."""


def parse_chain(
    rows: Sequence[Mapping[str, Any]],
    *,
    underlying_key: str,
    expiry_date: date,
    years: float,
    lot_size: int,
    at: datetime,
) -> Chain:
    """The chain in `rows` (one object a strike, as GET /v2/option/chain answers).

    Raises UnreadableChain when there is no strike, a strike comes twice, or no spot is given.
    """
    by_strike: dict[float, Mapping[str, Any]] = {}
    for row in rows:
        try:
            strike = float(row["strike_price"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnreadableChain("a row has no strike_price") from error
        if strike in by_strike:
            raise UnreadableChain(f"strike {strike} comes twice")
        by_strike[strike] = row
    if not by_strike:
        raise UnreadableChain("no strikes")
    strikes = np.array(sorted(by_strike))
    ordered = [by_strike[strike] for strike in strikes.tolist()]
    spot = float(ordered[0].get("underlying_spot_price") or 0.0)
    if not spot > 0:
        raise UnreadableChain("no underlying_spot_price")
    at_ms = at.timestamp() * 1000
    return Chain(
        underlying_key=underlying_key,
        expiry_date=expiry_date,
        strikes=strikes,
        calls=_side(ordered, "call_options", at_ms),
        puts=_side(ordered, "put_options", at_ms),
        spot=spot,
        years=years,
        lot_size=lot_size,
        interest_at=at,
    )


def _side(rows: Iterable[Mapping[str, Any]], name: str, at_ms: float) -> Side:
    sides = [row.get(name) or _NOTHING for row in rows]
    blocks = {
        block: [side.get(block) or _NOTHING for side in sides]
        for block in ("market_data", "option_greeks")
    }
    columns: dict[str, Floats] = {
        column: np.array([values.get(field) for values in blocks[block]], dtype=np.float64)
        for column, (block, field) in _FIELDS.items()
    }
    for column in _ZERO_IS_ABSENT:
        values = columns[column]
        values[values <= 0] = np.nan
    columns["volatility"] /= 100.0
    return Side(
        keys=tuple(str(side.get("instrument_key", "")) for side in sides),
        price_ms=np.where(np.isfinite(columns["last_price"]), at_ms, np.nan),
        **columns,
    )


def pack(chain: Chain) -> bytes:
    """The chain as bytes, for the cache and for stored snapshots: about 245 bytes a strike."""
    return msgspec.msgpack.encode(
        {
            "version": 1,
            "underlying_key": chain.underlying_key,
            "expiry_date": chain.expiry_date.isoformat(),
            "spot": chain.spot,
            "years": chain.years,
            "lot_size": chain.lot_size,
            "interest_at": chain.interest_at,
            "rate": chain.rate,
            "strikes": chain.strikes.tobytes(),
            "sides": [
                {"keys": side.keys, "columns": [getattr(side, n).tobytes() for n in COLUMNS]}
                for side in (chain.calls, chain.puts)
            ],
        }
    )


def pack_small(chain: Chain) -> bytes:
    """The same for keeping: compressed to about 145 bytes a strike (0.1 ms for 90 strikes)."""
    return zlib.compress(pack(chain), 1)


def unpack(data: bytes) -> Chain:
    """What `pack` or `pack_small` made. Raises UnreadableChain for anything else."""
    try:
        if data[:1] == _COMPRESSED:
            data = zlib.decompressobj().decompress(data, UNPACKED_BYTES_MAX)
        packed: Any = msgspec.msgpack.decode(data)
        if packed["version"] != 1:
            raise UnreadableChain(f"version {packed['version']} of a chain")
        sides = [_unpack_side(side["keys"], side["columns"]) for side in packed["sides"]]
        return Chain(
            underlying_key=packed["underlying_key"],
            expiry_date=date.fromisoformat(packed["expiry_date"]),
            strikes=np.frombuffer(packed["strikes"]),
            calls=sides[0],
            puts=sides[1],
            spot=packed["spot"],
            years=packed["years"],
            lot_size=packed["lot_size"],
            interest_at=packed["interest_at"],
            rate=packed["rate"],
        )
    except UnreadableChain:
        raise
    except (zlib.error, msgspec.DecodeError, KeyError, TypeError, IndexError, ValueError) as error:
        raise UnreadableChain("not a packed chain") from error


def _unpack_side(keys: Sequence[str], packed: Sequence[bytes]) -> Side:
    columns = zip(COLUMNS, packed, strict=True)
    return Side(tuple(keys), **{name: np.frombuffer(column) for name, column in columns})
