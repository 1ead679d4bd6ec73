"""REST endpoints of futures and options: contracts, chain, greeks, the instrument file."""

from datetime import date
from typing import Any

import numpy as np

from marketdata.exchange import envelope, instrument_file
from marketdata.exchange.contracts import Contract
from marketdata.exchange.derivatives import Board
from marketdata.exchange.envelope import Answer, Refusal
from marketdata.exchange.records import Record
from marketdata.exchange.requests import Request
from marketdata.exchange.source import Source

GREEK_KEYS_MAX = 50


class DerivativesRest:
    """Handlers over a source that lists derivatives."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def contracts(self, request: Request) -> Answer:
        """Option contracts of an underlying, all expiries or one."""
        _, chosen = self._chosen(request)
        return envelope.success([_contract_row(contract) for contract in chosen])

    async def chain(self, request: Request) -> Answer:
        """One row a strike with spot, put-call ratio, both sides' market data and greeks."""
        if not request.query.get("expiry_date"):
            raise Refusal(400, "UDAPI1088", "expiry_date is required")
        board, chosen = self._chosen(request)
        keys = [contract.listing.key for contract in chosen]
        records = {r.key: r for r in self._source.records(keys=keys, now_ms=request.now_ms)}
        rows = np.array([board.rows[key] for key in keys], dtype=np.int64)
        _, _, before = board.interest(rows, part=0.0) if len(rows) else (None, None, [])
        previous = dict(zip(keys, np.asarray(before).tolist(), strict=True))
        strikes: dict[float, dict[str, Contract]] = {}
        for contract in chosen:
            strikes.setdefault(contract.strike, {})[contract.kind] = contract
        spot = 0.0
        if chosen:
            underlying = chosen[0].underlying.key
            spot = self._source.records(keys=[underlying], now_ms=request.now_ms)[0].last_price
        return envelope.success(
            [
                _chain_row(strike, sides, records, previous, spot)
                for strike, sides in sorted(strikes.items())
            ]
        )

    def _chosen(self, request: Request) -> tuple[Board, list[Contract]]:
        key = request.query.get("instrument_key", "")
        if not key:
            raise Refusal(400, "UDAPI1009", "instrument_key is required")
        if key not in self._source.listings:
            raise Refusal(400, "UDAPI100011", "Invalid Instrument key")
        text = request.query.get("expiry_date")
        try:
            expiry = date.fromisoformat(text) if text else None
        except ValueError:
            raise Refusal(400, "UDAPI1088", "Invalid date") from None
        board = self._source.board(now_ms=request.now_ms)
        if board is None:
            raise Refusal(400, "UDAPI1087", "This instrument has no options here")
        chosen = [
            contract
            for contract in board.contracts
            if contract.underlying.key == key
            and contract.kind != "FUT"
            and expiry in (None, contract.expiry)
        ]
        return board, chosen

    async def greeks(self, request: Request) -> Answer:
        """LTP fields with volatility (a fraction here, as on the feed) and greeks."""
        keys = [key for key in request.query.get("instrument_key", "").split(",") if key]
        if not keys:
            raise Refusal(400, "UDAPI1009", "instrument_key is required")
        if len(keys) > GREEK_KEYS_MAX:
            raise Refusal(400, "UDAPI100043", f"Maximum {GREEK_KEYS_MAX} instrument keys")
        listed = [key for key in keys if key in self._source.listings]
        if not listed:
            raise Refusal(400, "UDAPI1087", "instrument_key is invalid")
        data = {}
        for record in self._source.records(keys=listed, now_ms=request.now_ms):
            delta, theta, gamma, vega, _ = record.greeks or (0.0, 0.0, 0.0, 0.0, 0.0)
            data[self._source.listings[record.key].label] = {
                "last_price": record.last_price,
                "instrument_token": record.key,
                "ltq": record.last_quantity,
                "volume": record.volume,
                "cp": record.previous_close,
                "iv": record.implied_volatility,
                "vega": vega,
                "gamma": gamma,
                "theta": theta,
                "delta": delta,
                "oi": record.open_interest,
            }
        return envelope.success(data)

    async def instruments(self, request: Request, exchange: str) -> Answer:
        """The beginning-of-day instrument file."""
        if exchange not in {"complete", "NSE", "BSE"}:
            raise envelope.NO_SUCH_URL
        board = self._source.board(now_ms=request.now_ms)
        spots = [
            listing
            for listing in self._source.listings.values()
            if not listing.segment.endswith("_FO") and exchange in {"complete", listing.exchange}
        ]
        contracts = board.contracts if board is not None and exchange != "BSE" else []
        return Answer(200, instrument_file.build(spots, contracts), content_type="application/gzip")


def _contract_row(contract: Contract) -> dict[str, Any]:
    row = instrument_file.contract_row(contract)
    names = (
        "name",
        "segment",
        "exchange",
        "weekly",
        "instrument_key",
        "exchange_token",
        "trading_symbol",
        "tick_size",
        "lot_size",
        "instrument_type",
        "freeze_quantity",
        "underlying_key",
        "underlying_type",
        "underlying_symbol",
        "strike_price",
        "minimum_lot",
    )
    return {**{name: row[name] for name in names}, "expiry": contract.expiry.isoformat()}


def _chain_row(
    strike: float,
    sides: dict[str, Contract],
    records: dict[str, Record],
    previous: dict[str, float],
    spot: float,
) -> dict[str, Any]:
    any_side = next(iter(sides.values()))
    interest = {kind: records[side.listing.key].open_interest for kind, side in sides.items()}
    calls = interest.get("CE") or 0.0
    return {
        "expiry": any_side.expiry.isoformat(),
        "pcr": round(interest.get("PE", 0.0) / calls, 4) if calls else 0.0,
        "strike_price": strike,
        "underlying_key": any_side.underlying.key,
        "underlying_spot_price": spot,
        "call_options": _side(sides.get("CE"), records, previous),
        "put_options": _side(sides.get("PE"), records, previous),
    }


def _side(
    contract: Contract | None, records: dict[str, Record], previous: dict[str, float]
) -> dict[str, Any] | None:
    if contract is None:
        return None
    record = records[contract.listing.key]
    bid = record.bids[0] if record.bids else (0.0, 0)
    ask = record.asks[0] if record.asks else (0.0, 0)
    delta, theta, gamma, vega, _ = record.greeks or (0.0, 0.0, 0.0, 0.0, 0.0)
    return {
        "instrument_key": record.key,
        "market_data": {
            "ltp": record.last_price,
            "volume": record.volume,
            "oi": record.open_interest,
            "close_price": record.previous_close,
            "bid_price": bid[0],
            "bid_qty": bid[1],
            "ask_price": ask[0],
            "ask_qty": ask[1],
            "prev_oi": previous[record.key],
        },
        "option_greeks": {
            "vega": vega,
            "theta": theta,
            "gamma": gamma,
            "delta": delta,
            # Percent here, a fraction on the feed.
            "iv": round(record.implied_volatility * 100, 2),
            "pop": round((1 - abs(delta)) * 100, 2),
        },
    }
