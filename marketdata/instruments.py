"""Upstox's instrument file to rows of our own. Pure: bytes in, facts out.

The file is a JSON array, usually gzipped, of objects whose fields differ by segment. Tick sizes
come in paise and expiries in epoch milliseconds; here they are rupees and dates.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

import msgspec

from mockmarket.core.clock import IST

# The complete file of every exchange is about 120 MB; more is not an instrument file.
BYTES_MAX: Final = 512 * 1024 * 1024
SHARES: Final = ("NSE_EQ", "NSE_INDEX", "BSE_INDEX")
SEGMENTS: Final = frozenset(
    {
        *SHARES,
        "BSE_EQ",
        "NSE_FO",
        "BSE_FO",
        "NCD_FO",
        "BCD_FO",
        "MCX_FO",
        "MCX_INDEX",
        "NSE_COM",
    }
)
# A file with more broken rows than this share is not the format that we know.
BROKEN_SHARE_MAX: Final = 0.02
_INDEX_TICK: Final = Decimal("0.05")
_PRICE_STEP: Final = Decimal("0.0001")


class UnreadableFile(ValueError):
    """Truncated, not JSON, or another format than Upstox's instrument file."""


@dataclass(frozen=True, slots=True)
class InstrumentRow:
    """One instrument of the file. Rupees, whole units; "" and None where the file has nothing.

    `cas_eligible` is None where the file does not tell.
    """

    key: str
    symbol: str
    name: str
    short_name: str
    isin: str
    exchange: str
    segment: str
    instrument_type: str
    security_type: str
    exchange_token: str
    tick_size: Decimal
    lot_size: int
    freeze_quantity: int
    underlying_key: str
    expiry_date: date | None
    strike_price: Decimal | None
    weekly: bool
    cas_eligible: bool | None


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """Rows of the wanted segments, and how many others were left out by reason.

    `fo_underlyings` are the keys that some future or option of the file names, wanted or not.
    """

    rows: list[InstrumentRow]
    skipped: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    fo_underlyings: frozenset[str] = frozenset()


class _Raw(msgspec.Struct):
    """The fields that we read; every segment has a part of them."""

    segment: str
    instrument_key: str
    trading_symbol: str
    name: str = ""
    short_name: str = ""
    isin: str = ""
    exchange: str = ""
    instrument_type: str = ""
    security_type: str = ""
    exchange_token: str = ""
    tick_size: float | None = None
    lot_size: float | None = None
    freeze_quantity: float | None = None
    underlying_key: str = ""
    expiry: int | None = None
    strike_price: float | None = None
    weekly: bool = False
    cas_eligible: bool | None = None


_rows = msgspec.json.Decoder(list[msgspec.Raw])
_row = msgspec.json.Decoder(_Raw)


def parse(data: bytes, *, segments: Collection[str] = SHARES) -> ParsedFile:
    """The instruments of `segments` in a file (plain or gzipped JSON).

    Raises UnreadableFile for a truncated or foreign file. A broken row is skipped and counted.
    """
    try:
        raws = _rows.decode(_inflated(data))
    except msgspec.DecodeError as error:
        raise UnreadableFile(f"not a JSON array of instruments: {error}") from error
    if not raws:
        raise UnreadableFile("the file lists no instrument")
    skipped: Counter[str] = Counter()
    found: dict[str, InstrumentRow] = {}
    underlyings: set[str] = set()
    broken = 0
    for content in raws:
        try:
            raw = _row.decode(content)
        except msgspec.DecodeError:
            broken += 1
            continue
        if raw.segment.endswith("_FO") and raw.underlying_key:
            underlyings.add(raw.underlying_key)
        reason = _unwanted(raw, segments, found)
        if reason:
            skipped[reason] += 1
        else:
            found[raw.instrument_key] = _convert(raw)
    if broken > len(raws) * BROKEN_SHARE_MAX:
        raise UnreadableFile(f"{broken} of {len(raws)} rows are not instruments")
    if broken:
        skipped["broken row"] = broken
    if not found:
        raise UnreadableFile(f"no instrument of {', '.join(sorted(segments))} in the file")
    return ParsedFile(list(found.values()), MappingProxyType(skipped), frozenset(underlyings))


def _inflated(data: bytes) -> bytes:
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        plain = inflater.decompress(data, BYTES_MAX)
    except zlib.error as error:
        raise UnreadableFile(f"damaged gzip: {error}") from error
    if inflater.unconsumed_tail:
        raise UnreadableFile(f"more than {BYTES_MAX // 1024**2} MB when unpacked")
    if not inflater.eof:
        raise UnreadableFile("the file is truncated")
    return plain


def _unwanted(raw: _Raw, segments: Collection[str], found: Mapping[str, InstrumentRow]) -> str:
    """Why a row is left out, or ""."""
    if raw.segment not in segments:
        known = "not asked for" if raw.segment in SEGMENTS else "not known"
        return f"segment {raw.segment[:12]} {known}"
    prefix, _, rest = raw.instrument_key.partition("|")
    if prefix != raw.segment or not rest or len(raw.instrument_key) > 64:
        return "instrument key does not fit its segment"
    if raw.instrument_key in found:
        return "key twice in the file"
    if not raw.trading_symbol or len(raw.trading_symbol) > 64:
        return "no trading symbol"
    if raw.segment.endswith("_INDEX"):
        return ""
    if raw.tick_size is None or not 0 < raw.tick_size < 1e7:
        return "no tick size"
    if raw.lot_size is None or raw.lot_size < 1 or raw.lot_size != int(raw.lot_size):
        return "no lot size"
    if raw.segment.endswith("_FO") and raw.expiry is None:
        return "no expiry"
    if raw.segment == "BSE_FO" and not raw.underlying_key.startswith("BSE_INDEX|"):
        # SENSEX trades there; shares' contracts hardly do, and would double the sweep.
        return "BSE derivative of a share"
    return ""


def _convert(raw: _Raw) -> InstrumentRow:
    index = raw.segment.endswith("_INDEX")
    expiry = (
        datetime.fromtimestamp(raw.expiry / 1000, UTC).astimezone(IST).date()
        if raw.expiry is not None
        else None
    )
    return InstrumentRow(
        key=raw.instrument_key,
        symbol=raw.trading_symbol,
        name=raw.name[:160],
        short_name=raw.short_name[:120],
        isin=raw.isin[:12],
        exchange=(raw.exchange or raw.segment.split("_")[0])[:8],
        segment=raw.segment,
        instrument_type=raw.instrument_type[:8],
        security_type=raw.security_type[:12],
        exchange_token=raw.exchange_token[:24],
        tick_size=_INDEX_TICK if index else _rupees(raw.tick_size or 0.0),
        lot_size=1 if index else int(raw.lot_size or 1),
        freeze_quantity=min(int(raw.freeze_quantity or 0), 2_147_483_647),
        underlying_key=raw.underlying_key[:64],
        expiry_date=expiry,
        # A future has no strike: the file says 0.
        strike_price=Decimal(str(raw.strike_price)).quantize(_PRICE_STEP)
        if raw.strike_price
        else None,
        weekly=raw.weekly,
        cas_eligible=raw.cas_eligible,
    )


def _rupees(paise: float) -> Decimal:
    return (Decimal(str(paise)) / 100).quantize(_PRICE_STEP)
