"""What the exchange's auctions do to its prices: the pre-open, and the closing auction. Pure.

In the pre-open yesterday's closes stand while the indicative price settles at the open. Shares
with derivatives stop trading when the closing auction begins: their last price stands, the
indicative price moves, and one trade gives the close. The indices stand and close with them.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from marketdata.exchange import noise
from marketdata.exchange.noise import Floats
from marketdata.exchange.prices import Market, State
from marketdata.sessions import CAS_MARKET, Phase

# Shares may close this far from their reference, the price when the auction began.
REFERENCE_BAND: Final = 0.03
# How far the first indicative prices of the pre-open are from the open.
_UNSETTLED: Final = 0.004
_PRE_OPEN_MS: Final = 15 * 60_000
_NOBODY_ORDERS_MS: Final = 5 * 60_000


@dataclass(frozen=True, slots=True)
class Standing:
    """The rows (`mask`) whose trading stands, and what their auction shows. Times in epoch ms."""

    mask: npt.NDArray[np.bool_]
    tells: npt.NDArray[np.bool_]  # those of them that have something new to tell
    indicative: Floats  # NaN where there is none
    reference: Floats
    traded_ms: int  # the last trade of those rows


def look(
    market: Market, eligible: npt.NDArray[np.bool_], *, at_ms: int
) -> tuple[State, Standing | None]:
    """The market at an instant with its auctions; None when none is on."""
    hours = market.hours
    phase = hours.phase(CAS_MARKET, at_ms=at_ms)
    if phase is Phase.PRE_OPEN:
        return _before_open(market, at_ms=at_ms)
    day, _ = hours.position(at_ms)
    begins_ms, match_ms = hours.auction_ms(day), hours.match_ms(day)
    if begins_ms is None or match_ms is None or at_ms < begins_ms:
        return market.state(at_ms), None
    return _closing(market, eligible, begins_ms=begins_ms, match_ms=match_ms, at_ms=at_ms)


def _before_open(market: Market, *, at_ms: int) -> tuple[State, Standing | None]:
    open_ms = at_ms + _PRE_OPEN_MS - at_ms % _PRE_OPEN_MS
    state = market.state(open_ms)
    left = (open_ms - at_ms) / _PRE_OPEN_MS
    slot = np.array([at_ms // 1000], dtype=np.int64)
    draw = noise.normals(0, "pre-open", market.names, slot)[:, 0]
    indicative = _on_tick(state.last * (1 + _UNSETTLED * left * draw), market)
    nothing = np.zeros(len(state.last))
    before = replace(
        state,
        at_ms=at_ms,
        last=state.previous_close,
        volume=nothing,
        average=state.previous_close,
        minute=-1,
    )
    everybody = np.ones(len(nothing), dtype=bool)
    closed_ms = market.hours.close_ms(market.hours.previous(state.day))
    return before, Standing(
        everybody, ~market.is_index, indicative, state.previous_close, closed_ms
    )


def _closing(
    market: Market,
    eligible: npt.NDArray[np.bool_],
    *,
    begins_ms: int,
    match_ms: int,
    at_ms: int,
) -> tuple[State, Standing]:
    now, then = market.state(at_ms), market.state(begins_ms)
    nowhere = np.full(len(now.last), np.nan)
    # The band holds for the price that is matched and for what is indicated on the way there.
    bound = np.clip(now.last, then.last * (1 - REFERENCE_BAND), then.last * (1 + REFERENCE_BAND))
    auctioned = _on_tick(bound, market)
    if at_ms >= match_ms:
        state = _stand(now, then, eligible, last=auctioned)
        state = replace(state, volume=np.where(eligible, now.volume, state.volume))
        ends = market.hours.phase(CAS_MARKET, at_ms=at_ms) is not Phase.CLOSING_AUCTION
        tells = np.zeros_like(eligible) if ends else eligible
        return state, Standing(eligible, tells, nowhere, nowhere, match_ms)
    ordering = at_ms >= begins_ms + _NOBODY_ORDERS_MS
    tells = eligible & ~market.is_index & ordering
    shown = np.where(tells, auctioned, np.nan)
    state = _stand(now, then, eligible, last=then.last)
    return state, Standing(eligible, tells, shown, then.last, begins_ms)


def _stand(now: State, then: State, eligible: npt.NDArray[np.bool_], *, last: Floats) -> State:
    """`now`, but for the eligible rows as they were `then`, at the price `last`."""

    def of(name: str) -> Floats:
        chosen: Floats = np.where(eligible, getattr(then, name), getattr(now, name))
        return chosen

    last = np.where(eligible, last, now.last)
    return replace(
        now,
        last=last,
        high=np.maximum(of("high"), last),
        low=np.minimum(of("low"), last),
        volume=of("volume"),
        average=of("average"),
    )


def _on_tick(prices: Floats, market: Market) -> Floats:
    rounded: Floats = np.round(np.rint(prices / market.tick) * market.tick, 2)
    return rounded
