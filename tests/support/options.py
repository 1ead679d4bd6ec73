"""A small NIFTY option chain: contracts, an exchange that answers for it, prices on the board."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from marketdata.board import FIELDS, Board
from marketdata.mirror import mirror
from marketdata.models import Instrument
from marketdata.options import pricing, selectors
from marketdata.quotes import Tick

AT = datetime(2026, 11, 20, 6, 0, tzinfo=UTC)
EXPIRY = date(2026, 11, 24)
STRIKES = [23_800.0, 23_900.0, 24_000.0, 24_100.0, 24_200.0]
SPOT = 24_010.0


class Exchange:
    """Answers as the REST client does, at one volatility."""

    def __init__(self, spot: float = SPOT, volatility: float = 0.14) -> None:
        self.spot, self.volatility, self.calls = spot, volatility, 0

    def option_chain(self, underlying_key: str, expiry_date: date) -> Sequence[dict[str, Any]]:
        self.calls += 1
        years = selectors.years_to_expiry(expiry_date, AT)

        def option(strike: float, *, is_call: bool) -> dict[str, Any]:
            price = float(
                pricing.price(
                    spot=self.spot,
                    strike=strike,
                    years=years,
                    volatility=self.volatility,
                    is_call=is_call,
                    rate=0.065,
                )
            )
            return {
                "instrument_key": f"NSE_FO|{'C' if is_call else 'P'}{strike:.0f}",
                "market_data": {"ltp": price, "oi": 650.0, "prev_oi": 600.0, "volume": 65},
                "option_greeks": {"iv": self.volatility * 100},
            }

        return [
            {
                "strike_price": strike,
                "underlying_spot_price": self.spot,
                "call_options": option(strike, is_call=True),
                "put_options": option(strike, is_call=False),
            }
            for strike in STRIKES
        ]


def listed_nifty() -> Instrument:
    """NIFTY with five strikes of one expiry, in the database."""
    index = Instrument.objects.create(
        key="NSE_INDEX|Nifty 50",
        symbol="NIFTY",
        name="Nifty 50",
        exchange="NSE",
        segment="NSE_INDEX",
        instrument_type="INDEX",
    )
    Instrument.objects.bulk_create(
        [
            Instrument(
                key=f"NSE_FO|{kind[0]}{strike:.0f}",
                symbol=f"NIFTY {strike:.0f} {kind} 24 NOV 26",
                name="NIFTY",
                exchange="NSE",
                segment="NSE_FO",
                instrument_type=kind,
                underlying_key=index.key,
                expiry_date=EXPIRY,
                strike_price=str(strike),
                lot_size=65,
            )
            for strike in STRIKES
            for kind in ("CE", "PE")
        ]
    )
    return index


def put_on_board(prices: dict[str, float], at_ms: int) -> None:
    """Make `prices` what this process's mirror holds."""
    board = Board(epoch="test")
    board.merge(
        Tick(
            instrument_key=key,
            last_price=price,
            exchange_ms=at_ms,
            received_ms=at_ms,
            source="stream",
        )
        for key, price in prices.items()
    )
    snapshot = board.snapshot(at_ms=at_ms)
    assert list(snapshot["fields"]) == list(FIELDS)
    mirror().load(snapshot)
    mirror()._asked_at = float("inf")  # what this test loaded, not what an engine left in Redis
