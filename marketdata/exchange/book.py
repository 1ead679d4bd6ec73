"""The displayed book around a price: five levels (thirty on request), sane by construction.

Bids fall and asks rise by whole ticks, the last price is at the best bid or the best ask, no
level leaves the price band, quantities are whole lots and grow away from the touch.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from marketdata.exchange import noise
from marketdata.exchange.noise import Floats

# The spread in parts of the price, from the most to the least traded share.
_SPREAD_MIN, _SPREAD_MAX = 0.00008, 0.0006


@dataclass(frozen=True, slots=True)
class Books:
    """Books of `rows` (one line each): prices in rupees, quantities in units, 0 for no level."""

    bid_prices: Floats
    bid_quantities: npt.NDArray[np.int64]
    ask_prices: Floats
    ask_quantities: npt.NDArray[np.int64]
    last_quantity: npt.NDArray[np.int64]
    total_bid: npt.NDArray[np.int64]
    total_ask: npt.NDArray[np.int64]


def books(
    *,
    names: noise.Words,
    tick: Floats,
    lot: npt.NDArray[np.int64],
    volume: Floats,
    last: Floats,
    previous_close: Floats,
    band: float | None,
    seed: int,
    slot: int,
    depth: int,
) -> Books:
    """The books of some instruments in beat `slot`, the same whenever and by whomever asked.

    All arrays have one entry an instrument; prices in rupees, `volume` of a usual day. `band`
    bounds the levels around the previous close, None for contracts without a band.
    """
    numbers = noise.uniforms(
        seed, "book", names, np.int64(slot) * 256 + np.arange(8 + 4 * depth, dtype=np.int64)
    )
    spread_share = _spreads(volume * last)
    last = np.rint(last / tick)
    spread = np.maximum(1, np.rint(last * spread_share))
    spread += numbers[:, 0] < 0.2
    # Where there is no room for a bid below, the last price is the bid.
    at_ask = (numbers[:, 1] < 0.5) & (last > spread)
    best_ask = np.where(at_ask, last, last + spread)
    best_bid = best_ask - spread
    gaps = 1 + (numbers[:, 8 : 8 + 2 * depth] < 0.15)
    gaps[:, 0] = gaps[:, depth] = 0
    bids = best_bid[:, None] - np.cumsum(gaps[:, :depth], axis=1)
    asks = best_ask[:, None] + np.cumsum(gaps[:, depth:], axis=1)
    usual = np.maximum(volume / 25_000, lot)
    heap = np.exp(1.6 * (numbers[:, 8 + 2 * depth :] - 0.5)) * usual[:, None]
    heap *= np.tile(1 + 0.35 * np.arange(depth), 2)
    heap = np.maximum(np.rint(heap / lot[:, None]), 1) * lot[:, None]
    close = np.rint(previous_close / tick)
    lower = np.ceil(close * (1 - band)) if band is not None else np.ones(len(close))
    upper = np.floor(close * (1 + band)) if band is not None else np.full(len(close), np.inf)
    bid_quantities = np.where(bids >= np.maximum(lower, 1)[:, None], heap[:, :depth], 0)
    ask_quantities = np.where(asks <= upper[:, None], heap[:, depth:], 0)
    trade = np.rint(np.exp(3 * numbers[:, 2] - 2) * usual * 0.5 / lot)
    return Books(
        bid_prices=np.round(bids * tick[:, None], 2),
        bid_quantities=bid_quantities.astype(np.int64),
        ask_prices=np.round(asks * tick[:, None], 2),
        ask_quantities=ask_quantities.astype(np.int64),
        last_quantity=(np.maximum(trade, 1) * lot).astype(np.int64),
        total_bid=np.rint(volume * (0.02 + 0.02 * numbers[:, 3])).astype(np.int64),
        total_ask=np.rint(volume * (0.02 + 0.02 * numbers[:, 4])).astype(np.int64),
    )


def _spreads(turnover: Floats) -> Floats:
    """Narrow for what trades for hundreds of crores a day, wide for what trades for few."""
    size = np.clip((np.log10(np.maximum(turnover, 1)) - 7.5) / 3, 0, 1)
    spread: Floats = _SPREAD_MAX + (_SPREAD_MIN - _SPREAD_MAX) * size
    return spread
