"""The screen: three stated rules over daily closes, and how its lists did afterwards. Pure.

A share is listed on a day when, with that day's close and nothing later,
    1. its 50-session mean stands above its 200-session mean (or above its 100-session mean where
       there is less history) and the close above both: a rising trend,
    2. its return over 63 sessions beats the NIFTY 50's: stronger than the market,
    3. its RSI(14) is between 45 and 70: moving, not overheated.
Listed shares are ordered by their lead over the NIFTY 50. The record counts every listing of the
past: it was a hit when the share beat the NIFTY 50 over the following 20 sessions.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from marketdata import indicators

FAST: Final = 50
SLOW: Final = 200
SLOW_SHORT: Final = 100
LEAD_SESSIONS: Final = 63
HOLD_SESSIONS: Final = 20
RSI_LOW: Final = 45.0
RSI_HIGH: Final = 70.0
# The record looks at every fifth session, so that its listings overlap less.
RECORD_STEP: Final = 5

Table = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pick:
    """A listed share: its column, its lead over the market in percent, its RSI and how far the
    close stands above the slow mean in percent."""

    column: int
    lead: float
    rsi: float
    above: float


@dataclass(frozen=True, slots=True)
class Record:
    """How past lists did. Returns are means in percent over the holding time."""

    listings: int
    hits: int
    share_return: float
    market_return: float
    days: int

    @property
    def hit_rate(self) -> float | None:
        """Share of listings that beat the market, in percent; None before the first."""
        return 100 * self.hits / self.listings if self.listings else None


@dataclass(frozen=True, slots=True)
class _Measures:
    fast: Table
    slow: Table
    rsi: Table


def _measures(closes: Table) -> _Measures:
    slow = SLOW if len(closes) > SLOW + LEAD_SESSIONS else SLOW_SHORT
    columns = closes.T
    return _Measures(
        fast=np.array([indicators.sma(c, FAST) for c in columns]).T,
        slow=np.array([indicators.sma(c, slow) for c in columns]).T,
        rsi=np.array([indicators.rsi(c) for c in columns]).T,
    )


def _listed(
    measures: _Measures, closes: Table, market: Table, day: int
) -> tuple[npt.NDArray[np.bool_], Table]:
    """Which columns the rules list on row `day`, and every column's lead."""
    close = closes[day]
    with np.errstate(invalid="ignore", divide="ignore"):
        own = (close / closes[day - LEAD_SESSIONS] - 1) * 100
        index = (market[day] / market[day - LEAD_SESSIONS] - 1) * 100
        lead = own - index
        listed = (
            (measures.fast[day] > measures.slow[day])
            & (close > measures.fast[day])
            & (close > measures.slow[day])
            & (lead > 0)
            & (measures.rsi[day] >= RSI_LOW)
            & (measures.rsi[day] <= RSI_HIGH)
        )
    return listed, lead


def screen(closes: Table, market: Table) -> tuple[list[Pick], Record]:
    """Today's list, best first, and the record.

    `closes` has a row a session (oldest first) and a column a share, NaN where unknown; `market`
    is the NIFTY 50 on the same sessions.
    """
    days = len(closes)
    if days <= LEAD_SESSIONS + SLOW_SHORT:
        return [], Record(0, 0, 0.0, 0.0, 0)
    measures = _measures(closes)
    listed, lead = _listed(measures, closes, market, days - 1)
    order = sorted(np.flatnonzero(listed).tolist(), key=lambda column: (-lead[column], column))
    picks = [
        Pick(
            column=column,
            lead=float(lead[column]),
            rsi=float(measures.rsi[-1, column]),
            above=float((closes[-1, column] / measures.slow[-1, column] - 1) * 100),
        )
        for column in order
    ]
    return picks, _record(measures, closes, market)


def _record(measures: _Measures, closes: Table, market: Table) -> Record:
    share_returns: list[float] = []
    market_returns: list[float] = []
    days = 0
    for day in range(LEAD_SESSIONS + SLOW_SHORT, len(closes) - HOLD_SESSIONS, RECORD_STEP):
        listed, _lead = _listed(measures, closes, market, day)
        later = (closes[day + HOLD_SESSIONS] / closes[day] - 1) * 100
        index = float(market[day + HOLD_SESSIONS] / market[day] - 1) * 100
        known = later[listed & ~np.isnan(later)]
        share_returns += known.tolist()
        market_returns += [index] * len(known)
        days += 1
    if not share_returns:
        return Record(0, 0, 0.0, 0.0, days)
    own, index_returns = np.array(share_returns), np.array(market_returns)
    return Record(
        listings=len(own),
        hits=int(np.sum(own > index_returns)),
        share_return=float(np.mean(own)),
        market_return=float(np.mean(index_returns)),
        days=days,
    )
