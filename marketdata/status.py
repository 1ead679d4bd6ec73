"""The market's status as every page shows it: one word, one sentence, phase, source. Pure."""

from datetime import datetime
from typing import Final

import msgspec

from marketdata.sessions import CAS_MARKET, Calendar, Phase, next_open, overall_phase, phase
from mockmarket.core.clock import IST, from_ms

# A live feed is quiet for this long before prices are called stale.
QUIET_MS_MAX: Final = 5_000

SOURCE_LABELS: Final = {
    "simulated": "Simulated exchange: invented prices of real companies",
    "replay": "Replay of a recorded trading day",
    "upstox": "Upstox, live NSE prices",
}
# Trading phases in which prices move and silence means trouble.
MOVING: Final = frozenset({Phase.PRE_OPEN, Phase.CONTINUOUS, Phase.CLOSING_AUCTION})


def frames_due(*, at: datetime, calendar: Calendar) -> bool:
    """Whether the feed must speak: while shares trade continuously, all of them. In an auction
    prices stand for minutes, and a flat price is no stale feed."""
    return all(
        phase(market=market, at=at, calendar=calendar) is Phase.CONTINUOUS
        for market in ("NSE_EQ", CAS_MARKET)
    )


class MarketStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What `market.status` carries. `as_of` and `next_open` are ISO 8601, None when unknown."""

    status: str
    message: str
    phase: str
    source: str
    source_label: str
    as_of: str | None = None
    next_open: str | None = None


def build(
    *,
    at: datetime,
    calendar: Calendar,
    source: str,
    connected: bool,
    newest_ms: int | None,
    quiet_ms: int | None,
    rest_fresh: bool = False,
    reason: str = "",
) -> MarketStatus:
    """The status at `at`.

    `newest_ms` is the receipt time of the newest price, `quiet_ms` how long the feed has said
    nothing (None: never spoke), `rest_fresh` whether REST fills in meanwhile, `reason` what
    the feed client says is wrong.
    """
    found = overall_phase(at=at, calendar=calendar)
    opens = next_open(market="NSE_EQ", at=at, calendar=calendar)
    if found not in MOVING:
        word, message = "closed", _closed_message(found, opens)
    elif not connected and not rest_fresh:
        word = "disconnected"
        message = reason or "No connection to the exchange; reconnecting."
    elif not connected:
        word = "delayed"
        message = reason or "The live feed is down; prices come every few seconds instead."
    elif quiet_ms is None or (quiet_ms > QUIET_MS_MAX and frames_due(at=at, calendar=calendar)):
        word = "delayed"
        message = "The feed has gone quiet; prices may be out of date."
    else:
        word, message = "live", _LIVE[found]
    return MarketStatus(
        status=word,
        message=message,
        phase=found.value,
        source=source,
        source_label=SOURCE_LABELS.get(source, source),
        as_of=None if newest_ms is None else _iso(newest_ms),
        next_open=None if opens is None else opens.isoformat(),
    )


_LIVE: Final = {
    Phase.PRE_OPEN: "Pre-open: orders are collected, trading starts at 09:15.",
    Phase.CONTINUOUS: "Market open; prices are live.",
    Phase.CLOSING_AUCTION: "Closing auction; shares with derivatives get their closing price.",
}


def _closed_message(phase: Phase, opens: datetime | None) -> str:
    said = "Post-close." if phase is Phase.POST_CLOSE else "Market closed."
    return said if opens is None else f"{said} Opens {opens.astimezone(IST):%a %d %b, %H:%M} IST."


def _iso(milliseconds: int) -> str:
    return from_ms(milliseconds).isoformat()
