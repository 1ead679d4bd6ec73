"""The gamma-blast figure tried on simulated days: how often its alerts come true.

The simulated spot does not feel hedging, so a trial there cannot flatter the model: an alert that
came true more often than the base rate would be luck. `manage.py try_blast` runs it.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np

from marketdata.exchange import hours, listing
from marketdata.exchange.derivatives import Board
from marketdata.exchange.listing import VIX_KEY
from marketdata.exchange.prices import Market
from marketdata.options import blast
from marketdata.options.chain import COLUMNS, Chain, Floats, Side
from marketdata.universe import load

STEP_MINUTES: Final = 5
SYMBOL: Final = "NIFTY"
SEED: Final = 1


def run(*, first: date, days: int) -> dict[str, Any]:
    """The record over `days` sessions from `first` on, with what it was measured on."""
    market = Market(listings=listing.from_universe(load()), seed=SEED, hours=hours.NSE)
    sessions = _sessions(first, days)
    outcomes = [outcome for day in sessions for outcome in _day(market, day)]
    return {
        "record": asdict(blast.record(outcomes)),
        "days": days,
        "first": sessions[0].isoformat(),
        "last": sessions[-1].isoformat(),
        "symbol": SYMBOL,
        "seed": SEED,
        "step_minutes": STEP_MINUTES,
    }


def _sessions(first: date, days: int) -> list[date]:
    found: list[date] = []
    day = first
    while len(found) < days:
        if hours.NSE.is_session(day):
            found.append(day)
        day += timedelta(days=1)
    return found


def _day(market: Market, day: date) -> Iterator[tuple[float, bool]]:
    """(probability, whether the spot then moved so far) of each step of a session."""
    board = Board(market=market, seed=SEED, day=day)
    underlying = next(c.underlying for c in board.contracts if c.underlying.symbol == SYMBOL)
    expiry = min(c.expiry for c in board.contracts if c.underlying.symbol == SYMBOL)
    spots, _ = market.minute_bars(market.rows[underlying.key], day)
    vix, _ = market.minute_bars(market.rows[VIX_KEY], day)
    start_ms = market.hours.start_ms(day)
    for minute in range(0, len(spots) - blast.MINUTES, STEP_MINUTES):
        spot = float(spots[minute, 3])
        chain = _chain(
            board, underlying.key, expiry, spot=spot, vix=float(vix[minute, 3]),
            at_ms=start_ms + 60_000 * (minute + 1), part=(minute + 1) / len(spots),
        )  # fmt: skip
        found = blast.forecast(chain)
        if found is None:
            continue
        later = spots[minute + 1 : minute + 1 + found.minutes]
        moved = max(float(later[:, 1].max()) - spot, spot - float(later[:, 2].min()))
        yield found.probability, moved > found.move


def _chain(
    board: Board, key: str, expiry: date, *, spot: float, vix: float, at_ms: float, part: float
) -> Chain:
    sides: dict[str, Side] = {}
    strikes: Floats = np.zeros(0)
    for kind in ("CE", "PE"):
        chosen = sorted(
            (c.strike, board.rows[c.listing.key])
            for c in board.contracts
            if c.underlying.key == key and c.expiry == expiry and c.kind == kind
        )
        strikes = np.array([strike for strike, _ in chosen])
        rows = np.array([row for _, row in chosen], dtype=np.int64)
        values = board.values(rows, spot=np.full(len(rows), spot), vix=vix, at_ms=at_ms)
        _, interest, before = board.interest(rows, part=part)
        unknown = np.full(len(rows), np.nan)
        columns = dict.fromkeys(COLUMNS, unknown) | {
            "last_price": values.price,
            "open_interest": interest,
            "previous_open_interest": before,
            "volatility": values.volatility,
            "delta": values.greeks.delta,
            "gamma": values.greeks.gamma,
        }
        sides[kind] = Side(tuple(str(row) for row in rows), **columns)
    expires = float(board.expires_ms[rows[0]])
    return Chain(
        underlying_key=key,
        expiry_date=expiry,
        strikes=strikes,
        calls=sides["CE"],
        puts=sides["PE"],
        spot=spot,
        years=max(expires - at_ms, 0.0) / (365 * 86_400_000),
        lot_size=1,
        interest_at=datetime.fromtimestamp(at_ms / 1000, UTC),
    )
