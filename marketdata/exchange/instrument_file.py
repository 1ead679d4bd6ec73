"""The exchange's own instrument file, in Upstox's format: what sync_instruments imports."""

import gzip
from collections.abc import Iterable
from typing import Any

import orjson

from marketdata.exchange.contracts import Contract
from marketdata.exchange.listing import Listing


def build(listings: Iterable[Listing], contracts: Iterable[Contract]) -> bytes:
    """Gzipped JSON of all instruments; ticks in paise, expiries in epoch milliseconds."""
    rows = [_spot(listing) for listing in listings]
    rows += [contract_row(contract) for contract in contracts]
    return gzip.compress(orjson.dumps(rows), compresslevel=6, mtime=0)


def contract_row(contract: Contract) -> dict[str, Any]:
    """One future or option."""
    listing, underlying = contract.listing, contract.underlying
    kind = "INDEX" if underlying.is_index else "EQUITY"
    return {
        "weekly": contract.weekly,
        "segment": "NSE_FO",
        "name": listing.name,
        "exchange": "NSE",
        "expiry": contract.expiry_ms,
        "instrument_type": contract.kind,
        "asset_symbol": underlying.symbol,
        "underlying_symbol": underlying.symbol,
        "instrument_key": listing.key,
        "lot_size": listing.lot,
        "freeze_quantity": float(listing.freeze_quantity),
        "exchange_token": listing.exchange_token,
        "minimum_lot": listing.lot,
        "asset_key": underlying.key,
        "underlying_key": underlying.key,
        "tick_size": _paise(listing.tick),
        "asset_type": kind,
        "underlying_type": kind,
        "trading_symbol": listing.symbol,
        "strike_price": contract.strike,
        "qty_multiplier": 1.0,
    }


def _spot(listing: Listing) -> dict[str, Any]:
    row: dict[str, Any] = {
        "segment": listing.segment,
        "name": listing.name,
        "exchange": listing.exchange,
        "instrument_type": listing.instrument_type,
        "instrument_key": listing.key,
        "exchange_token": listing.exchange_token,
        "trading_symbol": listing.symbol,
    }
    if not listing.is_index:
        row |= {
            "isin": listing.isin,
            "lot_size": listing.lot,
            "freeze_quantity": float(listing.freeze_quantity),
            "tick_size": _paise(listing.tick),
            "qty_multiplier": 1.0,
            "security_type": "NORMAL",
        }
        if listing.fo_lot:
            row["cas_eligible"] = True
    return row


def _paise(rupees: float) -> float:
    return round(rupees * 100, 2)
